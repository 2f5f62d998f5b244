"""The sources taken together, before anything is validated: the later added ones above, each value with its place."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from l7.config.generation import Path
from l7.config.reading import flags
from l7.config.reading.complaints import Where
from l7.config.reading.document import Document
from l7.config.reading.flags import Given
from l7.config.reading.inheritance import inherit
from l7.config.reading.settings import Setting, settings
from l7.config.values.names import printable
from l7.config.values.routekeys import normal_route_key
from l7.errors import Problem

EXTENSION = "x-"
"""What a key at the top of a file begins with that is no setting: anchors are kept there (as in Compose files)."""


class SourceMerge:
    """The raw values of all sources, the later added ones above, and where they came from."""

    def __init__(self, document: Document) -> None:
        self.document = document
        self.raw: dict[str, Any] = {key: data for key, data in document.data.items() if not key.startswith(EXTENSION)}
        self.problems: list[Problem] = []
        self.sources: dict[Path, str] = {path: f"{document.name}:{line}" for path, line in document.lines.items()}
        self._places: dict[Path, str] = {}
        self._inherited: set[Path] = set()
        self._normalise_routes()

    def inherit(self) -> None:
        """Give backends their defaults: when all sources are added."""
        self._inherited = inherit(self.raw, self.sources)

    def where(self, path: Path) -> Where | None:
        """Return the place of the value at ``path``, or of the nearest one that contains it.

        None for what a backend has from the defaults, which are refused themselves.
        """
        if any(path[:depth] in self._inherited for depth in range(3, len(path) + 1)):
            return None
        below = (
            []
            if path[:1] == ("backends",)
            else [place for at, place in self._places.items() if at[: len(path)] == path != at]
        )
        if below:  # several settings that do not go together
            return Where(", ".join(dict.fromkeys(below)), show_path=True)
        for depth in range(len(path), 0, -1):
            if path[:depth] in self._places:
                return Where(self._places[path[:depth]], show_path=False)
            if path[:depth] in self.sources:
                return Where(self.sources[path[:depth]], show_path=True)
        return Where(self.document.name, show_path=True)

    def add_settings(self, given: Given) -> None:
        """Put the settings that one source gave above what is there."""
        off: dict[Path, str] = {}
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
            else:
                off.update({setting.path: name} if setting.turns_off else {})
                self._forget(setting.path)
                self._add_setting(setting, name, value)

    def _add_setting(self, setting: Setting, name: str, value: Any) -> None:
        if setting.key == "users":
            self._add_users(name, value)
        elif setting.flag.repeat:
            items = _items(value)
            self._put(setting.path, items[0] if setting.key == "bind" and len(items) == 1 else items, name)
        else:
            self._put(setting.path, value, name)

    def _add_users(self, name: str, words: list[str]) -> None:
        users: dict[str, str] = {}
        self._put(("users",), users, name)
        for word in words:
            login, colon, password = word.partition(":")
            if not colon:
                self.problems.append(Problem(name, "", "write LOGIN:PASSWORD"))
            elif login in users:
                self.problems.append(Problem(name, "", f"the login {printable(login)!r} is given twice"))
            else:
                users[login] = password
                self.sources["users", login] = self._places["users", login] = name

    def add_servers(self, words: Sequence[str], source: str) -> None:
        """Let HOST=ADDRESS words replace the servers of the hosts that they name."""
        named: dict[str, list[str]] = {}
        for word in words:
            key, equals, address = word.partition("=")
            place = source if source == flags.SERVERS else _without_login(word)
            try:
                if not equals:
                    raise ValueError("write HOST=ADDRESS, as in example.com=127.0.0.1:8081; a command comes first")
                route = normal_route_key(key)
            except ValueError as error:
                self.problems.append(Problem(place, "", str(error)))
                continue
            servers = named.setdefault(route, [])
            self._places["backends", route, "servers", len(servers)] = place
            servers.append(address)
        for route, servers in named.items():
            self._replace_servers(route, servers, source)

    def _replace_servers(self, route: str, servers: list[str], source: str) -> None:
        backends = self.raw.setdefault("backends", {})
        if backends is None:
            backends = self.raw["backends"] = {}
        if not isinstance(backends, dict):
            return  # What the file has there is refused by the schema.
        old = backends.get(route)
        path: Path = ("backends", route, "servers")
        if isinstance(old, dict) and "servers" in old:
            self._forget(path, places=False)
        backends[route] = {**(old if isinstance(old, dict) else {}), "servers": servers}
        self.sources[path] = source
        for index in range(len(servers)):
            self.sources[(*path, index)] = source

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

    def _normalise_routes(self) -> None:
        """Bring the file's routes into normal form; two that mean the same are refused, bad ones left to the schema."""
        backends = self.raw.get("backends")
        if not isinstance(backends, dict):
            return
        renamed: dict[str, str] = {}
        normal: dict[str, Any] = {}
        for key, value in backends.items():
            route = _or_same(normal_route_key, key)
            if route in normal:
                first = self.sources.get(("backends", renamed.get(route, route)), "")
                what = f"the same route as line {first.rpartition(':')[2]}"
                self.problems.append(Problem(self.sources["backends", key], f"backends.{printable(key)}", what))
                continue
            normal[route] = value
            if route != key:
                renamed[route] = key
        self.raw["backends"] = normal
        if renamed:
            self._rename(renamed)

    def _rename(self, renamed: dict[str, str]) -> None:
        back = {key: route for route, key in renamed.items()}
        for path in [path for path in self.sources if len(path) > 1 and path[0] == "backends" and path[1] in back]:
            self.sources[("backends", back[str(path[1])], *path[2:])] = self.sources.pop(path)


def _or_same(normalise: Callable[[str], str], key: str) -> str:
    try:
        return normalise(key)
    except ValueError:
        return key


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
