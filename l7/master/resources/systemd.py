"""Messages to systemd (``Type=notify``, sd_notify(3)): ready, reloading, stopping, alive, and the new main process.

Where ``NOTIFY_SOCKET`` is not set nothing is sent. Sending never waits: a message that cannot be sent is lost.
"""

from __future__ import annotations

import contextlib
import os
import socket
import time
from collections.abc import Mapping

from l7.clock import monotonic


class SystemdNotifier:
    """Tells the service manager about one master."""

    def __init__(self, environ: Mapping[str, str]) -> None:
        self._address = environ.get("NOTIFY_SOCKET", "")
        self._every = _watchdog(environ) if self._address else 0.0
        self._next = monotonic() + self._every

    def ready(self, status: str) -> None:
        """Say that l7 serves; after a reload, that it serves again."""
        self._tell("READY=1", f"STATUS={status}")

    def reloading(self) -> None:
        """Say that a reload begins, and when, which ``Type=notify-reload`` needs."""
        self._tell("RELOADING=1", f"MONOTONIC_USEC={time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000}")

    def stopping(self) -> None:
        """Say that l7 ends, because it was told to."""
        self._tell("STOPPING=1", "STATUS=stopping")

    def replaced(self, pid: int) -> None:
        """Say that process ``pid`` is the main one from now on: systemd believes that only from the present one."""
        self._tell(f"MAINPID={pid}", "READY=1", f"STATUS=process {pid} has taken over")

    @property
    def due(self) -> float | None:
        """When the watchdog is to be told again."""
        return self._next if self._every else None

    def look(self) -> None:
        """Tell the watchdog that the loop turns, if it is time."""
        if self._every and monotonic() >= self._next:
            self._next = monotonic() + self._every
            self._tell("WATCHDOG=1")

    def _tell(self, *words: str) -> None:
        if not self._address:
            return
        address = "\0" + self._address[1:] if self._address.startswith("@") else self._address
        with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
            sock.setblocking(False)
            sock.sendto("\n".join(words).encode(), address)


def _watchdog(environ: Mapping[str, str]) -> float:
    """Half of the seconds after which systemd takes l7 for hung; 0 where it has no watchdog."""
    every, pid = environ.get("WATCHDOG_USEC", ""), environ.get("WATCHDOG_PID", "")
    if not every.isdecimal() or (pid and pid != str(os.getpid())):
        return 0.0
    return int(every) / 2e6
