"""A scripted origin server that records every byte it was sent.

``Origin(handler)`` serves on a free port of 127.0.0.1 (or on a unix socket) with one thread a connection. The handler
is called with a `Request` whose head has arrived; its body is read when ``request.body`` is first asked for, so a
handler can answer before the body, in the middle of it, or never. It returns

- a `Reply`, which is serialised (Content-Length, chunked, or until close);
- ``bytes``, sent as they are, right or wrong;
- None, when it has used ``request.connection`` itself (`Connection.send`, `close`, `reset`, `trickle`, `wait_closed`).

Without a handler it echoes: a JSON object of what arrived. `routes` serves the usual paths.

    origin = Origin(lambda request: Reply(404))
    origin.address                # "127.0.0.1:40123", as l7 wants it
    origin.requests               # every Request so far, in order of arrival
    origin.connections            # every Connection ever accepted, with all its raw bytes
    origin.wait_for(3)            # until three requests have arrived
    origin.violations             # what the strict reader refused: nothing that l7 sends may be in here

The reader shares no code with l7 and takes nothing leniently: canonical CRLF, one Host, one framing.
"""

from __future__ import annotations

import base64
import contextlib
import hashlib
import json
import os
import re
import select
import socket
import struct
import tempfile
import threading
import time
import weakref
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType

from tests.harness import TIMEOUT
from tests.harness.ports import bound
from tests.harness.strict_reader import StrictReader

Headers = Sequence[tuple[bytes, bytes]]
KEPT = 1 << 20
"""Bytes of each body and connection that are kept; the rest is only counted and hashed."""

_REQUEST_LINE = re.compile(rb"([!#$%&'*+\-.^_`|~0-9A-Za-z]+) ([\x21-\x7e\x80-\xff]+) HTTP/1\.1")
_LENGTH = re.compile(rb"[0-9]{1,19}")


class Violation(AssertionError):
    """What arrived is not HTTP/1.1 as an intermediary must write it."""


class Disconnected(Exception):
    """The peer closed (or reset) the connection in the middle of a message."""


@dataclass
class Reply:
    """An answer to be serialised. ``framing``: ``length``, ``chunked``, ``close`` (until close) or ``none``."""

    status: int = 200
    headers: Headers = ()
    body: bytes | Iterable[bytes] = b""
    framing: str = "length"
    reason: bytes = b"Whatever"
    trailers: Headers = ()
    close: bool = False

    def pieces(self, method: bytes) -> Iterable[bytes]:
        """The bytes of the answer to a request of this method, in the pieces they are sent in."""
        parts = [self.body] if isinstance(self.body, bytes) else self.body
        lines = [b"HTTP/1.1 %d %s" % (self.status, self.reason), *(b"%s: %s" % pair for pair in self.headers)]
        if self.framing == "length":
            joined = b"".join(parts)
            parts = [joined]
            lines.append(b"Content-Length: %d" % len(joined))
        elif self.framing == "chunked":
            lines.append(b"Transfer-Encoding: chunked")
        if self.close or self.framing == "close":
            lines.append(b"Connection: close")
        head = b"\r\n".join(lines) + b"\r\n\r\n"
        if method == b"HEAD":
            yield head
        elif self.framing == "length":
            yield head + parts[0]  # type: ignore[index]
        else:
            yield head
            for part in parts:
                if self.framing != "chunked":
                    yield part
                elif part:
                    yield b"%x\r\n%s\r\n" % (len(part), part)
            if self.framing == "chunked":
                yield b"0\r\n" + b"".join(b"%s: %s\r\n" % pair for pair in self.trailers) + b"\r\n"


