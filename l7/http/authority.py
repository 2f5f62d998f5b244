"""The host of a request: ``uri-host [ ":" port ]`` checked once and reduced to the normal form that routing uses.

Hot: looked up for each request. One that was checked is remembered: 150 instructions.
"""

from __future__ import annotations

import ipaddress

from l7.errors import BAD_REQUEST, ProxyError
from l7.http.grammar import AUTHORITY

_REMEMBERED = 4096
_known: dict[bytes, str] = {}
"""Authorities seen before and their hosts; bounded, and emptied when full: nearly all requests name the same few."""


def host_of(authority: bytes) -> str:
    """The host in ``authority`` (RFC 9110, 7.2): lower case, without port and one trailing dot, IPv6 in its short form.

    Raises `ProxyError` (400) for userinfo, bad ports, empty or malformed hosts.
    """
    known = _known
    host = known.get(authority)
    if host is None:
        host = _check(authority)
        if len(known) >= _REMEMBERED:
            known.clear()
        if len(authority) <= 255:
            known[authority] = host
    return host


def _check(authority: bytes) -> str:
    match = AUTHORITY.fullmatch(authority)
    if match is None:
        raise ProxyError(BAD_REQUEST, "invalid host")
    host, port = match.group(1), match.group(2)
    if port and int(port) > 65535:
        raise ProxyError(BAD_REQUEST, "invalid port in the host")
    name = host.decode("ascii").lower()
    if name.startswith("["):
        try:
            return f"[{ipaddress.IPv6Address(name[1:-1])}]"
        except ValueError:
            raise ProxyError(BAD_REQUEST, "invalid IPv6 address in the host") from None
    return name[:-1] if len(name) > 1 and name.endswith(".") else name


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
