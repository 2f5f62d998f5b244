"""WebSocket messages of 100 bytes at a fixed rate: ``python -m tests.bench.frames serve PORT``, or ``load JSON``.

The server switches protocols and answers each message with one of the same size. The load opens its connections and
sends over one after the other, each message at its time, whatever becomes of the earlier ones. Both sides speak frames
as RFC 6455 has them: masked upwards, unmasked downwards. What one costs is a message up and its echo down.
"""

from __future__ import annotations

import json
import select
import socket
import sys
import time
from typing import Any

PAYLOAD = 100
UP = bytes((0x82, 0x80 | PAYLOAD)) + b"mask" + bytes(PAYLOAD)
DOWN = bytes((0x82, PAYLOAD)) + b"x" * PAYLOAD
TICK = 0.001
"""Seconds between two batches of messages: each batch goes to different connections."""
PATIENCE = 10.0

_REQUEST = (
    b"GET /frames/ HTTP/1.1\r\nHost: bench.test\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
    b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
)
_ANSWER = (
    b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
    b"Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n"
)


def serve(port: int) -> None:
    """Serve until killed."""
    listener = socket.create_server(("127.0.0.1", port), backlog=4096)
    poll = select.epoll()
    poll.register(listener, select.EPOLLIN)
    connections: dict[int, tuple[socket.socket, bytearray]] = {}
    while True:
        for descriptor, _ in poll.poll():
            if descriptor == listener.fileno():
                sock, _ = listener.accept()
                sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                connections[sock.fileno()] = sock, bytearray()
                poll.register(sock, select.EPOLLIN)
            elif not answer(*connections[descriptor]):
                connections.pop(descriptor)[0].close()


def answer(sock: socket.socket, came: bytearray) -> bool:
    """Answer what is whole of what has come; returns False when the client has gone."""
    try:
        data = sock.recv(65536)
        came += data
        if came.startswith(b"GET ") and (end := came.find(b"\r\n\r\n") + 4) > 3:
            sock.sendall(_ANSWER)
            del came[:end]
        if came.startswith(UP[:2]) and (count := len(came) // len(UP)):
            sock.sendall(DOWN * count)
            del came[: count * len(UP)]
    except OSError:
        return False
    return bool(data)


def opened(port: int, count: int) -> list[socket.socket]:
    """So many connections through the proxy, each switched to frames.

    :raises OSError: one was not.
    """
    sockets = []
    for _ in range(count):
        sock = socket.create_connection(("127.0.0.1", port), timeout=PATIENCE)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        sock.sendall(_REQUEST)
        head = b""
        while b"\r\n\r\n" not in head:
            piece = sock.recv(65536)
            if not piece:
                raise OSError("closed instead of switching protocols")
            head += piece
        if not head.startswith(b"HTTP/1.1 101 ") or not head.endswith(b"\r\n\r\n"):
            raise OSError(f"no 101: {head[:100]!r}")
        sockets.append(sock)
    return sockets


def load(port: int, connections: int, rate: float, seconds: float) -> dict[str, Any]:
    """Send ``rate`` messages a second for so long; how many came back, and how many are missing."""
    sockets = opened(port, connections)
    poll = select.epoll()
    by_descriptor = {sock.fileno(): sock for sock in sockets}
    for sock in sockets:
        poll.register(sock, select.EPOLLIN)
    sent = came = 0
    started = time.monotonic()
    while (now := time.monotonic() - started) < seconds:
        for number in range(sent, min(int(now * rate), sent + connections)):
            sockets[number % connections].sendall(UP)
            sent += 1
        came += received(poll, by_descriptor, TICK)
    until = time.monotonic() + 1
    while came < sent * len(DOWN) and time.monotonic() < until:
        came += received(poll, by_descriptor, 0.1)
    return {"messages": came // len(DOWN), "missing": sent - came / len(DOWN), "duration": seconds}


def received(poll: select.epoll, sockets: dict[int, socket.socket], seconds: float) -> int:
    """Bytes that come within ``seconds``, taken as they come.

    :raises OSError: a connection was closed.
    """
    count = 0
    for descriptor, _ in poll.poll(seconds):
        size = len(sockets[descriptor].recv(65536))
        if not size:
            raise OSError("the tunnel was closed")
        count += size
    return count


if __name__ == "__main__":
    if sys.argv[1] == "serve":
        serve(int(sys.argv[2]))
    else:
        print(json.dumps(load(**json.loads(sys.argv[2]))))
