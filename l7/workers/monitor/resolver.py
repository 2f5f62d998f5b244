"""Looking names up as the system does, with their time to live: the hosts file, then DNS (dnspython).

Run in the monitor process, once per machine, and in a worker that has no addresses from it yet; a look-up blocks its
own greenlet alone. Which name servers are asked and which domains are searched says ``/etc/resolv.conf``, read again
when it changes, unless ``resolver.servers`` names others. dnspython and not ``getaddrinfo``, because that tells
neither the time to live nor SRV records.
"""

from __future__ import annotations

import ipaddress
import os
import socket
from collections.abc import Callable, Iterable, Mapping
from typing import Generic, NamedTuple, TypeVar

import dns.exception
import dns.nameserver
import dns.rdatatype
import dns.rdtypes.ANY.CNAME
import dns.rdtypes.ANY.OPT
import dns.rdtypes.ANY.SOA
import dns.rdtypes.IN.A
import dns.rdtypes.IN.AAAA
import dns.rdtypes.IN.SRV
import dns.resolver
import gevent

from l7.balancing.dns_records import FoundAddress, NameAnswer, SrvRecord, scale
from l7.clock import monotonic
from l7.config.schema import Resolver as Settings
from l7.config.values.addresses import Address
from l7.errors import L7Error
from l7.workers.bounded_cache import BoundedCache

HOSTS = "/etc/hosts"
RESOLV_CONF = "/etc/resolv.conf"
LOOPBACK = ("127.0.0.1", "::1")
"""What ``localhost`` is where the hosts file does not say (RFC 6761)."""
LARGEST_WEIGHT = 256
"""What a server's weight may be at most; those of SRV records are scaled down to it."""
FAMILIES = {4: socket.AF_INET, 6: socket.AF_INET6}

T = TypeVar("T")

Hosts = Mapping[str, tuple[str, ...]]
"""Addresses by name."""

MOST_REMEMBERED = 4096
"""Look-ups of which the last good answer is kept."""


class LookupResult(NamedTuple):
    """Addresses, seconds that they are good for, and why the look-up failed, where it did."""

    hosts: tuple[str, ...]
    ttl: float = 0.0
    why: str = ""


class LookupFailed(L7Error):
    """A name server gave no answer, or a bad one; in words."""


class WatchedFile(Generic[T]):
    """What a file of the system says, read again when it has changed; one that cannot be read says nothing new."""

    def __init__(self, path: str, read: Callable[[str], T], empty: T) -> None:
        self._path = path
        self._read = read
        self._content = empty
        self._seen: tuple[int, int, int] | None = None

    def content(self) -> T:
        """What it says now."""
        try:
            found = os.stat(self._path)
            seen = (found.st_mtime_ns, found.st_ino, found.st_size)
            if seen != self._seen:
                self._content, self._seen = self._read(self._path), seen
        except OSError:
            self._seen = None
        return self._content


