"""A transport that is not plain: what is on the wire comes in records, masked, and not all of them carry bytes.

It does to a stream what TLS does: a readable socket may hold a part of a record, or one that is nobody's business; one
receive of the socket may bring several records; the end is a record; and what was sent may wait here in its other form.
"""

from __future__ import annotations

from _socket import socket as Socket

from gevent import socket as green

from l7.workers.transport.plain import PlainTransport

MOST = 4096
"""Bytes in a record."""
DATA, NOTICE, END = b"DNE"
_MASK = bytes(range(255, -1, -1))


def record(data: bytes, kind: int = DATA) -> bytes:
    """``data`` as it is on the wire."""
    return bytes((kind,)) + len(data).to_bytes(2, "big") + data.translate(_MASK)


def records(data: bytes, size: int = MOST) -> bytes:
    """``data`` in records of ``size`` bytes."""
    return b"".join(record(data[place : place + size]) for place in range(0, len(data), size))


class MaskedTransport(PlainTransport):
    """Records over a socket."""

    def __init__(self, sock: Socket) -> None:
        super().__init__(sock)
        self.can_splice = self.can_detach = False
        self._raw = b""
        self._plain = b""
        self._ended = False
        self._failure: OSError | None = None
        self._leaving = b""
        """Records that the system did not take yet."""
        self._owed = 0
        """How many bytes of what is to be sent are in them."""

    def _read(self) -> bool:
        """Read once; returns whether there is something to receive, which may raise."""
        if not self._plain and not self._ended:
            data = self.socket.recv(65536)
            self._ended = not data  # cut off, or ended by a record
            self._raw += data
            while len(self._raw) >= 3 and len(self._raw) >= 3 + (size := int.from_bytes(self._raw[1:3], "big")):
                kind, payload, self._raw = self._raw[0], self._raw[3 : 3 + size], self._raw[3 + size :]
                self._ended = self._ended or kind == END
                if kind == DATA:
                    self._plain += payload.translate(_MASK)
        self.pending = len(self._plain) or int(self._ended)
        return bool(self.pending)

    def recv(self, size: int) -> bytes:
        if self._failure is not None:
            raise self._failure
        if not self._read():
            raise BlockingIOError
        data, self._plain = self._plain[:size], self._plain[size:]
        self.pending = len(self._plain) or int(self._ended)
        return data

    def peek(self) -> bool:
        try:
            return self._read()
        except BlockingIOError:
            return False
        except OSError as failure:  # the system tells of it once
            self._failure = failure
            return True

    def send(self, data: bytes | memoryview) -> int:
        if not self._leaving:
            piece = bytes(data[:MOST])
            self._leaving, self._owed = record(piece), len(piece)
        sent = self.socket.send(self._leaving)
        self._leaving = self._leaving[sent:]
        if self._leaving:
            raise BlockingIOError
        return self._owed

    def shutdown(self) -> None:
        self.socket.send(record(b"", END))
        super().shutdown()


class MaskedPeer:
    """The other end, for a test: a cooperative socket that speaks in records."""

    def __init__(self, sock: green.socket) -> None:
        self.sock = sock
        self._raw = b""
        self.ended = False
        """Whether the end came as a record."""

    def send(self, data: bytes, size: int = MOST) -> None:
        self.sock.sendall(records(data, size))

    def receive(self) -> bytes:
        """The bytes of the next record; empty at the end."""
        while True:
            while len(self._raw) < 3 or len(self._raw) < 3 + int.from_bytes(self._raw[1:3], "big"):
                more = self.sock.recv(65536)
                if not more:
                    return b""
                self._raw += more
            size = int.from_bytes(self._raw[1:3], "big")
            kind, payload, self._raw = self._raw[0], self._raw[3 : 3 + size], self._raw[3 + size :]
            if kind == END:
                self.ended = True
                return b""
            return payload.translate(_MASK)

    def read(self, size: int) -> bytes:
        """So many bytes, or fewer where the stream ends."""
        data = b""
        while len(data) < size and (more := self.receive()):
            data += more
        return data
