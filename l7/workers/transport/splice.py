"""Large bodies from socket to socket without coming into user space: ``splice(2)`` through a pipe.

Half the CPU of copying 64 KiB at a time (``docs/performance.rst``). A piece is pulled from the source into the pipe and
pushed from the pipe into the sink, so never more than a pipe's content is on its way: back-pressure and deadlines are
those of the streams. Pipes are kept for the next body while they are empty.
"""

from __future__ import annotations

import fcntl
import os

from l7.workers.transport.stream import Stream, gone

LEAST = 64 * 1024
"""Bytes that must be certain to follow before splicing pays for its pipe."""
PIPE = 1024 * 1024
"""What a pipe should hold; where the system grants less it holds less."""
KEPT = 16
"""Empty pipes that are kept."""
MOST = 256
"""Pipes in use at once: two descriptors each. Further bodies are copied."""


class PipePool:
    """Empty pipes for the next body; ``trim`` lets them go when there is no use for them any more."""

    __slots__ = ("_out", "_pipes", "_seen", "_taken")

    def __init__(self) -> None:
        self._pipes: list[tuple[int, int]] = []
        self._out = 0
        self._taken = 0
        self._seen = 0

    def take(self) -> tuple[int, int] | None:
        """The reading and the writing end of an empty pipe; None when there can be no more."""
        if self._out >= MOST:
            return None
        if self._pipes:
            ends = self._pipes.pop()
        else:
            try:
                ends = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
            except OSError:
                return None
            self._enlarge(ends[1])
        self._out += 1
        self._taken += 1
        return ends

    @staticmethod
    def _enlarge(end: int) -> None:
        try:
            fcntl.fcntl(end, fcntl.F_SETPIPE_SZ, PIPE)
        except OSError:  # beyond what this user may have: the default has to do
            pass

    def give_back(self, ends: tuple[int, int], *, empty: bool) -> None:
        """Keep a pipe that is empty; close one that is not, and one too many."""
        self._out -= 1
        if empty and len(self._pipes) < KEPT:
            self._pipes.append(ends)
        else:
            os.close(ends[0])
            os.close(ends[1])

    def trim(self) -> None:
        """Close what is kept if no pipe was taken since the last call: call it once in a while."""
        if self._seen == self._taken:
            self.close()
        self._seen = self._taken

    def close(self) -> None:
        """Close what is kept."""
        while self._pipes:
            for end in self._pipes.pop():
                os.close(end)


SHELF = PipePool()
"""The pipes of this process."""
_FLAGS = os.SPLICE_F_MOVE | os.SPLICE_F_NONBLOCK


class Pipe:
    """A pipe for one body; use it in ``with``: one that is not empty at the end, after a failure, is closed."""

    __slots__ = ("_ends", "held")

    def __init__(self, ends: tuple[int, int]) -> None:
        self._ends = ends
        self.held = 0
        """Bytes in the pipe."""

    @classmethod
    def between(cls, source: Stream, sink: Stream) -> Pipe | None:
        """As `open`; None also where the transport of one of them does not pass bytes as they are."""
        return cls.open() if source.transport.can_splice and sink.transport.can_splice else None

    @classmethod
    def open(cls) -> Pipe | None:
        """An empty pipe; None when there can be no more: then the body is copied."""
        ends = SHELF.take()
        return None if ends is None else cls(ends)

    def __enter__(self) -> Pipe:
        return self

    def __exit__(self, *_: object) -> None:
        SHELF.give_back(self._ends, empty=not self.held)

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
        while not self.push_some(sink):
            if until_heard:
                sink.wait_writable_or_readable(sink, seconds)
                if sink.ready:
                    return
            else:
                sink.wait_writable(seconds)

    def push_some(self, sink: Stream) -> bool:
        """Give ``sink`` what it takes at once; returns whether that was all. Raises `StreamLost`."""
        while self.held:
            try:
                self.held -= os.splice(self._ends[0], sink.socket.fileno(), self.held, flags=_FLAGS)
            except BlockingIOError:
                return False
            except OSError as failure:
                raise gone(failure) from None
        return True

    def rest(self) -> bytes:
        """What is still held, taken out."""
        data = b""
        while self.held:
            piece = os.read(self._ends[0], self.held)
            self.held -= len(piece)
            data += piece
        return data