class NameResolver:
    """Looks up servers that are given by name."""

    def __init__(self, settings: Settings, hosts: str = HOSTS, resolv_conf: str = RESOLV_CONF) -> None:
        self._settings = settings
        self._hosts: WatchedFile[Hosts] = WatchedFile(hosts, read_hosts, {})
        self._system = WatchedFile(resolv_conf, _read_resolv_conf, _resolver())
        self._last: BoundedCache[tuple[str, str], tuple[tuple[str, ...], float]] = BoundedCache(MOST_REMEMBERED)
        """The last good answers and until when they stand in where a part of the next one fails."""

    def look_up(self, address: Address) -> NameAnswer:
        """Everything that a server's name stands for now; never raises and never takes much longer than allowed."""
        if address.srv:
            return self._service(address.host)
        hosts, ttl, why = self._addresses(address.host)
        return NameAnswer(() if why else tuple(FoundAddress(host, address.port) for host in hosts), ttl, why)

    def system(self) -> dns.resolver.Resolver:
        """Whom to ask now, and how."""
        resolver = self._system.content()
        if self._settings.servers:
            resolver.nameservers = [dns.nameserver.Do53Nameserver(s.host, s.port) for s in self._settings.servers]
        # A name server that is dead must leave some of the time for the next one.
        resolver.timeout = self._settings.timeout / max(2, len(resolver.nameservers))
        return resolver

    def _service(self, name: str) -> NameAnswer:
        """All servers of an SRV record: those of the lowest priority, and the others as their reserve."""
        try:
            answer = self._ask(name, dns.rdatatype.SRV)
        except LookupFailed as failure:
            return NameAnswer((), why=str(failure))
        if answer.rrset is None:
            return NameAnswer((), why="no such service")
        listed = (SrvRecord(one.priority, one.weight, one.port, one.target.to_text()) for one in answer.rrset)
        services = scale(tuple(service for service in listed if service.target != "."), LARGEST_WEIGHT)
        if not services:
            return NameAnswer((), why="the service is not available")
        first = min(service.priority for service in services)
        targets = sorted({service.target for service in services})
        lookups = dict(zip(targets, _each(self._addresses, targets), strict=True))
        found = tuple(
            FoundAddress(host, service.port, service.weight, service.priority > first)
            for service in services
            for host in lookups[service.target].hosts
        )
        good = [lookup.ttl for lookup in lookups.values() if not lookup.why]
        if not good:
            target, lookup = next(iter(lookups.items()))
            return NameAnswer((), why=f"{target.removesuffix('.')}: {lookup.why}")
        return NameAnswer(found, min(answer.chaining_result.minimum_ttl, *good))

    def _addresses(self, name: str) -> LookupResult:
        """Both kinds of addresses. Of what could not be asked the last good answer is given, with why it failed.

        A name with a dot at its end is whole: it is looked up as it is, and in no search domain.
        """
        bare = name.removesuffix(".")
        known = self._hosts.content().get(bare)
        if known is None and (bare == "localhost" or bare.endswith(".localhost")):
            known = LOOPBACK
        if known is not None:
            return LookupResult(reachable(known), self._settings.min_ttl)
        lookups = _each(lambda kind: self._records(name, kind), (dns.rdatatype.A, dns.rdatatype.AAAA))
        hosts = tuple(host for lookup in lookups for host in lookup.hosts)
        good = [lookup.ttl for lookup in lookups if not lookup.why]
        if not good:
            return LookupResult(hosts, why=lookups[0].why)
        return LookupResult(reachable(hosts), min(good)) if hosts else LookupResult((), why="it has no address")

    def _records(self, name: str, kind: dns.rdatatype.RdataType) -> LookupResult:
        key = (name, kind.name)
        try:
            answer = self._ask(name, kind)
        except LookupFailed as failure:
            hosts, until = self._last.get(key) or ((), 0.0)
            return LookupResult(hosts if monotonic() < until else (), why=str(failure))
        hosts = () if answer.rrset is None else tuple(record.address for record in answer.rrset)
        self._last[key] = (hosts, monotonic() + self._settings.max_ttl)
        return LookupResult(hosts, answer.chaining_result.minimum_ttl)

    def _ask(self, name: str, kind: dns.rdatatype.RdataType) -> dns.resolver.Answer:
        resolver = self.system()
        try:
            return resolver.resolve(name, kind, search=True, lifetime=self._settings.timeout, raise_on_no_answer=False)
        except dns.exception.DNSException as failure:
            raise LookupFailed(describe(failure)) from failure
        except (OSError, ValueError, EOFError) as failure:
            raise LookupFailed(f"the name server cannot be asked: {failure}") from failure


def describe(failure: dns.exception.DNSException) -> str:
    """A failed look-up in words."""
    if isinstance(failure, dns.resolver.NXDOMAIN):
        return "no such name"
    if isinstance(failure, dns.exception.Timeout):
        return "no name server answers"
    if isinstance(failure, dns.resolver.NoNameservers):
        return "the name servers fail"
    return str(failure) or type(failure).__name__


def reachable(hosts: tuple[str, ...]) -> tuple[str, ...]:
    """Those to which this machine has a route; all, where it has none to any: then their connections say why."""
    return tuple(host for host in hosts if _has_route(host)) or hosts


def _has_route(host: str) -> bool:
    """Whether the kernel knows a way; connecting a datagram socket sends nothing."""
    try:
        with socket.socket(FAMILIES[ipaddress.ip_address(host).version], socket.SOCK_DGRAM) as sock:
            sock.connect((host, 53))
    except (OSError, ValueError):
        return False
    return True


def _each(call: Callable[[T], LookupResult], arguments: Iterable[T]) -> list[LookupResult]:
    """Call with every argument, at the same time."""
    greenlets = [gevent.spawn(call, argument) for argument in arguments]
    try:
        return [greenlet.get() for greenlet in greenlets]
    finally:
        gevent.killall(greenlets, block=False)


def read_hosts(path: str) -> Hosts:
    """Names and addresses of a hosts file (hosts(5)); what is no address is left out."""
    found: dict[str, tuple[str, ...]] = {}
    with open(path, encoding="utf-8", errors="replace") as file:
        for line in file:
            host, *names = line.partition("#")[0].split() or [""]
            try:
                host = str(ipaddress.ip_address(host))
            except ValueError:
                continue
            for name in {name.lower().removesuffix(".") for name in names}:
                found[name] = (*found.get(name, ()), *(() if host in found.get(name, ()) else (host,)))
    return found


def _read_resolv_conf(path: str) -> dns.resolver.Resolver:
    resolver = _resolver()
    try:
        resolver.read_resolv_conf(path)
    except (dns.exception.DNSException, ValueError):
        return _resolver()  # without a name server, or with one that is none
    return resolver


def _resolver() -> dns.resolver.Resolver:
    """A resolver as resolv.conf(5) has it without that file."""
    resolver = dns.resolver.Resolver(configure=False)
    resolver.nameservers = ["127.0.0.1"]
    return resolver
