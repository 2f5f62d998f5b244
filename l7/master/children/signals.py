"""Signals: handlers only queue requests, the arbiter's loop takes them.

``set_wakeup_fd`` makes a descriptor readable, so that the loop's poll ends; the handler runs in the main thread between
two bytecodes and does nothing that could fail or block. Only while the first configuration is read does a request to
stop raise: reading may block for ever, and the loop does not run yet.
"""

from __future__ import annotations

import os
import signal
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from enum import Enum
from types import FrameType

from l7.clock import monotonic
from l7.errors import StartError
from l7.master.resources.process_attributes import restore_signals


class SignalRequest(Enum):
    """What a signal asks the master to do."""

    RELOAD = "reload"
    DUMP = "dump"
    UPGRADE = "upgrade"
    TERMINATE = "terminate"
    INTERRUPT = "interrupt"
    MORE = "more"
    FEWER = "fewer"
    REAP = "reap"


WISHES: Mapping[signal.Signals, SignalRequest] = {
    signal.SIGHUP: SignalRequest.RELOAD,
    signal.SIGUSR1: SignalRequest.DUMP,
    signal.SIGUSR2: SignalRequest.UPGRADE,
    signal.SIGTERM: SignalRequest.TERMINATE,
    signal.SIGINT: SignalRequest.INTERRUPT,
    signal.SIGQUIT: SignalRequest.INTERRUPT,
    signal.SIGTTIN: SignalRequest.MORE,
    signal.SIGTTOU: SignalRequest.FEWER,
    signal.SIGCHLD: SignalRequest.REAP,
}
"""The request of each signal to the master."""

COUNTED = frozenset({SignalRequest.MORE, SignalRequest.FEWER})
"""Requests that count each time; of the others one is kept until it is taken."""

FOR_THE_MASTER = (
    signal.SIGHUP,
    signal.SIGUSR1,
    signal.SIGINT,
    signal.SIGQUIT,
    signal.SIGTTIN,
    signal.SIGTTOU,
)
"""Signals that a terminal or a supervisor sends to the whole process group: ignored in workers."""

NAP = 0.05
"""Seconds between two checks for signals while the master waits for an address or another l7."""

Handler = Callable[[int, FrameType | None], object] | int | signal.Handlers | None


class SignalQueue:
    """Requests of signals that were not taken yet. ``descriptor`` is readable when there may be one."""

    def __init__(self) -> None:
        self._impatient = False
        self._wishes: deque[SignalRequest] = deque()
        self.descriptor = self._write = -1
        self._handlers: dict[signal.Signals, Handler] = {}
        self._wakeup = -1

    def open(self) -> None:
        """Install the handlers, whatever dispositions were inherited."""
        self.descriptor, self._write = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        self._wakeup = signal.set_wakeup_fd(self._write, warn_on_full_buffer=False)
        for number in WISHES:
            self._handlers[number] = signal.signal(number, self._note)
        restore_signals()

    @contextmanager
    def raise_on_stop(self) -> Iterator[None]:
        """Within, a request to stop raises `StartError`, which ends a read that would block for ever."""
        self._impatient = True
        try:
            yield
        finally:
            self._impatient = False

    def close(self) -> None:
        """Restore the previous handlers."""
        for number, handler in self._handlers.items():
            signal.signal(number, handler)
        self._handlers.clear()
        signal.set_wakeup_fd(self._wakeup)
        self.release()

    def mute(self) -> None:
        """Ignore signals at the end of the master, so that a late one cannot change its exit code.

        The interpreter drops its own handlers before it exits, so ignoring is the only safe disposition.
        """
        for number in set(self._handlers) - {signal.SIGCHLD}:
            signal.signal(number, signal.SIG_IGN)
        signal.set_wakeup_fd(self._wakeup)
        self.release()

    def release(self) -> None:
        """Close the descriptors only: called in a forked child."""
        for descriptor in (self.descriptor, self._write):
            if descriptor >= 0:
                os.close(descriptor)
        self.descriptor = self._write = -1

    def take(self) -> list[SignalRequest]:
        """The requests since the last call, in order."""
        try:
            while len(os.read(self.descriptor, 4096)) == 4096:
                continue
        except BlockingIOError:
            pass
        requests = []
        while self._wishes:
            requests.append(self._wishes.popleft())
        return requests

    def wants(self, request: SignalRequest) -> bool:
        """Whether this request waits to be taken."""
        return request in tuple(self._wishes)

    @property
    def is_told_to_stop(self) -> bool:
        """Whether a request to stop waits to be taken."""
        return self.wants(SignalRequest.TERMINATE) or self.wants(SignalRequest.INTERRUPT)

    def pause(self, seconds: float) -> bool:
        """Sleep for ``seconds``; returns False, and at once, when there is a request to stop."""
        end = monotonic() + seconds
        while monotonic() < end and not self.is_told_to_stop:
            time.sleep(NAP)
        return not self.is_told_to_stop

    def _note(self, number: int, frame: FrameType | None) -> None:
        request = WISHES[signal.Signals(number)]
        if request in COUNTED or request not in tuple(self._wishes):
            self._wishes.append(request)
        if self._impatient and request in (SignalRequest.TERMINATE, SignalRequest.INTERRUPT):
            raise StartError("told to stop while the configuration was read")


def become_worker() -> None:
    """In a new child: reset the master's handlers; to be called with all signals blocked, which it unblocks."""
    signal.set_wakeup_fd(-1)
    for number in WISHES:
        signal.signal(number, signal.SIG_IGN if number in FOR_THE_MASTER else signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_SETMASK, ())
