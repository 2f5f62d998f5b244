"""The host of a request: ``uri-host [ ":" port ]`` checked once and reduced to the normal form that routing uses.

Hot: read for each request, a plain name in place.
"""

from __future__ import annotations

from l7.errors import BAD_REQUEST, ProxyError
from l7.http import octets
from l7.http.grammar import AUTHORITY
from l7.networks import normal_host

_COLON = 0x3A
_DOT = 0x2E
_HIGHEST_PORT = 65535


def host_of(authority: bytes) -> str:
    """The host in ``authority`` (RFC 9110, 7.2): lower case, without port and one trailing dot, IPv6 in its short form.

    Raises `ProxyError` (400) for userinfo, bad ports, empty or malformed hosts.
    """
    end = octets.host_end(authority, 0)
    size = len(authority)
    if end > 0 and octets.octet(authority, end - 1) != _DOT:
        if end == size:
            return authority.decode("ascii")
        if octets.octet(authority, end) == _COLON and size - end <= 6:
            port = octets.decimal(octets.cut(authority, end + 1, size))
            if 0 <= port <= _HIGHEST_PORT:
                return octets.cut(authority, 0, end).decode("ascii")
    return _check(authority)


def _check(authority: bytes) -> str:
    match = AUTHORITY.fullmatch(authority)
    if match is None:
        raise ProxyError(BAD_REQUEST, "invalid host")
    host, port = match.group(1), match.group(2)
    if port and int(port) > _HIGHEST_PORT:
        raise ProxyError(BAD_REQUEST, "invalid port in the host")
    name = host.decode("ascii")
    if not name.startswith("["):
        return normal_host(name)
    try:
        if ":" in name:
            return f"[{normal_host(name[1:-1])}]"
    except ValueError:
        pass
    raise ProxyError(BAD_REQUEST, "invalid IPv6 address in the host")


def port_in(authority: bytes) -> bytes:
    """The port in ``authority``, without leading zeros; empty where it names none, or none that there can be."""
    host, _, port = authority.rpartition(b":")
    if not host or not port.isdigit() or len(port) > 5 or (b":" in host and host[-1:] != b"]"):
        return b""
    number = int(port)
    return b"%d" % number if 0 < number <= 65535 else b""


def default_port(scheme: bytes) -> bytes:
    """The port that a URL of ``scheme`` means where it names none (RFC 9110, 4.2)."""
    return b"443" if scheme in (b"https", b"wss") else b"80"
