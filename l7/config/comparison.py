"""What workers have to know of the difference between two configurations; the words for users are in `changes`."""

from __future__ import annotations

from l7.config.schema import Config


def with_other_servers(old: Config, new: Config) -> tuple[str, ...]:
    """Return the routes of ``new`` that ``old`` has not, or with other addresses of servers."""
    before = {route: {one.address for one in backend.servers} for route, backend in old.backends.items()}
    return tuple(
        route
        for route, backend in new.backends.items()
        if {one.address for one in backend.servers} != before.get(route)
    )
