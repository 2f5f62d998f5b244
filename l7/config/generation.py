"""A configuration that was loaded, and the numbered generation that the master makes of it."""

from __future__ import annotations

import pickle
import zlib
from collections.abc import ItemsView, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Protocol

from l7.config.schema import Config
from l7.config.values.names import show_path
from l7.errors import Problem

Path = tuple[str | int, ...]
"""The place of a value: YAML keys and list indexes, as in ``("backends", "example.com", "servers", 0, "address")``."""
Sources = Mapping[Path, str]
"""Where values came from: ``--port``, ``L7_PORT``, ``config.yml:3``, ``argument``. What is not in it is a default."""


class PackedSources(Mapping[Path, str]):
    """Sources that are kept for a dump, which is seldom asked for: a look at those of backends unpacks all of them."""

    def __init__(self, sources: Sources) -> None:
        self.top = {path: source for path, source in sources.items() if _is_at_the_top(path)}
        """Those that are of no backend."""
        self._packed = zlib.compress(pickle.dumps(dict(sources), pickle.HIGHEST_PROTOCOL), 1)

    def unpacked(self) -> dict[Path, str]:
        """All of them."""
        found: dict[Path, str] = pickle.loads(zlib.decompress(self._packed))
        return found

    def items(self) -> ItemsView[Path, str]:
        """All of them, unpacked once."""
        return self.unpacked().items()

    def __getitem__(self, path: Path) -> str:
        return self.top[path] if _is_at_the_top(path) else self.unpacked()[path]

    def __iter__(self) -> Iterator[Path]:
        return iter(self.unpacked())

    def __len__(self) -> int:
        return len(self.unpacked())


def _is_at_the_top(path: Path) -> bool:
    return len(path) < 2 or path[0] != "backends"


@dataclass(frozen=True)
class Reference:
    """What a configuration that is loaded anew is compared with."""

    config: Config
    handed: bool
    """Whether nothing is bound, because the sockets were handed down."""
    privileged: bool
    """Whether any port can be bound."""
    unprivileged_from: int
    """The lowest port that everybody may bind."""

    @property
    def circumstances(self) -> tuple[bool, bool, int]:
        """All but the configuration."""
        return self.handed, self.privileged, self.unprivileged_from


@dataclass(frozen=True)
class Loaded:
    """One successful load. ``warnings`` are for the user's eyes; ``file`` is named as the user named it."""

    config: Config
    sources: Sources = field(default_factory=dict)
    warnings: tuple[Problem, ...] = ()
    file: str | None = None
    digest: str = ""
    """Twelve hexadecimal digits that are equal for equal configurations, passwords included."""
    changes: tuple[str, ...] = ()
    """What is different to the `Reference`, as text."""
    needs_restart: tuple[str, ...] = ()
    """What of that cannot be applied by a reload."""

    def generation(self, number: int) -> Generation:
        """Return this configuration as generation ``number``."""
        return Generation(number, self.config, self.digest, self.sources)


@dataclass(frozen=True)
class Generation:
    """What one set of workers serves: it never changes."""

    number: int
    config: Config
    digest: str
    sources: Sources = field(default_factory=dict)


def problem_at(loaded: Loaded, path: Path, what: str) -> Problem:
    """A problem with the place of a setting, or of the nearest one that contains it."""
    for depth in range(len(path), 0, -1):
        if path[:depth] in loaded.sources:
            where = loaded.sources[path[:depth]]
            return Problem(where, show_path(path) if ":" in where else "", what)
    return Problem(loaded.file or "", show_path(path), what)


class ConfigDump(Protocol):
    """A generation that is to be written down as YAML (`l7.config.rendering.dump.render_dump`)."""

    @property
    def aside(self) -> bool:
        """Whether a forked process can do it as well, so that nobody waits."""

    def text(self) -> str:
        """Do it, which may take seconds; to be called once. Raises `StartError`."""

    def release(self) -> None:
        """Close what is open for it: called when another process does it."""
