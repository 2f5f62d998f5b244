"""What is known of a name: its last good answer, how long that is fresh, when to ask again. Pure.

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
"""Part of a time by which it may be longer, so that many names are not asked for at once for ever."""
MOST = 256
"""Addresses of one name that are used."""
UNWEIGHTED = -1
"""The weight of an address whose name says none: that of its server counts."""


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
    """What came of one look-up: addresses, or ``why`` there are none."""

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
        """Take an answer; returns whether the addresses are others now, or whether it works at all."""
        before = (self.found, self.why)
        if answer.found:
            self.found, self.why, self._failures = normal(answer.found), "", 0
        else:
            self.why = answer.why or "it has no address"
            self._failures += 1
        return before != (self.found, self.why)

    def next_look(self, ttl: float, draw: float) -> float:
        """Seconds until the name is to be asked for again; ``draw`` is between 0 and 1."""
        if self._failures:
            seconds = min(FIRST_PAUSE * float(2 ** min(self._failures - 1, 16)), LONGEST_PAUSE, self.longest)
        else:
            seconds = min(max(ttl, self.shortest), self.longest)
        return seconds * (1 + JITTER * draw)


def normal(found: tuple[FoundAddress, ...]) -> tuple[FoundAddress, ...]:
    """The addresses in order, each once: so that an answer that is only shuffled is the same.

    One that is listed as a reserve as well is none.
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
    """The services with weights of at most ``most`` that keep their proportions; 0 stays the least there is, 1.

    Weights are compared within one priority only.
    """
    largest: dict[int, int] = {}
    for service in services:
        largest[service.priority] = max(service.weight, largest.get(service.priority, most))
    return tuple(
        service._replace(weight=max(1, round(service.weight * most / largest[service.priority])))
        for service in services
    )
