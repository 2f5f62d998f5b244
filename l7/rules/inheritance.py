"""Which settings hold for a route: its own, or else those of what encloses it.

A path route is enclosed by the shorter ones of its host pattern, and by that of the host: what closes ``a.com`` closes
``a.com/static``, unless that says otherwise. Around all of them are the general settings at the top. Patterns of hosts
enclose nothing: ``*.a.com`` says nothing of ``b.a.com`` where that is a route of its own.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from l7.balancing.routing import Match
from l7.config.generation import Path
from l7.config.schema import Backend, Config

Placed = tuple[Any, Path]
"""A setting, and where it stands."""


class RouteSettings:
    """The settings of one route.

    :param match: the route; None for requests that have none, for which the general settings hold.
    :param enclosing: the routes around it, the nearest first.
    """

    def __init__(self, config: Config, match: Match | None, enclosing: Sequence[Match] = ()) -> None:
        self.config = config
        self.match = match
        self._routes = () if match is None else (match, *enclosing)

    @property
    def backend(self) -> Backend | None:
        """The backend of the route."""
        return None if self.match is None else self.config.backends[self.match.key]

    def own(self, name: str) -> Placed | None:
        """A setting of the backend alone; None where it has none, or there is no route."""
        backend = self.backend
        value = None if backend is None else getattr(backend, name)
        return None if value is None or self.match is None else (value, _path(name, self.match))

    def inherited(self, name: str) -> Placed:
        """A setting of the nearest that says anything; of the top where nobody does, which may be none."""
        for match in self._routes:
            value = getattr(self.config.backends[match.key], name)
            if value is not None:
                return value, _path(name, match)
        return getattr(self.config, name), _path(name)

    def merged(self, name: str) -> dict[str, Placed]:
        """A mapping, taken together from the top and the backend: the backend's wins, key by key."""
        found: dict[str, Placed] = {}
        for match in (None, self.match) if self.match is not None else (None,):
            at: Any = self.config if match is None else self.config.backends[match.key]
            values: Mapping[str, Any] = getattr(at, name)
            found.update((key, (value, (*_path(name, match), key))) for key, value in values.items())
        return found

    def levels(self, name: str) -> Iterator[Placed]:
        """A section as it stands at the top, and then in the backend."""
        yield getattr(self.config, name), _path(name)
        if self.match is not None:
            yield getattr(self.config.backends[self.match.key], name), _path(name, self.match)


def _path(name: str, match: Match | None = None) -> Path:
    key = name.replace("_", "-")
    return (key,) if match is None else ("backends", match.key, key)
