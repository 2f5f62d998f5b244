"""The sources taken together, before anything is validated: the later added ones above, each value with its place."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from l7.config.generation import Path
from l7.config.reading import flags
from l7.config.reading.complaints import Where
from l7.config.reading.document import Document
from l7.config.reading.flags import Given
from l7.config.reading.inheritance import inherit
from l7.config.reading.settings import Setting, is_mapping, settings, short_forms
from l7.config.sections.listeners import SHORT_FORM
from l7.config.values.names import printable
from l7.config.values.routekeys import joined, normal_route_key, routes_of
from l7.errors import Problem
from l7.units import quoted

EXTENSION = "x-"
"""What a key at the top of a file begins with that is no setting: anchors are kept there (as in Compose files)."""


CERTIFICATES = "tls.certificates"
"""The setting whose flag has another one beside it."""


class SourceMerge:
    """The raw values of all sources, the later added ones above, and where they came from."""

    def __init__(self, document: Document | None) -> None:
        document = Document("") if document is None else document
        self.document = document
        self.raw: dict[str, Any] = {key: data for key, data in document.data.items() if not key.startswith(EXTENSION)}
        self.problems: list[Problem] = []
        self.sources: dict[Path, str] = {path: f"{document.name}:{line}" for path, line in document.lines.items()}
        self._places: dict[Path, str] = {}
        self._inherited: set[Path] = set()
        self._lengthen()
        self._normalise_routes()

    def inherit(self) -> None:
        """Give backends their defaults: when all sources are added."""
        self._inherited = inherit(self.raw, self.sources)

    def refuse_short_form(self) -> None:
        """Refuse `port` and `bind` beside `listeners`, by their names: when all sources are added."""
        if not self.raw.get("listeners"):
            return
        for key in SHORT_FORM:
            at = self.where((key,)) if key in self.raw else None
            if at is not None:
                what = (
                    "cannot stand beside listeners, of which it is the short form; write it into the address of a"
                    f" listener ({self.sources.get(('listeners',), self.document.name)})"
                )
                self.problems.append(Problem(at.place, key if at.show_path else "", what))

    def where(self, path: Path) -> Where | None:
        """Return the place of the value at ``path``, or of the nearest one that contains it.

        None for what a backend has from the defaults, which are refused themselves.
        """
        if any(path[:depth] in self._inherited for depth in range(3, len(path) + 1)):
            return None
        if path not in self._places and path[:1] != ("backends",):
            below = [place for at, place in self._places.items() if path and at[: len(path)] == path]
            if below:  # several settings that do not go together
                return Where(", ".join(dict.fromkeys(below)), show_path=True)
        for depth in range(len(path), 0, -1):
            if path[:depth] in self._places:
                return Where(self._places[path[:depth]], show_path=False)
            if path[:depth] in self.sources:
                return Where(self.sources[path[:depth]], show_path=True)
        beside = [place for at, place in self._places.items() if path[1:] and at[: len(path) - 1] == path[:-1]]
        return Where(beside[0] if beside else self.document.name, show_path=True)

    def add_settings(self, given: Given) -> None:
        """Put the settings that one source gave above what is there."""
        off: dict[Path, str] = {}
        if given.keys and CERTIFICATES not in given.values:
            certificate = "--tls-cert" if given.keys_by == "--tls-key" else "L7_TLS_CERT"
            self.problems.append(Problem(given.keys_by, "", f"write {certificate}, too: the certificate of the key"))
        for setting in settings():
            if setting.key not in given.values:
                continue
            name, value = given.values[setting.key]
            above = next(
                (off[setting.path[:end]] for end in range(len(setting.path)) if setting.path[:end] in off), None
            )
            if above is not None:
                self.problems.append(Problem(name, "", f"{above} turns off what this is a setting of"))
            elif setting.turns_off and value != "off":
                self.problems.append(Problem(name, "", "write off; each of its settings has a flag of its own"))
            elif value == "off" and (setting.turns_off or setting.stands_for != setting.path):
                off[setting.stands_for] = name
                self._forget(setting.stands_for)
                self._put(setting.stands_for, value, name)
            else:
                self._forget(setting.path)
                self._add_setting(setting, name, value, given.keys)

    def _add_setting(self, setting: Setting, name: str, value: Any, keys: Sequence[str]) -> None:
        if is_mapping(setting.info):
            self._add_users(setting.path, name, value)
        elif setting.key == CERTIFICATES:
            self._add_certificates(setting.path, name, value, keys)
        elif setting.flag.repeat:
            items = _items(value)
            self._put(setting.path, items[0] if setting.key == "bind" and len(items) == 1 else items, name)
        else:
            self._put(setting.path, value, name)

    def _add_certificates(self, path: Path, name: str, certs: list[str], keys: Sequence[str]) -> None:
        """Put certificates with the keys that are given at the same places; without any keys these are in the files."""
        if keys and len(keys) != len(certs):
            what = f"{len(certs)} certificates and {len(keys)} keys are given: they go in pairs, in the same order"
            self.problems.append(Problem(name, "", what))
        pairs = zip(certs, keys, strict=False) if keys else ((cert, None) for cert in certs)
        items = [{"cert": cert} if key is None else {"cert": cert, "key": key} for cert, key in pairs]
        self._put(path, items, name)
        for index, item in enumerate(items):
            self.sources.update(((*path, index, part), name) for part in item)

    def _add_users(self, path: Path, name: str, words: list[str]) -> None:
        users: dict[str, str] = {}
        self._put(path, users, name)
        for word in words:
            login, colon, password = word.partition(":")
            if not colon:
                self.problems.append(Problem(name, "", "write LOGIN:PASSWORD"))
            elif login in users:
                self.problems.append(Problem(name, "", f"the login {printable(login)!r} is given twice"))
            else:
                users[login] = password
                self.sources[(*path, login)] = self._places[(*path, login)] = name

    def add_servers(self, words: Sequence[str], source: str) -> None:
        """Let HOST=ADDRESS words replace the servers of the hosts that they name."""
        named: dict[str, list[str]] = {}
        by_host: dict[str, str] = {}
        for word in words:
            key, equals, address = word.partition("=")
            place = source if source == flags.SERVERS else _without_login(word)
            try:
                if not equals:
                    raise ValueError("write HOST=ADDRESS, as in example.com=127.0.0.1:8081; a command comes first")
                key = _same_hosts(normal_route_key(key), by_host)
            except ValueError as error:
                self.problems.append(Problem(place, "", str(error)))
                continue
            servers = named.setdefault(key, [])
            self._places["backends", key, "servers", len(servers)] = place
            servers.append(address)
        if not named:
            return
        backends = self.raw.setdefault("backends", {})
        if backends is None:
            backends = self.raw["backends"] = {}
        if not isinstance(backends, dict):
            return  # What the file has there is refused by the schema.
        owners = {host: key for key in backends for host in routes_of(key)}
        for key, servers in named.items():
            try:
                self._take_apart(key, backends, owners)
            except ValueError as error:
                self.problems.append(Problem(self._places["backends", key, "servers", 0], "", str(error)))
            else:
                self._replace_servers(key, backends, servers, source)

    def _replace_servers(self, key: str, backends: dict[str, Any], servers: list[str], source: str) -> None:
        old = backends.get(key)
        path: Path = ("backends", key, "servers")
        if isinstance(old, dict) and "servers" in old:
            self._forget(path, places=False)
        backends[key] = {**(old if isinstance(old, dict) else {}), "servers": servers}
        self.sources[path] = source
        for index in range(len(servers)):
            self.sources[(*path, index)] = source

    def _take_apart(self, key: str, backends: dict[str, Any], owners: dict[str, str]) -> None:
        """Make the hosts of ``key`` a backend of their own, with the settings of the one that they are part of.

        ``owners`` has the key of each host. Raises ValueError where they are parts of different ones.
        """
        hosts = routes_of(key)
        parts = list(dict.fromkeys(owners[host] for host in hosts if host in owners))
        if len(parts) > 1:
            raise ValueError(f"these are hosts of different backends: {quoted(parts[0])} and {quoted(parts[1])}")
        for owner in parts if parts != [key] else ():
            left = joined(host for host in routes_of(owner) if host not in hosts)
            found = backends.pop(owner)
            for new in filter(None, (left, key)):
                backends[new] = found
                owners.update((host, new) for host in routes_of(new))
                self._rename({owner: new}, keep=True)

    def _put(self, path: Path, value: Any, name: str) -> None:
        """Set the value at ``path``; a section that is ``off`` or missing on the way there is made."""
        at: Any = self.raw
        for part in path[:-1]:
            below = {} if at.get(part, "off") == "off" else at[part]
            if not isinstance(below, dict):
                return  # What the file has there is refused by the schema.
            at[part] = dict(below)
            at = at[part]
        at[path[-1]] = value
        self.sources[path] = self._places[path] = name

    def _forget(self, path: Path, *, places: bool = True) -> None:
        """Drop the sources of a value that is about to be replaced."""
        for table in (self.sources, self._places) if places else (self.sources,):
            for old in [old for old in table if old[: len(path)] == path]:
                del table[old]

    def _lengthen(self) -> None:
        """Write sections of the file as mappings that have a short form, so that flags can add to them."""
        for key, setting in short_forms().items():
            value = self.raw.get(key)
            if isinstance(value, str) and value != "off":
                self.raw[key] = {setting: value}

    def _normalise_routes(self) -> None:
        """Bring the file's routes into normal form; two that mean the same are refused, bad ones left to the schema."""
        backends = self.raw.get("backends")
        if not isinstance(backends, dict):
            return
        owners: dict[str, str] = {}
        renamed: dict[str, str] = {}
        normal: dict[str, Any] = {}
        for key, value in backends.items():
            try:
                route = normal_route_key(key)
                routes = routes_of(route)
            except ValueError:
                route, routes = key, [key]
            taken = next((one for one in routes if one in owners), None)
            if taken is not None:
                what = "the same route" if taken == route else f"{quoted(taken)} is the same route"
                line = self.sources["backends", owners[taken]].rpartition(":")[2]
                self.problems.append(
                    Problem(self.sources["backends", key], f"backends.{printable(key)}", f"{what} as line {line}")
                )
                continue
            owners.update((one, key) for one in routes)
            normal[route] = value
            if route != key:
                renamed[key] = route
        self.raw["backends"] = normal
        if renamed:
            self._rename(renamed)

    def _rename(self, renamed: dict[str, str], *, keep: bool = False) -> None:
        """Let what is known of the backends on the left be known of those on the right; ``keep``: of both."""
        for path in [path for path in self.sources if len(path) > 1 and path[0] == "backends" and path[1] in renamed]:
            source = self.sources[path] if keep else self.sources.pop(path)
            self.sources[("backends", renamed[str(path[1])], *path[2:])] = source


def _same_hosts(key: str, by_host: dict[str, str]) -> str:
    """Return the key of the words before that name the same hosts as ``key``, or else ``key``, and remember it.

    Raises ValueError where they name some of the same hosts and not all.
    """
    hosts = routes_of(key)
    other = next((by_host[host] for host in hosts if host in by_host), None)
    if other is None:
        by_host.update((host, key) for host in hosts)
        return key
    if set(hosts) != set(routes_of(other)):
        raise ValueError(f"some of its hosts are named together with others before, as {quoted(other)}")
    return other


def _items(words: list[str]) -> list[str]:
    """Take the items of repeated flags and of lists with commas together."""
    return [item.strip() for word in words for item in word.strip().split(",")]


def _without_login(word: str) -> str:
    """Return a word for a message, without what may be a password in it."""
    key, equals, address = word.partition("=")
    if "@" in address:
        address = "***@" + address.rpartition("@")[2]
    host, colon, rest = key.partition(":")
    if colon and not (equals and rest.isdigit()) and not key.startswith("["):
        key = host + ":***"
    return printable(key + equals + address)
