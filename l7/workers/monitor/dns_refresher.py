"""Resolves the names of servers again as their time to live ends.

Each name has a greenlet of its own, so a slow name server delays no other name. Changes are sent to the master; a
failed look-up is sent, too, and changes no addresses.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping, Sequence

import gevent
from gevent.lock import BoundedSemaphore

from l7.balancing.dns_records import FoundAddress, NameRecord, ResolvedEndpoint
from l7.config.schema import Backend
from l7.config.schema import Resolver as Settings
from l7.config.values.addresses import Address
from l7.ipc.messages import Resolved, shortened
from l7.telemetry.events import Events, named
from l7.workers.upstream.connector import LookUp

AT_A_TIME = 64
"""Look-ups under way at a time."""
MOST_NAMED = 5
"""The most addresses that an event lists."""

Known = Mapping[tuple[str, str], Sequence[ResolvedEndpoint]]
Tell = Callable[[Resolved], None]


class DnsRefresher:
    """Resolves the names of servers. ``known`` are the addresses found before, by route and server."""

    def __init__(
        self, settings: Settings, backends: Mapping[str, Backend], look_up: LookUp, known: Known, tell: Tell,
        events: Events,
    ) -> None:  # fmt: skip
        self._look_up = look_up
        self._settings = settings
        self._tell = tell
        self._events = events
        self._known = known
        self._turns = BoundedSemaphore(AT_A_TIME)
        self._servers: dict[Address, dict[str, None]] = {}
        """The routes that use each name."""
        for route, backend in backends.items():
            for server in backend.servers:
                if server.address.named:
                    self._servers.setdefault(server.address, {})[route] = None

    def __len__(self) -> int:
        return len(self._servers)

    def start(self) -> None:
        """Begin."""
        for address in self._servers:
            gevent.spawn(self._follow, address)

    def _follow(self, address: Address) -> None:
        knowledge = NameRecord(self._settings.min_ttl, self._settings.max_ttl, self._recall(address))
        first = True
        while True:
            with self._turns:
                answer = self._look_up(address)
            # Found by the predecessor, and received after this one had begun.
            knowledge.found = before = knowledge.found or self._recall(address)
            changed = knowledge.note(answer)
            if changed:
                self._say(address, before, knowledge)
            if changed or first:
                for route in self._servers[address]:
                    self._publish(route, address, knowledge)
            first = False
            gevent.sleep(knowledge.next_look(answer.ttl, random.random()))

    def _recall(self, address: Address) -> tuple[FoundAddress, ...]:
        """The addresses that the previous monitor process found."""
        for route in self._servers[address]:
            known = self._known.get((route, str(address)))
            if known:
                return tuple(FoundAddress(one.host, one.port, one.weight, one.reserve) for one in known)
        return ()

    def _publish(self, route: str, address: Address, knowledge: NameRecord) -> None:
        self._tell(Resolved(route, str(address), knowledge.found, shortened(knowledge.why)))

    def _say(self, address: Address, before: tuple[FoundAddress, ...], knowledge: NameRecord) -> None:
        if knowledge.why:
            stays = "the last answer stays" if knowledge.found else "it has no servers until it can"
            words = f"the name {address} cannot be looked up: {knowledge.why}; {stays}"
            self._events.warning(named("name.failed", words, name=address, reason=knowledge.why))
            return
        come, gone = _others(knowledge.found, before), _others(before, knowledge.found)
        text = _listed("", come) if not before else _listed("joined by ", come) + _listed("left by ", gone)
        if not text:
            text = "looked up again" if knowledge.found == before else "weighted anew"
        self._events.info(named("name.changed", f"the name {address} is {text}".rstrip("; "), name=address))


def _others(found: Sequence[FoundAddress], than: Sequence[FoundAddress]) -> list[FoundAddress]:
    """The addresses that are not among ``than``, whatever their weights."""
    known = {(one.host, one.port) for one in than}
    return [one for one in found if (one.host, one.port) not in known]


def _listed(verb: str, found: list[FoundAddress]) -> str:
    if not found:
        return ""
    more = f" and {len(found) - MOST_NAMED} more" if len(found) > MOST_NAMED else ""
    return verb + ", ".join(map(str, found[:MOST_NAMED])) + more + "; "