@dataclass
class Request:
    """One request as it arrived."""

    method: bytes
    target: bytes
    headers: list[tuple[bytes, bytes]]
    connection: Connection
    number: int
    """Its place on the connection, from 0."""
    arrived: float = field(default_factory=time.monotonic)
    complete: bool = False
    size: int = 0
    trailers: list[tuple[bytes, bytes]] = field(default_factory=list)
    raw: bytearray = field(default_factory=bytearray)
    """Its bytes as they came, framing included (the first MiB)."""
    _body: bytearray = field(default_factory=bytearray)
    _hash: hashlib._Hash = field(default_factory=hashlib.sha256)

    def values(self, name: bytes) -> list[bytes]:
        """Every value of a field, in order."""
        return [value for key, value in self.headers if key.lower() == name.lower()]

    def header(self, name: bytes) -> bytes | None:
        """The value of a field that may come once only; None when it is absent."""
        values = self.values(name)
        assert len(values) <= 1, f"{name!r} comes {len(values)} times"
        return values[0] if values else None

    @property
    def body(self) -> bytes:
        """The whole body (its first MiB); reads it when it has not been read."""
        self.connection.read_body(self)
        return bytes(self._body)

    @property
    def received(self) -> bytes:
        """What of the body has been read so far; never waits."""
        return bytes(self._body)

    @property
    def sha256(self) -> str:
        """The hash of the whole body, however long; reads it when it has not been read."""
        self.connection.read_body(self)
        return self._hash.hexdigest()

    @property
    def framing(self) -> str:
        """``chunked``, ``length`` or ``none``."""
        if self.values(b"transfer-encoding"):
            return "chunked"
        return "length" if self.values(b"content-length") else "none"

    def take(self, data: bytes) -> None:
        """Count, hash and (within bounds) keep bytes of the body."""
        self.size += len(data)
        self._hash.update(data)
        if len(self._body) < KEPT:
            self._body += data[: KEPT - len(self._body)]


