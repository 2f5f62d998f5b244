"""Upgrade in place, seen from the l7 that is to be replaced: start the next one, listen to it, make way for it.

The next l7 is the same command line from the same place, executed anew: new code, new dependencies, this
configuration. It inherits the sockets and a bridge, boots beside this one, and says when all of its workers are ready.
Then this l7 unlocks the pid file, the next one takes that and the control socket, and this one drains. Until then the
next one is a child that may fail: it is told to stop, finishes what it has accepted, and this l7 goes on.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable

from l7.clock import monotonic
from l7.errors import StartError
from l7.ipc.channel import Channel, pair
from l7.ipc.messages import (
    PROTOCOL,
    BootFailed,
    Hello,
    Message,
    Serving,
    Stop,
    TakeOver,
    TookOver,
    Unfit,
)
from l7.master.children.handle import describe_end
from l7.master.children.poll import Poll, PolledChannel
from l7.master.resources.inherited import VARIABLE, InheritedResources
from l7.master.resources.pidfile import PidFile
from l7.master.resources.startup import MasterResources
from l7.master.supervision import events as v

KILL_AFTER = 2.0
"""Seconds beyond ``graceful-timeout`` that a next l7 which was given up has to end by itself."""
END_WITHIN = 5.0
"""Seconds that a next l7 which has hung up has to end, so that its exit status can be told."""


class PredecessorSide:
    """One attempt to be replaced.

    :param post: takes the outcome: `v.SuccessorTookOver` or `v.UpgradeFailed`.
    :param leave: writes the state that the next l7 reads when it takes over.
    :param report: takes complaints about messages of the next l7.
    """

    def __init__(
        self, poll: Poll, resources: MasterResources, post: Callable[[v.Event], None], leave: Callable[[], None],
        report: Callable[[str], None],
    ) -> None:  # fmt: skip
        self.bridge: Channel | None = None
        self.pid = 0
        self._poll = poll
        self._resources = resources
        self._post = post
        self._graceful = 0.0
        self._leave = leave
        self._report = report
        self._polled: PolledChannel | None = None
        self._child: subprocess.Popen[bytes] | None = None
        self._why = ""
        self._kill_at: float | None = None
        self._gone_at: float | None = None
        self._over = False
        """Whether it has taken over, or has failed."""
        self._replaced = False
        """Whether it has taken over."""

    def start(self, generation: int, graceful: float, state_file: int | None = None) -> None:
        """Execute the next l7, which is given ``graceful`` seconds to end where it is given up.

        The descriptors that it inherits stay the caller's.
        """
        self._graceful = graceful
        if os.getpid() == 1:
            self._fail("process 1 of a container cannot be replaced; start another container")
            return
        ours, theirs = pair()
        with theirs:
            left = self._resources.leave_behind(theirs.fileno(), generation, state_file)
            try:
                self._child = subprocess.Popen(
                    [sys.executable, *sys.orig_argv[1:]], env=_environment(left), pass_fds=left.descriptors
                )
            except OSError as error:
                ours.close()
                hint = "; the account that l7 runs as must be allowed to" if isinstance(error, PermissionError) else ""
                self._fail(f"cannot execute {sys.executable}: {(error.strerror or str(error)).lower()}{hint}")
                return
        self.bridge, self.pid = Channel(ours, self._report), self._child.pid
        self._polled = PolledChannel(self._poll, self.bridge, self._hear)

    def abandon(self, *, stops_itself: bool = False) -> None:
        """End the next l7: it finishes what it serves, as one that is told to stop, and is killed if it does not end.

        ``stops_itself`` is for one that has said so: a second TERM would be a quick stop.
        """
        if self._over:
            return
        self._over = True
        self._take_back()
        if self._child is not None and self._child.poll() is None:
            if not stops_itself:
                self._child.terminate()
            self._kill_at = monotonic() + self._graceful + KILL_AFTER

    def await_end(self, pause: Callable[[], bool]) -> None:
        """Wait for the end of a next l7 that was given up, so that stopping this one stops all."""
        while self._kill_at is not None and self._child is not None:
            if not pause() and self._child.poll() is None:
                self._child.send_signal(signal.SIGINT)
            self.look()

    @property
    def child(self) -> int | None:
        """The process of the next l7, until it has been reaped."""
        return None if self._child is None or self._child.returncode is not None else self._child.pid

    @property
    def due(self) -> float | None:
        """When `look` is to be called again."""
        moments = [moment for moment in (self._kill_at, self._gone_at) if moment is not None]
        return min(moments, default=None)

    def look(self) -> None:
        """Kill the next l7 when its time is over, and see whether it has ended."""
        if self._child is None:
            return
        now = monotonic()
        if self._kill_at is not None and now >= self._kill_at:
            self._child.kill()
            self._kill_at = None
        if self._child.poll() is not None:
            self._kill_at = None
            self._hear()
        if self._gone_at is not None and (self._child.poll() is not None or now >= self._gone_at):
            self._gone_at = None
            self._fail(self._end())

    def close(self) -> None:
        """Close the bridge."""
        if self.bridge is not None and self._polled is not None:
            self._polled.drop()
            self.bridge.close()
            self.bridge = None

    def _hear(self) -> None:
        if self.bridge is None:
            return
        for received in self.bridge.receive():
            received.discard()
            message = received.message
            if not self._over:
                self._listen_to(message)
            elif self._replaced and isinstance(message, Stop):
                self._post(v.QuickStopRequested() if message.quick else v.GracefulStopRequested())
        if self.bridge.closed:
            self.close()
            if not self._over:
                # Before it has taken over, that is the end of the attempt; how it ended is known in a moment.
                self._gone_at = monotonic() + END_WITHIN
                self.look()

    def _listen_to(self, message: Message) -> None:
        if isinstance(message, Hello) and message.protocol != PROTOCOL:
            self._fail(f"l7 {message.version} cannot take over from this version: stop this one, and start that")
        elif isinstance(message, Serving):
            self._make_way()
        elif isinstance(message, TookOver):
            self._over = self._replaced = True
            self._resources.leave_to_successor()
            self._post(v.SuccessorTookOver(self.pid))
        elif isinstance(message, BootFailed):
            self._why = message.why
        elif isinstance(message, Unfit):
            self._fail(f"it is not fit: {message.why}", stops_itself=True)

    def _make_way(self) -> None:
        """Release what only one l7 can have: the pid file, and the state."""
        if self._resources.pid_file is not None:
            self._resources.pid_file.unlock()
        self._leave()
        if self.bridge is not None:
            self.bridge.send(TakeOver())

    def _end(self) -> str:
        """How the next l7 has ended, in words."""
        status = None if self._child is None else self._child.returncode
        if status is None:
            word = "it hung up"
        else:
            word = "it ended with " + (f"exit status {status}" if status >= 0 else describe_end(-status))
        return word + (f" ({self._why})" if self._why else "")

    def _fail(self, why: str, *, stops_itself: bool = False) -> None:
        self.abandon(stops_itself=stops_itself)
        self._post(v.UpgradeFailed(why))

    def _take_back(self) -> None:
        """Lock the pid file again."""
        file = self._resources.pid_file
        if file is None or file.descriptor >= 0:
            return
        try:
            self._resources.pid_file = PidFile.take(file.path)
        except StartError:
            self._resources.pid_file = None  # another process has it, and removes it


def _environment(left: InheritedResources) -> dict[str, str]:
    """The environment of this l7, with what is handed down; systemd's watchdog is that of the main process."""
    kept = {name: value for name, value in os.environ.items() if name != "WATCHDOG_PID"}
    return {**kept, VARIABLE: left.variable()}
