"""A name's record: its last good answer, its time to live, when to look it up again. Pure.

An answer that is not good (no such name, no name server, no answer in time) changes nothing about the addresses: a
name server that fails must not take servers away that serve.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import NamedTuple

from l7.networks import host_port

FIRST_PAUSE = 1.0
"""Seconds until a name is asked for again after a first failure; it doubles."""
LONGEST_PAUSE = 30.0
JITTER = 0.1
"""Part of a time to live by which a look-up may be later, so that many names are not looked up at once."""
MOST = 256
"""The most addresses of one name that are used."""
UNWEIGHTED = -1
"""The weight of an address without a weight of its own: that of its server counts."""


class FoundAddress(NamedTuple):
    """One address of a name; ``reserve`` is one of an SRV record that is to be used only without the others."""

    host: str
    port: int
    weight: int = UNWEIGHTED
    reserve: bool = False

    def __str__(self) -> str:
        return host_port(self.host, self.port)


class ResolvedEndpoint(NamedTuple):
    """One address of a server that is given by name, with its row in the shared memory: known by all processes."""

    host: str
    port: int
    row: int
    weight: int = UNWEIGHTED
    reserve: bool = False


class NameAnswer(NamedTuple):
    """The result of one look-up: addresses, or ``why`` there are none."""

    found: tuple[FoundAddress, ...]
    ttl: float = 0.0
    why: str = ""


@dataclass
class NameRecord:
    """One name. ``shortest`` and ``longest`` are the bounds of a time to live, in seconds."""

    shortest: float
    longest: float
    found: tuple[FoundAddress, ...] = ()
    why: str = ""
    """Why the last look-up failed; empty when it did not."""
    _failures: int = field(default=0, repr=False)

    def note(self, answer: NameAnswer) -> bool:
        """Take an answer; returns whether the addresses have changed, or whether look-ups began or ceased to work."""
        before = (self.found, self.why)
        if answer.found:
            self.found, self.why, self._failures = normal(answer.found), "", 0
        else:
            self.why = answer.why or "it has no address"
            self._failures += 1
        return before != (self.found, self.why)

    def next_look(self, ttl: float, draw: float) -> float:
        """Seconds until the name is looked up again; ``draw``, between 0 and 1, is the random part."""
        if self._failures:
            seconds = min(FIRST_PAUSE * float(2 ** min(self._failures - 1, 16)), LONGEST_PAUSE, self.longest)
        else:
            seconds = min(max(ttl, self.shortest), self.longest)
        return seconds * (1 + JITTER * draw)


def normal(found: tuple[FoundAddress, ...]) -> tuple[FoundAddress, ...]:
    """The addresses sorted, each once, so that a reordered answer is equal.

    An address that is listed both as a reserve and not is no reserve.
    """
    unique = {(one.host, one.port): one for one in sorted(found, key=lambda one: (one.reserve, one), reverse=True)}
    return tuple(sorted(unique.values()))[:MOST]


class SrvRecord(NamedTuple):
    """One line of an SRV answer (RFC 2782)."""

    priority: int
    weight: int
    port: int
    target: str


def scale(services: tuple[SrvRecord, ...], most: int) -> tuple[SrvRecord, ...]:
    """The services with weights scaled to at most ``most``, in proportion; 0 becomes 1, the least weight.

    Weights are compared within one priority only.
    """
    largest: dict[int, int] = {}
    for service in services:
        largest[service.priority] = max(service.weight, largest.get(service.priority, most))
    return tuple(
        service._replace(weight=max(1, round(service.weight * most / largest[service.priority])))
        for service in services
    )