class Connection(StrictReader):
    """One accepted connection: the script's hands, and the record of what came."""

    malformed = Violation

    def __init__(self, sock: socket.socket, number: int) -> None:
        super().__init__()
        self.sock = sock
        self.number = number
        self.raw = bytearray()
        self.requests: list[Request] = []
        self.closed = False
        self.ended = ""
        """How the peer ended it: ``eof`` or ``reset``; empty while it is open."""
        self._recorded = bytearray()
        self._server: threading.Thread | None = None
        self._over = threading.Event()
        self._lock = threading.Lock()
        self._order: Callable[[], None] | None = None
        self._wake = os.eventfd(0)
        self._poll = select.poll()
        self._poll.register(sock, select.POLLIN)
        self._poll.register(self._wake, select.POLLIN)

    def begin(self) -> None:
        """The current thread serves it."""
        self._server = threading.current_thread()

    def finish(self) -> None:
        """Nobody serves it any more."""
        self.close()
        with self._lock:
            self._over.set()
            os.close(self._wake)

    def _here(self, order: Callable[[], None]) -> bool:
        """Whether the current thread serves it; if not, the one that does is told, and waited for.

        A socket on which a thread waits is not closed by closing its descriptor.
        """
        if self._server is None or threading.current_thread() is self._server:
            return True
        with self._lock:
            if not self._over.is_set():
                self._order = order
                os.eventfd_write(self._wake, 1)
        self._over.wait(5)
        return False

    # Answers

    def send(self, *pieces: bytes) -> None:
        """Send bytes; silently nothing when the peer has gone."""
        with contextlib.suppress(OSError):
            for piece in pieces:
                self.sock.sendall(piece)

    def trickle(self, data: bytes, pause: float, size: int = 1) -> None:
        """Send slowly: *size* bytes, a pause of *pause* seconds, and so on."""
        for offset in range(0, len(data), size):
            if self.closed or self.wait_closed(pause):
                return
            self.send(data[offset : offset + size])

    def half_close(self) -> None:
        """Send FIN; go on reading."""
        with contextlib.suppress(OSError):
            self.sock.shutdown(socket.SHUT_WR)

    def close(self) -> None:
        """Close; unread bytes make it a reset, as with any program."""
        if not self._here(self.close):
            return
        self.closed = True
        with contextlib.suppress(OSError):
            self.sock.shutdown(socket.SHUT_WR)
        with contextlib.suppress(OSError):
            self.sock.close()

    def reset(self) -> None:
        """Close with RST."""
        if not self._here(self.reset):
            return
        self.closed = True
        with contextlib.suppress(OSError):
            self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self.sock.close()

    def wait_closed(self, timeout: float = TIMEOUT) -> bool:
        """Wait until the peer closes or resets; whatever it sends meanwhile is recorded.

        From the test's own thread: until whoever serves the connection has found it ended.
        """
        if threading.current_thread() is not self._server:
            return self._over.wait(timeout)
        deadline = time.monotonic() + timeout
        while not self.ended and not self.closed:
            left = deadline - time.monotonic()
            if left <= 0:
                return False
            try:
                if self._poll.poll(left * 1000):
                    self._fill()
            except Disconnected:
                break
        return True

    # Reading

    def _fill(self) -> None:
        if any(fd == self._wake for fd, _ in self._poll.poll()):
            if self._order is not None:
                self._order()
            raise Disconnected
        try:
            data = self.sock.recv(65536)
        except ConnectionResetError:
            self.ended = "reset"
            raise Disconnected from None
        except OSError:
            self.ended = self.ended or "closed here"
            raise Disconnected from None
        if not data:
            self.ended = "eof"
            raise Disconnected
        if len(self.raw) < KEPT:
            self.raw += data[: KEPT - len(self.raw)]
        self._buffer += data

    def _take(self, size: int) -> bytes:
        data = super()._take(size)
        if len(self._recorded) < KEPT:
            self._recorded += data[: KEPT - len(self._recorded)]
        return data

    def read_head(self) -> Request | None:
        """Read the next request's head; None when the peer closed between requests."""
        try:
            while not self._buffer:
                self._fill()
        except Disconnected:
            return None
        self._recorded = bytearray()
        line = self._line()
        found = _REQUEST_LINE.fullmatch(line)
        if not found:
            raise Violation(f"bad request line: {line!r}")
        request = Request(found.group(1), found.group(2), self._fields(), self, len(self.requests))
        request.raw = self._recorded
        _check_framing(request)
        self.requests.append(request)
        if request.framing == "none" or request.values(b"content-length") == [b"0"]:
            request.complete = True
        return request

    def read_body(self, request: Request) -> None:
        """Read what is left of a request's body; safe to call again.

        From the test's own thread: wait until whoever serves the connection has read it. A script may answer before.
        """
        if threading.current_thread() is not self._server:
            deadline = time.monotonic() + TIMEOUT
            while not request.complete and not self._over.wait(0.002):
                assert time.monotonic() < deadline, f"{request.size} bytes of a body within {TIMEOUT} s"
            if not request.complete:
                raise Disconnected
        if request.complete:
            return
        if request.framing == "length":
            left = int(request.values(b"content-length")[0]) - request.size
            self._copy(left, request.take)
        else:
            request.trailers = self._chunks(request.take)
        request.complete = True

    def describe(self, violation: Violation) -> str:
        """Where a violation is: the bytes before it, as far as they were kept, and behind it."""
        before = self.requests[-1].raw if self.requests else self._recorded
        size = self.requests[-1].size if self.requests else 0
        return (
            f"{violation}, after {bytes(before[-300:])!r} ({size} bytes of body), before {bytes(self._buffer[:100])!r}"
        )

    def rest(self) -> bytes:
        """Bytes received but not read as part of a message: what a tunnel starts with."""
        return self._take(len(self._buffer))

    def receive(self) -> bytes:
        """Some bytes, waiting for them; empty at the end of the stream. For tunnels."""
        if not self._buffer:
            try:
                self._fill()
            except Disconnected:
                return b""
        return self.rest()


def _check_framing(request: Request) -> None:
    lengths = request.values(b"content-length")
    codings = request.values(b"transfer-encoding")
    if len(lengths) + len(codings) > 1:
        raise Violation(f"more than one framing field: {request.headers!r}")
    if lengths and (not _LENGTH.fullmatch(lengths[0]) or (lengths[0] != b"0" and lengths[0].startswith(b"0"))):
        raise Violation(f"Content-Length is not normalised: {lengths[0]!r}")
    if codings and codings[0] != b"chunked":
        raise Violation(f"Transfer-Encoding is not 'chunked': {codings[0]!r}")
    if len(request.values(b"host")) != 1:
        raise Violation(f"{len(request.values(b'host'))} Host fields")


Handler = Callable[[Request], Reply | bytes | None]


