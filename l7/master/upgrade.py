"""Upgrade in place, seen from the l7 that is to be replaced: start the next one, listen to it, make way for it.

The next l7 is the same command line from the same place, executed anew: new code, new dependencies, this
configuration. It inherits the sockets and a bridge, boots beside us, proves itself, and says so; then we let go of the
pid file, it takes that and the control socket, and we drain. Until then it is only a child that may fail.
"""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from collections.abc import Callable

from l7.clock import monotonic
from l7.errors import StartError
from l7.master import vocabulary as v
from l7.master.handles import describe_end, receive, send
from l7.master.inheritance import VARIABLE, Inheritance
from l7.master.pidfile import PidFile
from l7.master.polling import Poll
from l7.master.startup import Ground

KILL_AFTER = 10.0
"""Seconds that a next l7 which was given up has to end by itself."""


class Upgrade:
    """One attempt. ``post`` takes what becomes of it: `v.Replaced` or `v.Failed`."""

    def __init__(self, poll: Poll, ground: Ground, post: Callable[[v.Event], None]) -> None:
        self.bridge: socket.socket | None = None
        self.pid = 0
        self._poll = poll
        self._ground = ground
        self._post = post
        self._child: subprocess.Popen[bytes] | None = None
        self._why = ""
        self._kill_at: float | None = None
        self._over = False

    def start(self, generation: int, held: dict[str, int], bequest: tuple[int, ...] = ()) -> None:
        """Execute the next l7. The descriptors that it inherits stay the caller's."""
        if os.getpid() == 1:
            self._fail("process 1 of a container cannot be replaced; start another container")
            return
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs:
            ours.setblocking(False)
            left = self._ground.leave_behind(theirs.fileno(), generation, held, bequest)
            try:
                self._child = subprocess.Popen(
                    [sys.executable, *sys.orig_argv[1:]], env=_environment(left), pass_fds=left.descriptors
                )
            except OSError as error:
                ours.close()
                hint = "; whom l7 runs as must be able to" if isinstance(error, PermissionError) else ""
                self._fail(f"cannot execute {sys.executable}: {(error.strerror or str(error)).lower()}{hint}")
                return
        self.bridge, self.pid = ours, self._child.pid
        self._poll.add(ours.fileno(), self._hear)

    def abandon(self) -> None:
        """Give the next l7 up: it is told to end, and made to."""
        if self._over:
            return
        self._over = True
        self._take_back()
        if self._child is not None and self._child.poll() is None:
            self._child.terminate()
            self._kill_at = monotonic() + KILL_AFTER
        self.close()

    @property
    def due(self) -> float | None:
        """When to look again."""
        return self._kill_at

    def look(self) -> None:
        """See whether the next l7 has ended."""
        if self._child is None:
            return
        if self._kill_at is not None and monotonic() >= self._kill_at:
            self._child.kill()
            self._kill_at = None
        if self._child.poll() is not None:
            self._kill_at = None
            self._hear()

    def close(self) -> None:
        """Let go of the bridge."""
        if self.bridge is not None:
            self._poll.drop(self.bridge.fileno())
            self.bridge.close()
            self.bridge = None

    def _hear(self) -> None:
        if self.bridge is None:
            return
        try:
            for letter in receive(self.bridge):
                event = letter.message.get("event")
                if event == "ready" and not self._over:
                    self._make_way()
                elif event == "taken" and not self._over:
                    self._over = True
                    self._ground.leave_to_successor()
                    self._post(v.Replaced(self.pid))
                elif event == "failed":
                    self._why = str(letter.message.get("why", ""))
        except EOFError:
            self._lose()

    def _make_way(self) -> None:
        """Let go of what only one can have."""
        if self._ground.pid_file is not None:
            self._ground.pid_file.unlock()
        if self.bridge is not None:
            send(self.bridge, {"do": "take-over"})

    def _lose(self) -> None:
        """The other end is closed: before it has taken over, that is the end of the attempt."""
        self.close()
        if self._over or self._child is None:
            return
        try:
            status = self._child.wait(1.0)
        except subprocess.TimeoutExpired:
            self._fail("it hung up")
            return
        word = f"exit status {status}" if status >= 0 else describe_end(-status)
        self._fail(f"it ended with {word}" + (f" ({self._why})" if self._why else ""))

    def _fail(self, why: str) -> None:
        self.abandon()
        self._post(v.UpgradeFailed(why))

    def _take_back(self) -> None:
        """Have the pid file for ourselves again."""
        file = self._ground.pid_file
        if file is None or file.descriptor >= 0:
            return
        try:
            self._ground.pid_file = PidFile(file.path)
        except StartError:
            self._ground.pid_file = None  # somebody else has it, and it is not ours to remove


def _environment(left: Inheritance) -> dict[str, str]:
    """Ours, with what is left; systemd's watchdog counts for whoever is the main process."""
    kept = {name: value for name, value in os.environ.items() if name != "WATCHDOG_PID"}
    return {**kept, VARIABLE: left.variable()}
