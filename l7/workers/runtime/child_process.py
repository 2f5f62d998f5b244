"""What a worker and the monitor process do alike, as children of the master that run on a loop."""

from __future__ import annotations

import faulthandler
import os
import signal
import socket
from collections.abc import Callable
from typing import Any, Protocol, TypeVar

from gevent import get_hub
from gevent.util import format_run_info

from l7.config.generation import Generation
from l7.ipc.channel import Channel
from l7.ipc.messages import BootFailed, shortened
from l7.telemetry.events import Events
from l7.workers.runtime.patching import patch_all

MASTER_GONE = "the master is gone"
CANNOT_BOOT = 3
"""Exit status of a child that could not begin."""
_OF_THE_MASTER = (
    signal.SIGINT, signal.SIGQUIT, signal.SIGHUP, signal.SIGUSR1, signal.SIGTTIN, signal.SIGTTOU, signal.SIGPIPE,
)  # fmt: skip


class ProcessSpec(Protocol):
    """What a child gets from the master, whatever it does."""

    @property
    def generation(self) -> Generation:
        """The generation that it serves."""

    @property
    def channel(self) -> socket.socket:
        """Its end of the channel to the master."""


class LoopProcess(Protocol):
    """A child that was made."""

    def run(self) -> int:
        """Run until told to stop, or until the master has exited; returns the exit status."""


S = TypeVar("S", bound=ProcessSpec)


def run_child(spec: S, make: Callable[[S, Channel, Events], LoopProcess]) -> int:
    """Make a child and run it, in a process that was forked for it; returns the exit status.

    Where it cannot be made, the master is told why.
    """
    events = Events(spec.generation.config.log_level, generation=spec.generation.number)
    channel = Channel(spec.channel, events.warning)
    try:
        patch_all()
        child = make(spec, channel, events)
    except Exception as failure:  # whatever it is, the master must be told why this generation cannot run
        channel.send(BootFailed(shortened(f"{type(failure).__name__}: {failure}")))
        return CANNOT_BOOT
    return child.run()


def listen_to_signals(what: str, on_term: Callable[[], None]) -> None:
    """Call ``on_term`` on the loop at SIGTERM, show all stacks at SIGUSR2; what is the master's is ignored.

    :param what: the kind of process.
    """

    def show_stacks(_number: int, _frame: object) -> None:
        # Runs between two byte codes, also of a loop that never ends: that is what it is for.
        text = "\n".join(format_run_info(thread_stacks=False))
        os.write(2, f"{what} {os.getpid()}: the stacks of all greenlets\n{text}\n".encode("utf-8", "replace"))

    for number in _OF_THE_MASTER:
        signal.signal(number, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, lambda *_: get_hub().loop.run_callback_threadsafe(on_term))
    signal.signal(signal.SIGUSR2, show_stacks)
    faulthandler.enable(all_threads=True)


class LoopTimers:
    """What the loop calls later, once or again and again."""

    def __init__(self) -> None:
        self._timers: list[Any] = []

    def every(self, seconds: float, call: Callable[[], None]) -> None:
        """Call it each so many seconds, for the first time after as many."""
        self._start(get_hub().loop.timer(seconds, seconds), call)

    def after(self, seconds: float, call: Callable[[], None]) -> None:
        """Call it once."""
        self._start(get_hub().loop.timer(seconds), call)

    def stop(self) -> None:
        """Call nothing any more."""
        for timer in self._timers:
            timer.stop()

    def _start(self, timer: Any, call: Callable[[], None]) -> None:
        timer.start(call)
        self._timers.append(timer)
