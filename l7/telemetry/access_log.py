"""The access log: the event loop collects lines, and one thread beside it writes them in batches.

The thread also finds out, once a second, that the file was rotated (`l7.telemetry.log_rotation`): the master opens the
new one, and ``use`` has the thread go on there.

The loop never waits for a disk or a pipe: ``log`` writes into a buffer, and 64 KiB or the next ``tick`` pass it to the
thread. Lines that cannot be written are lost, never requests: memory is bounded; a full disk, a closed pipe or a
reader that stopped cost lines, and each such period is reported when it begins and, with the number, when it ends.

One loop, one thread: ``log``, ``tick`` and ``close`` belong to the loop, ``_run`` and what it calls to the
thread. They share a deque and single-writer counters; an eventfd wakes the thread.

Hot: next to nothing a request beside the line itself; handing over is one system call for 64 KiB.
"""

from __future__ import annotations

import os
import select
import signal
import time
from collections import deque
from collections.abc import Callable

from l7.clock import monotonic
from l7.exchange import Exchange
from l7.telemetry.access_log_formats import FORMATS
from l7.telemetry.events import named
from l7.telemetry.log_rotation import rotation_of
from l7.telemetry.shared_output import NATIVE, NativeThreading, SharedOutput, descriptor_of, open_for_lines

BATCH = 64 * 1024
"""Bytes that are passed to the thread without waiting for a tick."""
_BATCH = BATCH  # the compiler's own integer: see the .pxd
_ROOM = BATCH + 8 * 1024
"""For a batch, and the line that completes it."""
BACKLOG = 1024 * 1024
"""The most bytes that wait for the thread: further lines are lost."""
LOOK_EVERY = 1.0
"""Seconds between two looks at whether the file was rotated."""


def to_stderr(message: str) -> None:
    """Report by a line on standard error; errors of writing are ignored."""
    try:
        os.write(2, f"l7: {message}\n".encode("utf-8", "backslashreplace"))
    except OSError:
        pass


class NullAccessLog:
    """The access log when it is off; base class of `AccessLog`."""

    __slots__ = ()

    @property
    def lost(self) -> int:
        """Lines lost so far."""
        return 0

    def log(self, exchange: Exchange) -> None:
        """Log nothing."""

    def tick(self) -> None:
        """Do nothing."""

    def use(self, path: str, descriptor: int) -> None:
        """Close a descriptor of the log at ``path``, which is not written."""
        os.close(descriptor)

    @property
    def is_changing(self) -> bool:
        """Whether a descriptor that `use` was given is not written to yet."""
        return False

    def has_moved(self) -> bool:
        """Whether the file was rotated, so that the log has to be opened anew; true about once a second."""
        return False

    def close(self, timeout: float = 1.0) -> bool:
        """Return True: there is nothing to write."""
        return True


