"""A WebSocket server, by the ``websockets`` package."""

from __future__ import annotations

import socket
import threading
from typing import Any

from websockets.exceptions import ConnectionClosed
from websockets.sync.client import ClientConnection, connect
from websockets.sync.server import Server, ServerConnection, serve

from tests.harness import TIMEOUT, over_tls

MAX_MESSAGE = 32 * 1024 * 1024
"""Bytes of the longest message that both ends take."""
FLOOD = 64
"""MiB that answer ``flood``: more than all buffers between the two ends hold."""


def open_websocket(port: int, path: str = "/", **options: Any) -> ClientConnection:
    """A WebSocket to an l7, over TLS where that speaks it."""
    scheme, tls = over_tls.websocket(port)
    return connect(f"{scheme}://127.0.0.1:{port}{path}", **tls, **options)


class WebSocketServer:
    """A WebSocket server: sends back what it is sent, and does what some messages ask for."""

    def __init__(self) -> None:
        self.opened = 0
        self.closed: list[tuple[int | None, str | None]] = []
        self.server: Server = serve(
            self.handle, "127.0.0.1", 0, max_size=MAX_MESSAGE, compression=None, ping_interval=None
        )
        self.address = f"127.0.0.1:{self.server.socket.getsockname()[1]}"
        self._changed = threading.Condition()
        self._thread = threading.Thread(target=self.server.serve_forever, daemon=True)
        self._thread.start()

    def handle(self, connection: ServerConnection) -> None:
        with self._changed:
            self.opened += 1
        try:
            for message in connection:
                if message == "close 4321":
                    connection.close(4321, "as asked")
                elif message == "ping":
                    assert connection.ping(b"are you there?").wait(TIMEOUT)
                    connection.send("pong came")
                elif message == "fragments":
                    connection.send(iter([b"a" * 70_000, b"", b"b", b"c" * 200_000]))
                elif message == "flood":
                    for _ in range(FLOOD):
                        connection.send(b"x" * (1 << 20))
                elif message == "vanish":
                    connection.socket.shutdown(socket.SHUT_RDWR)
                else:
                    connection.send(message)
        except ConnectionClosed:
            pass
        with self._changed:
            self.closed.append((connection.close_code, connection.close_reason))
            self._changed.notify_all()

    def wait_closed(self, count: int = 1) -> list[tuple[int | None, str | None]]:
        with self._changed:
            assert self._changed.wait_for(lambda: len(self.closed) >= count, TIMEOUT), self.closed
            return self.closed

    def forget(self) -> None:
        """Wait until every connection so far has ended, and begin anew."""
        self.wait_closed(self.opened)
        with self._changed:
            self.opened = 0
            self.closed.clear()

    def close(self) -> None:
        self.server.shutdown()
        self._thread.join(TIMEOUT)
