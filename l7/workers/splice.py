"""Large bodies from socket to socket without coming into user space: ``splice(2)`` through a pipe.

Half the CPU of copying 64 KiB at a time (``docs/performance.rst``). A piece is pulled from the source into the pipe and
pushed from the pipe into the sink, so never more than a pipe's content is on its way: back-pressure and deadlines are
those of the streams. Pipes are kept for the next body while they are empty.
"""

from __future__ import annotations

import fcntl
import os

from l7.workers.stream import Stream, gone

LEAST = 128 * 1024
"""Bytes that must be certain to follow before splicing pays for its pipe."""
PIPE = 1024 * 1024
"""What a pipe should hold; where the system grants less it holds less."""
KEPT = 16
"""Empty pipes that are kept."""

_FLAGS = os.SPLICE_F_MOVE | os.SPLICE_F_NONBLOCK
_pipes: list[tuple[int, int]] = []


class Pipe:
    """A pipe for one body; use it in ``with``: one that is not empty at the end, after a failure, is closed."""

    __slots__ = ("_ends", "held")

    def __init__(self) -> None:
        if _pipes:
            self._ends = _pipes.pop()
        else:
            self._ends = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
            try:
                fcntl.fcntl(self._ends[1], fcntl.F_SETPIPE_SZ, PIPE)
            except OSError:  # beyond what this user may have: the default has to do
                pass
        self.held = 0
        """Bytes in the pipe."""

    def __enter__(self) -> Pipe:
        return self

    def __exit__(self, *_: object) -> None:
        if not self.held and len(_pipes) < KEPT:
            _pipes.append(self._ends)
        else:
            os.close(self._ends[0])
            os.close(self._ends[1])

    def pull(self, source: Stream, count: int) -> int:
        """Take at most ``count`` bytes from ``source``, waiting for the first; 0 at its end. Raises as `wait`."""
        while True:
            source.wait()
            try:
                self.held = os.splice(source.socket.fileno(), self._ends[1], min(count, PIPE), flags=_FLAGS)
            except BlockingIOError:
                source.watch()
                continue
            except OSError as failure:
                raise gone(failure) from None
            source.watch()
            return self.held

    def push(self, sink: Stream, seconds: float, *, until_heard: bool = False) -> None:
        """Give all that is held to ``sink``; raises as `Stream.send`.

        With ``until_heard`` it ends early when ``sink`` has something to say: then something is still held.
        """
        while self.held:
            try:
                self.held -= os.splice(self._ends[0], sink.socket.fileno(), self.held, flags=_FLAGS)
            except BlockingIOError:
                if until_heard:
                    sink.wait_writable_or_ready(seconds)
                    if sink.ready:
                        return
                else:
                    sink.wait_writable(seconds)
            except OSError as failure:
                raise gone(failure) from None

    def rest(self) -> bytes:
        """What is still held, taken out."""
        data = b""
        while self.held:
            piece = os.read(self._ends[0], self.held)
            self.held -= len(piece)
            data += piece
        return data


def drop_pipes() -> None:
    """Close the pipes that are kept."""
    while _pipes:
        for end in _pipes.pop():
            os.close(end)