def echo(request: Request) -> Reply:
    """Answer with a JSON object of what arrived."""
    request.connection.read_body(request)
    seen = {
        "method": request.method.decode("latin-1"),
        "target": request.target.decode("latin-1"),
        "headers": [[name.decode("latin-1"), value.decode("latin-1")] for name, value in request.headers],
        "size": request.size,
        "sha256": request.sha256,
        "connection": request.connection.number,
        "number": request.number,
        "origin": request.connection.sock.getsockname()[1:2] or None,
    }
    return Reply(200, [(b"Content-Type", b"application/json")], json.dumps(seen).encode())


def pattern(size: int, piece: int = 65536) -> Iterable[bytes]:
    """*size* bytes of known content in pieces; `pattern_sha256` knows their hash."""
    block = bytes(range(256)) * (piece // 256)
    while size > 0:
        yield block[:size]
        size -= len(block)


def pattern_sha256(size: int) -> str:
    """The hash of what `pattern` of this size yields."""
    digest = hashlib.sha256()
    for piece in pattern(size):
        digest.update(piece)
    return digest.hexdigest()


def events(request: Request, count: int, pause: threading.Event | float) -> None:
    """Server-sent events, one at a time: *pause* is waited for (or slept) between two."""
    connection = request.connection
    connection.send(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n")
    for number in range(count):
        data = b"data: %d\n\n" % number
        connection.send(b"%x\r\n%s\r\n" % (len(data), data))
        if isinstance(pause, float):
            if connection.wait_closed(pause):
                return
        else:
            pause.wait(TIMEOUT)
            pause.clear()
    connection.send(b"0\r\n\r\n")


def upgrade_echo(request: Request) -> None:
    """Switch protocols as asked, then send back every byte until the client closes its side."""
    connection = request.connection
    wanted = request.header(b"upgrade")
    if wanted is None:
        connection.send(b"HTTP/1.1 426 Upgrade Required\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
        connection.close()
        return
    lines = [b"HTTP/1.1 101 Switching Protocols", b"Upgrade: " + wanted, b"Connection: Upgrade"]
    key = request.header(b"sec-websocket-key")
    if key:
        accept = hashlib.sha1(key + b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11").digest()
        lines.append(b"Sec-WebSocket-Accept: " + base64.b64encode(accept))
    connection.send(b"\r\n".join(lines) + b"\r\n\r\n")
    while data := connection.receive():
        connection.send(data)
    connection.half_close()


def routes(request: Request) -> Reply | None:
    """The usual paths: /status/N, /bytes/N, /chunked/N, /delay/MS, /sse/N, /upgrade, /headers; else `echo`."""
    words = request.target.split(b"?")[0].strip(b"/").split(b"/")
    number = int(words[1]) if len(words) > 1 and words[1].isdigit() else 0
    if words[0] == b"status":
        return Reply(
            number, body=b"" if number in (204, 304) else b"status", framing="none" if number == 204 else "length"
        )
    if words[0] in (b"bytes", b"chunked"):
        if words[0] == b"chunked":
            return Reply(200, body=pattern(number), framing="chunked")
        head = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % number
        request.connection.send(head, *([] if request.method == b"HEAD" else pattern(number)))
        return None
    if words[0] == b"delay":
        request.connection.wait_closed(number / 1000)
    if words[0] == b"sse":
        return events(request, number, 0.05)
    if words[0] == b"upgrade":
        return upgrade_echo(request)
    return echo(request)


class Origin:
    """A server on a free port; a context manager. See the module's text."""

    def __init__(
        self,
        handler: Handler = echo,
        *,
        name: str = "",
        unix: bool = False,
        host: str = "127.0.0.1",
        port: int = 0,
        backlog: int = 1024,
    ) -> None:
        """Listen and serve.

        :param handler: the script; may be replaced at any time (``origin.handler = ...``).
        :param name: shown in failures, and a way to tell several origins apart.
        :param unix: listen on a unix socket in a fresh directory instead of TCP.
        :param port: a port to take again, after `close`: how a server comes back.
        """
        self.handler = handler
        self.name = name
        self.connections: list[Connection] = []
        self.requests: list[Request] = []
        self.violations: list[str] = []
        self._changed = threading.Condition()
        self._threads: list[threading.Thread] = []
        self._closing = False
        self._directory: tempfile.TemporaryDirectory[str] | None = None
        if unix:
            self._directory = tempfile.TemporaryDirectory(prefix="l7-origin-")
            os.chmod(self._directory.name, 0o755)
            path = str(Path(self._directory.name) / "app.sock")
            self._listener = socket.socket(socket.AF_UNIX)
            self._listener.bind(path)
            os.chmod(path, 0o666)
            self.address = f"unix:{path}"
            self.port = 0
        else:
            # Else a port that was closed, and that l7 goes on to look at, could become that of another test's server.
            held = bound(host, port)
            self._let_go = weakref.finalize(self, held.close)
            self.port = held.getsockname()[1]
            self._listener = bound(host, self.port)
            self.address = f"[{host}]:{self.port}" if ":" in host else f"{host}:{self.port}"
        self._listener.listen(backlog)
        self._acceptor = threading.Thread(target=self._accept, name=f"origin-{name}", daemon=True)
        self._acceptor.start()

    def _accept(self) -> None:
        while True:
            try:
                sock, _ = self._listener.accept()
            except OSError:
                return
            if self._closing:
                sock.close()
                return
            if sock.family != socket.AF_UNIX:
                sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            with self._changed:
                connection = Connection(sock, len(self.connections))
                self.connections.append(connection)
                self._changed.notify_all()
            thread = threading.Thread(target=self._serve, args=(connection,), daemon=True)
            self._threads.append(thread)
            thread.start()
            if len(self._threads) > 500:
                self._threads = [one for one in self._threads if one.is_alive()]

    def _serve(self, connection: Connection) -> None:
        connection.begin()
        try:
            while not connection.closed and self._serve_one(connection):
                pass
        except Disconnected:
            pass
        except Violation as violation:
            self.violations.append(connection.describe(violation))
        except Exception as error:  # a fault in a test's script must not vanish with its thread
            if not self._closing and not connection.closed:
                self.violations.append(f"the handler failed: {error!r}")
        finally:
            connection.finish()
            with self._changed:
                self._changed.notify_all()

    def _serve_one(self, connection: Connection) -> bool:
        request = connection.read_head()
        if request is None:
            return False
        with self._changed:
            self.requests.append(request)
            self._changed.notify_all()
        reply = self.handler(request)
        close = request.header(b"connection") == b"close"
        if isinstance(reply, Reply):
            with contextlib.suppress(OSError):
                for piece in reply.pieces(request.method):
                    connection.sock.sendall(piece)
            close = close or reply.close or reply.framing == "close"
        elif reply is not None:
            connection.send(reply)
        if connection.closed:
            return False
        request.connection.read_body(request)
        with self._changed:
            self._changed.notify_all()
        return not close

    def wait_for(self, count: int, timeout: float = TIMEOUT, *, complete: bool = False) -> list[Request]:
        """Wait until *count* requests have arrived (their heads, or with *complete* their bodies too)."""

        def arrived() -> list[Request]:
            return [request for request in self.requests if request.complete or not complete]

        deadline = time.monotonic() + timeout
        with self._changed:
            while len(arrived()) < count:
                left = deadline - time.monotonic()
                assert left > 0, f"origin {self.name}: {len(arrived())} of {count} requests within {timeout} s"
                self._changed.wait(min(left, 0.1))
            return arrived()

    @property
    def open_connections(self) -> list[Connection]:
        """The connections that neither side has closed yet."""
        return [one for one in self.connections if not one.closed and not one.ended]

    def close(self, *, reset: bool = False) -> None:
        """Stop listening and close every connection. Safe to call again. The port stays taken, and refuses."""
        self._closing = True
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._acceptor.join(5)
        for connection in self.connections:
            if reset and not connection.closed:
                connection.reset()
            else:
                connection.closed = True
                with contextlib.suppress(OSError):
                    connection.sock.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join(5)
        if self._directory is not None:
            self._directory.cleanup()
            self._directory = None

    def __enter__(self) -> Origin:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
        if self.port:
            self._let_go()
