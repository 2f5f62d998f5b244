"""Connections that have asked once and then say nothing."""

from __future__ import annotations

import contextlib
import resource
import select
import socket
import ssl
from collections.abc import Iterator

from tests.bench.processes import BenchError
from tests.bench.requests import HOST, Request, answered

AT_A_TIME = 50
"""So many are opened together: fewer than the load before had, so that no connection to a server is opened for it."""


def raise_file_limit() -> int:
    """Allow as many open files as may be, also for what is started from now on; how many."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    return most


@contextlib.contextmanager
def held(
    port: int, count: int, request: Request, context: ssl.SSLContext | None = None
) -> Iterator[list[socket.socket]]:
    """So many kept-alive connections, each of which had one answer; over TLS where there is a context.

    :raises BenchError: one was refused, or answered wrongly.
    """
    with contextlib.ExitStack() as stack:
        sockets: list[socket.socket] = []
        while len(sockets) < count:
            some = min(AT_A_TIME, count - len(sockets))
            fresh = [stack.enter_context(_connect(port, context)) for _ in range(some)]
            for number, sock in enumerate(fresh, len(sockets)):
                sock.sendall(request.bytes(number))
            for sock in fresh:
                _read(sock)
            sockets += fresh
        yield sockets


def _connect(port: int, context: ssl.SSLContext | None) -> socket.socket:
    try:
        sock = socket.create_connection(("127.0.0.1", port), timeout=10)
        return context.wrap_socket(sock, server_hostname=HOST) if context else sock
    except OSError as error:
        raise BenchError(f"an idle connection could not be opened: {error}") from None


def _read(sock: socket.socket) -> None:
    data = b""
    try:
        while not answered(data):
            piece = sock.recv(65536)
            if not piece:
                raise ValueError("closed")
            data += piece
    except (OSError, ValueError) as error:
        raise BenchError(f"an idle connection was not answered: {error}") from None


def closed(sockets: list[socket.socket]) -> int:
    """How many of them the proxy has closed meanwhile."""
    poll = select.poll()
    for sock in sockets:
        poll.register(sock, select.POLLIN | select.POLLRDHUP)
    return len(poll.poll(0))
