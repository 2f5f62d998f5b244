"""The master's view of one child: its process and the channel to it."""

from __future__ import annotations

import os
import signal
import time
from dataclasses import dataclass

from l7.clock import monotonic
from l7.ipc.channel import Channel


@dataclass(eq=False)
class ChildProcess:
    """One child process that has not been reaped, so its pid cannot belong to another process."""

    slot: int
    index: int
    generation: int
    pid: int
    channel: Channel
    started: float
    digest: str = ""
    """The digest of the configuration that it runs with."""
    why: str = ""
    """The child's own message about its exit, if any."""

    def signal(self, number: signal.Signals) -> None:
        """Send a signal; a process that is gone and not reaped yet takes it without an error."""
        try:
            os.kill(self.pid, number)
        except (ProcessLookupError, PermissionError):
            return

    def reap(self) -> int | None:
        """Reap the process if it has exited; returns its wait status, or None."""
        try:
            pid, status = os.waitpid(self.pid, os.WNOHANG)
        except ChildProcessError:
            return 0  # SIGCHLD was ignored before l7 was started
        return status if pid else None

    def await_end(self, seconds: float) -> bool:
        """Wait at most ``seconds`` for the process to exit: only where the master has nothing else left to do."""
        until = monotonic() + seconds
        while self.reap() is None:
            if monotonic() >= until:
                return False
            time.sleep(0.005)
        return True


def describe_end(status: int, why: str = "") -> str:
    """A wait status as text, with the child's own message ``why``."""
    if os.WIFSIGNALED(status):
        number = os.WTERMSIG(status)
        try:
            words = f"killed by {signal.Signals(number).name}"
        except ValueError:
            words = f"killed by signal {number}"
        if os.WCOREDUMP(status):
            words += ", core dumped"
    else:
        words = f"exit status {os.WEXITSTATUS(status)}"
    return f"{words} ({why})" if why else words
