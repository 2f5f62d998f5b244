"""What workers have to know of the difference between two configurations; the words for users are in `changes`."""

from __future__ import annotations

from l7.config.schema import Backend, Config
from l7.config.sections.server_tls import ServerTls
from l7.config.values.addresses import Address


def with_other_servers(old: Config, new: Config) -> tuple[str, ...]:
    """Return the routes of ``new`` that ``old`` has not, or with other addresses of servers, or other TLS to them."""
    before = {route: _reached_by(backend) for route, backend in old.backends.items()}
    return tuple(route for route, backend in new.backends.items() if _reached_by(backend) != before.get(route))


def _reached_by(backend: Backend) -> tuple[set[Address], ServerTls]:
    return {one.address for one in backend.servers}, backend.tls
