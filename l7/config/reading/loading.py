"""Loading: flags, environment, file and defaults become one configuration that knows where each value came from.

Precedence is ConfigArgParse's: flag > environment > file > default, setting by setting. ``users`` is one setting: the
logins of the highest source replace those of the others. Servers go by host: HOST=ADDRESS words replace the servers
of the hosts they name and leave the rest of the file as it is.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from pydantic import ValidationError

from l7.config.file_content import read_file
from l7.config.generation import Loaded, Path
from l7.config.reading import flags
from l7.config.reading.complaints import Where, complaints, in_order
from l7.config.reading.document import Document, read
from l7.config.reading.flags import Given
from l7.config.schema import Config
from l7.config.values.names import printable
from l7.config.values.routekeys import normal_route_key
from l7.config.values.scalars import NEVER
from l7.errors import ConfigError, Problem

__all__ = ["NO_BACKENDS", "Loaded", "load"]

EXTENSION = "x-"
"""What a key at the top of a file begins with that is no setting: anchors are kept there (as in Compose files)."""
NO_BACKENDS = "no backends; write HOST=ADDRESS, as in `l7 --port 8080 localhost=127.0.0.1:9001`, or a file (-c FILE)"


def load(
    argv: Sequence[str],
    environ: Mapping[str, str],
    *,
    skip: int = 0,
    read_bytes: Callable[[str], bytes] = read_file,
) -> Loaded:
    """Load the configuration that ``argv`` and ``environ`` ask for, reading the file anew.

    ``skip`` is how many of the words belong to a command; ``read_bytes`` gives the content of a file.
    Raises `ConfigError` with every problem of every source; SystemExit comes from ``--help`` and ``--version`` only.
    """
    line, variables = flags.parse_flags(argv), flags.parse_environment(environ)
    name = line.config if line.config is not None else variables.config
    document = read(name, read_bytes) if name is not None else Document("")
    merge = _Merge(document)
    for given in (variables, line):
        merge.add_settings(given)
    merge.add_servers(variables.words, flags.SERVERS)
    merge.add_servers(line.words[skip:], "argument")
    problems = [*line.problems, *variables.problems, *document.problems, *merge.problems]
    config = _validate(merge, problems)
    warnings = (*flags.unknown_variables(environ), *_redacted(config))
    return Loaded(config, merge.sources, warnings, name)


def _validate(merge: _Merge, problems: list[Problem]) -> Config:
    """Return the configuration or raise all problems, those of the schema included."""
    try:
        config = Config.model_validate(merge.raw, by_alias=True, by_name=False)
    except ValidationError as error:
        problems += complaints(error, merge.where)
        config = None
    if config is not None and not config.backends and not problems:
        # A file that is there and has none is where the user looks first.
        problems.append(Problem(merge.document.name, "", NO_BACKENDS))
    if problems or config is None:
        raise ConfigError(in_order(problems, merge.document.name)) from None
    return config


def _redacted(config: Config) -> list[Problem]:
    return [
        Problem("users", printable(login), "has the placeholder of a dump as password: nobody can log in with it")
        for login, secret in config.users.items()
        if secret.get_secret_value() == NEVER
    ]


class _Merge:
    """The raw values of all sources, the later added ones above, and where they came from."""

    def __init__(self, document: Document) -> None:
        self.document = document
        self.raw: dict[str, Any] = {key: data for key, data in document.data.items() if not key.startswith(EXTENSION)}
        self.problems: list[Problem] = []
        self.sources: dict[Path, str] = {path: f"{document.name}:{line}" for path, line in document.lines.items()}
        self._places: dict[Path, str] = {}
        self._normalise_routes()

    def where(self, path: Path) -> Where:
        """Return the place of the value at ``path``, or of the nearest one that contains it."""
        for depth in range(len(path), 0, -1):
            if path[:depth] in self._places:
                return Where(self._places[path[:depth]], show_path=False)
            if path[:depth] in self.sources:
                return Where(self.sources[path[:depth]], show_path=True)
        return Where(self.document.name, show_path=True)

    def add_settings(self, given: Given) -> None:
        """Put the settings that one source gave above what is there."""
        for key, (name, value) in given.values.items():
            self._forget((key,))
            if key == "users":
                self._add_users(name, value)
            else:
                self._put((key,), _bind(value) if key == "bind" else value, name)

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
        self.raw[str(path[0])] = value
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


def _bind(words: list[str]) -> Any:
    """Take the addresses of repeated flags and comma-separated lists together."""
    items = [item.strip() for word in words for item in word.strip().split(",")]
    return items[0] if len(items) == 1 else items


def _without_login(word: str) -> str:
    """Return a word for a message, without what may be a password in it."""
    key, equals, address = word.partition("=")
    if "@" in address:
        address = "***@" + address.rpartition("@")[2]
    host, colon, rest = key.partition(":")
    if colon and not (equals and rest.isdigit()) and not key.startswith("["):
        key = host + ":***"
    return printable(key + equals + address)
