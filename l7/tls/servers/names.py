"""By which name a server is asked for, and verified: that of its address, of the settings, or of each request."""

from __future__ import annotations

from l7.config.schema import Backend
from l7.config.values.addresses import Address
from l7.config.values.routekeys import routes_of
from l7.config.values.server_names import OF_REQUEST


def is_by_host(backend: Backend) -> bool:
    """Whether servers are asked for by the host of each request."""
    return backend.tls.server_name == OF_REQUEST and any(server.address.tls for server in backend.servers)


def server_name(backend: Backend, server: Address) -> str:
    """The name of a server, where it is not the host of each request."""
    return backend.tls.server_name or server.name


def name_without_request(route: str, backend: Backend, server: Address) -> str:
    """The name by which a server is asked for when there is no request: for checks, and before a reload.

    Where it is the host of each request: that of checks, else the first host of the route that is no wildcard.
    """
    if backend.tls.server_name != OF_REQUEST:
        return server_name(backend, server)
    if backend.health is not None and backend.health.host:
        return host_of(backend.health.host)
    hosts = (host_of(one.partition("/")[0]) for one in routes_of(route))
    return next((host for host in hosts if "*" not in host), server.name)


def host_of(authority: str) -> str:
    """The host of ``host:port``, without brackets."""
    if authority.startswith("["):
        return authority[1:].partition("]")[0]
    return authority.partition(":")[0]