class AccessLog(NullAccessLog):
    """The access log of one worker.

    ``target`` is its name in events; ``descriptor`` the open log (`open_log`), which it closes in the end; ``form`` one
    of `FORMATS`; ``lock`` the descriptor that all writers to a standard output share
    (`l7.telemetry.shared_output.make_lock`); ``native`` the unpatched primitives; ``report`` takes events, on the loop.
    """

    __slots__ = (
        "_batches", "_buffer", "_closing", "_count", "_deadline", "_descriptors", "_dropped", "_episode", "_failed",
        "_finished", "_form", "_handed", "_look_at", "_moved", "_native", "_output", "_report", "_rotation", "_seen",
        "_size", "_told", "_trouble", "_wake", "_written", "target",
    )  # fmt: skip

    def __init__(
        self,
        target: str,
        descriptor: int,
        form: str = "l7",
        *,
        lock: int | None = None,
        native: NativeThreading = NATIVE,
        report: Callable[[str], None] = to_stderr,
    ) -> None:
        self.target = target
        self._form = FORMATS[form]()
        self._report = report
        self._native = native
        self._output = SharedOutput(descriptor, lock if descriptor in (1, 2) else None, native)
        self._rotation = rotation_of(target, descriptor)
        self._look_at = 0.0
        self._moved = False
        self._descriptors: deque[int] = deque()
        self._buffer = bytearray(_ROOM)
        # Lines collected, and buffers for the thread, each with how many of its bytes are lines, and how many lines.
        self._count = 0
        self._batches: deque[tuple[bytearray, int, int]] = deque()
        # Bytes collected, passed to the thread, and finished by the thread.
        self._size = self._handed = self._written = 0
        # Lines lost to a full backlog, lines that could not be written; both as last seen and last reported.
        self._dropped = self._failed = self._seen = self._told = 0
        self._trouble = ""
        self._episode = self._closing = self._finished = False
        self._deadline = 0.0
        self._wake = os.eventfd(0, os.EFD_CLOEXEC)
        native.start_thread(self._run, ())

    @property
    def lost(self) -> int:
        """Lines lost so far."""
        return self._dropped + self._failed

    def log(self, exchange: Exchange) -> None:
        """Log a finished exchange; never waits."""
        self._size = self._form.write(self._buffer, self._size, exchange)
        self._count += 1
        if self._size >= _BATCH:
            self._hand_over()

    def use(self, path: str, descriptor: int) -> None:
        """Write to another descriptor from now on, and close it in the end, unless it is of another ``path``."""
        if self._closing or path != self.target:
            os.close(descriptor)
            return
        if self._size:
            self._hand_over()
        self._descriptors.append(descriptor)
        os.eventfd_write(self._wake, 1)

    @property
    def is_changing(self) -> bool:
        """Whether a descriptor that `use` was given is not written to yet."""
        return bool(self._descriptors)

    def has_moved(self) -> bool:
        """Whether the file was rotated, so that the log has to be opened anew; true about once a second."""
        moved, self._moved = self._moved, False
        return moved

    def tick(self) -> None:
        """Pass the collected lines to the thread, and report losses: to be called about four times a second."""
        if self._size:
            self._hand_over()
        if self._episode or self._told != self._dropped + self._failed:
            self._tell()

    def close(self, timeout: float = 1.0) -> bool:
        """Write what is left, waiting at most ``timeout`` seconds; returns whether the thread has finished."""
        if self._closing:
            return self._finished
        if self._size:
            self._hand_over()
        self._deadline = monotonic() + timeout
        self._closing = True
        os.eventfd_write(self._wake, 1)
        # The thread gives up at the deadline by itself, or a moment later where it had to wait for the lock.
        while not self._finished and monotonic() < self._deadline + 0.2:
            time.sleep(0.002)
        if self._finished:
            os.close(self._wake)
            self._output.close()
        else:
            self._dropped += sum([count for _, _, count in list(self._batches)])
        if self.lost != self._told:
            self._report(f"access log {self.target}: closed; lines lost: {self.lost - self._told}")
            self._told = self.lost
        return self._finished

    def _hand_over(self) -> None:
        buffer, size, count = self._buffer, self._size, self._count
        self._size = self._count = 0
        if self._closing or self._handed - self._written + size > BACKLOG:
            self._dropped += count
            return
        self._buffer = bytearray(_ROOM)
        self._handed += size
        self._batches.append((buffer, size, count))
        os.eventfd_write(self._wake, 1)

    def _tell(self) -> None:
        """Report losses once when they begin and once when they end: all is written and nothing was lost since."""
        lost = self.lost
        if not self._episode:
            self._episode = True
            words = f"access log {self.target}: {self._trouble or 'writing stalls'}: lines are being lost"
            self._report(named("log.stalled", words, log=self.target))
        elif lost == self._seen and not self._trouble and self._handed == self._written:
            self._episode = False
            lost_now = lost - self._told
            words = f"access log {self.target}: writing again; lines lost: {lost_now}"
            self._report(named("log.resumed", words, log=self.target, lost=lost_now))
            self._told = lost
        self._seen = lost

    def _run(self) -> None:
        """Write batches as they come until the log is closed: the thread."""
        # Signals must go to the loop's thread: one that is delivered to this thread would not wake the loop.
        signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
        poll = self._native.poll()
        poll.register(self._wake, select.POLLIN)
        while self._batches or self._descriptors or not self._closing:
            if poll.poll(None if self._rotation is None else LOOK_EVERY * 1000):
                os.read(self._wake, 8)
            # Lines that wait go into the new file: the old one may be about to be compressed.
            while self._descriptors:
                self._change(self._descriptors[0])
                self._descriptors.popleft()
            while self._batches:
                buffer, size, _ = self._batches.popleft()
                self._write(bytes(memoryview(buffer)[:size]))
            self._look()
        self._finished = True

    def _change(self, descriptor: int) -> None:
        """Write to another descriptor from now on, unless it is the same file; the one before is closed."""
        if os.path.samestat(os.fstat(descriptor), os.fstat(self._output.fd)):
            os.close(descriptor)
            return
        before, self._output = self._output, SharedOutput(descriptor, None, self._native)
        self._rotation = rotation_of(self.target, descriptor)
        before.close()

    def _look(self) -> None:
        """See whether the file was rotated, once a second."""
        if self._rotation is not None and (now := monotonic()) >= self._look_at:
            self._look_at = now + LOOK_EVERY
            self._moved = self._rotation.is_due()

    def _write(self, data: bytes) -> None:
        written, error = (0, None) if self._is_late() else self._output.write(data, self._is_late)
        if written == len(data):
            self._trouble = ""
        else:
            self._trouble = (error and error.strerror) or "writing stalls"
            self._failed += data.count(b"\n", written)
        self._written += len(data)

    def _is_late(self) -> bool:
        return self._closing and monotonic() >= self._deadline


def open_log(target: str) -> int:
    """A descriptor of the log at a path, ``-`` is standard output, as is what leads to it; raises ``OSError``."""
    number = 1 if target == "-" else descriptor_of(target)
    return number if number is not None and number in (1, 2) else open_for_lines(target)
