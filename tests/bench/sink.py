"""A server that reads each request's body to its end and answers then: ``python -m tests.bench.sink PORT``.

nginx, which serves everything else here, answers by itself before it has read a body. One thread, one epoll: it does
little enough a request to keep up with the proxies.
"""

from __future__ import annotations

import re
import select
import socket
import sys

_LENGTH = re.compile(rb"\r\ncontent-length:[ \t]*(\d+)", re.IGNORECASE)
_BODY = b'{"status": "stored", "id": "3b1f0c6c"}\n'
ANSWER_SIZE = len(_BODY)
_ANSWER = (
    b"HTTP/1.1 200 OK\r\nServer: sink\r\nDate: Mon, 01 Jan 2024 00:00:00 GMT\r\nContent-Type: application/json\r\n"
    b"Cache-Control: no-store\r\nVary: Accept\r\nContent-Length: %d\r\n\r\n%b" % (ANSWER_SIZE, _BODY)
)
_buffer = bytearray(1024 * 1024)


class Connection:
    """One client: bytes of a head that is not whole yet, and how much of a body is still to come."""

    __slots__ = ("head", "left", "socket")

    def __init__(self, sock: socket.socket) -> None:
        self.socket = sock
        self.head = b""
        self.left = 0

    def receive(self) -> bool:
        """Take what has come and answer what is complete; False when the client has gone."""
        try:
            size = self.socket.recv_into(_buffer)
        except BlockingIOError:
            return True
        except OSError:
            return False
        if not size:
            return False
        if self.left > size:
            self.left -= size
            return True
        answers = self._take(size)
        if answers:
            self.socket.sendall(_ANSWER * answers)
        return True

    def _take(self, size: int) -> int:
        answers = 0
        if self.left:
            answers, self.head, self.left = 1, bytes(_buffer[self.left : size]), 0
        else:
            self.head += _buffer[:size]
        while (end := self.head.find(b"\r\n\r\n") + 4) > 3:
            found = _LENGTH.search(self.head, 0, end)
            whole = end + (int(found.group(1)) if found else 0)
            if len(self.head) < whole:
                self.left = whole - len(self.head)
                self.head = b""
                break
            self.head = self.head[whole:]
            answers += 1
        return answers


def serve(port: int) -> None:
    """Serve until killed."""
    listener = socket.create_server(("127.0.0.1", port), backlog=4096)
    listener.setblocking(False)
    poll = select.epoll()
    poll.register(listener, select.EPOLLIN)
    connections: dict[int, Connection] = {}
    while True:
        for descriptor, _ in poll.poll():
            if descriptor == listener.fileno():
                sock, _ = listener.accept()
                sock.setblocking(False)
                sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                connections[sock.fileno()] = Connection(sock)
                poll.register(sock, select.EPOLLIN)
            elif not connections[descriptor].receive():
                connections.pop(descriptor).socket.close()


if __name__ == "__main__":
    serve(int(sys.argv[1]))
