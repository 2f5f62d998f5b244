"""Which backend serves a host and a path: the most specific rule wins, and every rule knows why it won.

The order is: the exact host, then the longest wildcard (``*.example.com`` stands for any depth of labels below
example.com, not for example.com itself), then ``*``. Within one host pattern the longest path prefix wins, prefixes
ending at segment borders: ``/api`` is for ``/api``, ``/api/x`` and ``/api?x``, not for ``/apix``. A pattern whose path
prefixes all fail leaves the request to the next pattern.

Routes guard: where one has rules, no other spelling of its path leads around it. Paths are compared as a server reads
them, and a path that servers read in ways that lead to different routes is refused (`l7.http.paths.readings`); case
counts. Lookups cost the same for one host as for ten thousand, and no request with a plain path makes an object here.

Hot: 230 instructions a request for a host without paths, compiled and called by its pointer; 800 as a method of Python.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from l7.config.values.routekeys import routes_of
from l7.errors import BAD_REQUEST, ProxyError
from l7.http import octets
from l7.http.paths.readings import dots_left, readings
from l7.http.refusals import shown

_ROOT = ""
_MOST_BOTH = 1000
"""Rules that are kept with others."""
_BORDERS = (b"", b"/", b"?")


class Match:
    """One rule, handed out as it is to every request that it wins."""

    __slots__ = ("also", "host", "key", "path", "payload", "rules")

    def __init__(self, key: str, host: str, path: str, payload: Any) -> None:
        self.key = key
        """What the table calls it, in normal form; rules with one backend may share it."""
        self.host = host
        """The host pattern: ``example.com``, ``*.example.com`` or ``*``."""
        self.path = path
        """The path prefix, ``/api``; empty for a rule without one."""
        self.payload = payload
        """What the table gave for this rule."""
        self.rules: Any = None
        """The rules for its requests (`l7.rules.ruleset`); None where there are none, or it had no request yet."""
        self.also: tuple[Match, ...] = ()
        """The routes of servers that leave dot segments to applications: who may not go there may not come here."""

    def why(self) -> str:
        """Say in words why this rule won."""
        if self.host == "*":
            reason = "default *"
        elif self.host.startswith("*."):
            reason = f"wildcard {self.host}"
        elif self.key == self.host + self.path:
            reason = "exact host"
        else:
            reason = f"exact host {self.host}"
        return f"{reason}, longest path prefix {self.path}" if self.path else reason

    def __repr__(self) -> str:
        return f"<Match {self.key}: {self.why()}>"


class _Paths:
    """The rules of one host pattern by path prefix; tries only lengths that a prefix really has, longest first."""

    __slots__ = ("_lengths", "_prefixes", "_whole")

    def __init__(self, rules: Mapping[str, Match]) -> None:
        self._whole = rules.get(_ROOT)
        self._prefixes = {path.encode(): rule for path, rule in rules.items() if path}
        self._lengths = sorted({len(prefix) for prefix in self._prefixes}, reverse=True)

    def around(self, path: bytes) -> list[Match]:
        """The rules whose prefixes are shorter parts of a prefix, the longest first, and the rule without one."""
        shorter = [path[:end] for end in self._lengths if end < len(path) and path[end : end + 1] == b"/"]
        found = [self._prefixes[prefix] for prefix in shorter if prefix in self._prefixes]
        return found if self._whole is None else [*found, self._whole]

    def match(self, path: bytes) -> Match | None:
        """Find the rule for a path in normal form (with its query, if any); ``*`` is for the rule without a prefix."""
        for length in self._lengths:
            if path[length : length + 1] in _BORDERS:
                rule = self._prefixes.get(path[:length])
                if rule is not None:
                    return rule
        return self._whole


class Routes:
    """All rules of a generation: keys are ``host``, ``*.example.com`` or ``*``, each with an optional ``/path`` prefix.

    One key may have several of these with commas between: they lead to the same place. They are in the normal form of
    `l7.config.values.routekeys`, as hosts of requests are in that of `l7.http.authority`.
    """

    __slots__ = ("_both", "_default", "_exact", "_looks", "_reach", "_simple", "_table", "_wildcards", "rules")

    def __init__(self, table: Mapping[str, Any]) -> None:
        by_host: dict[str, dict[str, Match]] = {}
        for key, payload in table.items():
            for route in routes_of(key):
                host, slash, rest = route.partition("/")
                path = slash + rest
                by_host.setdefault(host, {})[path] = Match(key, host, path, payload)
        self.rules: tuple[Match, ...] = tuple([rule for rules in by_host.values() for rule in rules.values()])
        """Every rule, those of one host together."""
        self._table = table
        self._both: dict[tuple[Match, tuple[Match, ...]], Match] = {}
        self._looks = bool([rule for rule in self.rules if rule.path])
        self._default = _Paths(by_host.pop("*", {}))
        self._wildcards = {host[1:]: _Paths(by_host.pop(host)) for host in list(by_host) if host.startswith("*.")}
        self._reach = max(map(len, self._wildcards), default=0)
        self._simple = {host: rules[_ROOT] for host, rules in by_host.items() if list(rules) == [_ROOT]}
        self._exact = {host: _Paths(rules) for host, rules in by_host.items() if host not in self._simple}

    def match(self, host: str, path: bytes) -> Match | None:
        """Find the rule for a normalised host and a path as received (``/x?y``, or ``*``); ``None`` when none is.

        Raises `ProxyError` (`BAD_REQUEST`) for a path that servers read in ways that lead to different rules.
        """
        rule = self._simple.get(host)
        if rule is not None:
            return rule
        if self._looks and not octets.plain_path(path):
            return self._match_readings(host, path)
        return self._match_normal(host, path)

    def _match_readings(self, host: str, path: bytes) -> Match | None:
        """Find the rule that every reading of a path leads to."""
        forms = readings(path.partition(b"?")[0])
        rule = self._match_normal(host, forms[0])
        if [other for other in forms[1:] if self._match_normal(host, other) is not rule]:
            raise ProxyError(BAD_REQUEST, "servers may read this path as another one", seen=shown(path))
        if rule is None:
            return None
        left = [self._match_normal(host, form) for form in dots_left(path.partition(b"?")[0])]
        others = tuple(dict.fromkeys([other for other in left if other is not None and other is not rule]))
        return self._joined(rule, others) if others else rule

    def _joined(self, rule: Match, also: tuple[Match, ...]) -> Match:
        """A rule with others, whose fences hold as well: one for all requests, as long as there are not many."""
        found = self._both.get((rule, also))
        if found is None:
            if len(self._both) >= _MOST_BOTH:
                self._both.clear()
            found = self._both[rule, also] = Match(rule.key, rule.host, rule.path, self._table[rule.key])
            found.also = also
        return found

    def _match_normal(self, host: str, path: bytes) -> Match | None:
        paths = self._exact.get(host)
        if paths is not None:
            rule = paths.match(path)
            if rule is not None:
                return rule
        if self._reach:
            rule = self._match_wildcard(host, path)
            if rule is not None:
                return rule
        return self._default.match(path)

    def enclosing(self, match: Match) -> list[Match]:
        """The rules of the same host pattern that a path rule lies within, the nearest first."""
        paths: _Paths | None = self._default
        if match.host != "*":
            found = self._wildcards if match.host.startswith("*.") else self._exact
            paths = found.get(match.host.removeprefix("*"))
        return [] if paths is None or not match.path else paths.around(match.path.encode())

    def _match_wildcard(self, host: str, path: bytes) -> Match | None:
        """Walk the host's labels, longest suffix first; starts no farther left than the longest wildcard reaches."""
        dot = host.find(".", max(1, len(host) - self._reach))
        while dot >= 0:
            paths = self._wildcards.get(host[dot:])
            if paths is not None:
                rule = paths.match(path)
                if rule is not None:
                    return rule
            dot = host.find(".", dot + 1)
        return None
