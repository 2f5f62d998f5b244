"""Connections that a worker lends to one that is on trial, so that this hears something where clients keep theirs."""

from __future__ import annotations

from collections.abc import Iterable

from l7.workers.downstream.connection import ClientConnection
from l7.workers.oneshot import OneShotTimer
from l7.workers.proxy import Proxy

WITHIN = 1.0
"""Seconds in which a chosen connection that is busy has to become idle; then it stays."""


class ConnectionRebalancer:
    """Which sessions are to leave although their worker stays."""

    def __init__(self, proxy: Proxy) -> None:
        self._proxy = proxy
        self.chosen: set[ClientConnection] = set()
        """Those that have not left yet."""
        self._timer = OneShotTimer(WITHIN)

    def choose(self, sessions: Iterable[ClientConnection], count: int) -> list[ClientConnection]:
        """Choose so many sessions, and return those of them that are idle and can leave at once.

        Busy ones and idle ones in the proportion in which there are of them: one in so many, in the order in which they
        were last heard of.
        """
        tunnels = {tunnel.client for tunnel in self._proxy.tunnels}
        able = [one for one in sessions if not one.last and one.lingered < 0 and one.stream not in tunnels]
        able.sort(key=lambda one: one.stream.deadline, reverse=True)
        count = min(count, len(able))
        self.chosen = {able[place * len(able) // count] for place in range(count)}
        self._proxy.parting = self._proxy.handing = bool(self.chosen)
        self._timer.start(self._end)
        return [one for one in self.chosen if one.idle]

    def takes(self, session: ClientConnection) -> bool:
        """Whether a session that has just become idle is one of those that leave."""
        if session not in self.chosen:
            return False
        self.forget(session)
        return True

    def forget(self, session: ClientConnection) -> None:
        """A session is gone."""
        if session in self.chosen:
            self.chosen.discard(session)
            if not self.chosen:
                self._end()

    def _end(self) -> None:
        self._timer.stop()
        self.chosen.clear()
        if not self._proxy.draining:
            self._proxy.parting = self._proxy.handing = False
