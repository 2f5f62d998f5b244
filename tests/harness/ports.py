"""Ports that stay a test's own, also while nobody listens there."""

from __future__ import annotations

import atexit
import socket

_KEPT: list[socket.socket] = []


def bound(host: str, port: int = 0) -> socket.socket:
    """A socket that has a port, and refuses connections until it listens.

    Another one of an address may have the port, too, as long as both allow it and one of them listens at most: so what
    is bound and does not listen keeps everybody else from being given the port, and hinders nobody who asks for it.
    """
    sock = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    sock.bind((host, port))
    return sock


def reserved(host: str = "127.0.0.1") -> int:
    """A port that nobody listens on, for who names it: it is given to nobody else until the process ends.

    One that is found free and let go is that of another test's server or client a moment later.
    """
    _KEPT.append(bound(host))
    port: int = _KEPT[-1].getsockname()[1]
    return port


@atexit.register
def _let_go() -> None:
    for sock in _KEPT:
        sock.close()
