"""A client of raw bytes: sends anything in any slices and reads the answers strictly.

    answers = exchange(port, b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")           # until the proxy closes, or all answered
    with Client(port) as client:
        client.send(raw, how="byte")                                        # whole, line, byte, or a random.Random
        answer = client.read_response(b"GET")
        assert client.read_until_closed() == b"" and client.end == "eof"     # not "reset"

Sending reads at the same time, so neither side can block the other with full buffers. Reading takes nothing that
RFC 9112 does not allow a proxy to send; what is wrong raises `BadResponse`. A body cut short is no error: the answer
has ``complete=False``.
"""

from __future__ import annotations

import contextlib
import json
import random
import re
import select
import socket
import struct
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any

from tests.harness import TIMEOUT, over_tls
from tests.harness.strict_reader import StrictReader

Address = int | tuple[str, int] | str
Slicing = str | random.Random

_STATUS_LINE = re.compile(rb"HTTP/1\.1 ([1-5][0-9][0-9]) ([\t\x20-\x7e\x80-\xff]*)")
_LENGTH = re.compile(rb"0|[1-9][0-9]{0,18}")


class BadResponse(AssertionError):
    """What the proxy sent is not an HTTP/1.1 response."""


class TooSlow(AssertionError):
    """Nothing (more) came within the bound."""


class _Ended(Exception):
    """The stream ended where more was wanted."""


@dataclass
class Response:
    """One final answer, with the 1xx answers that came before it."""

    status: int
    reason: bytes
    headers: list[tuple[bytes, bytes]]
    body: bytes = b""
    framing: str = "none"
    """``none``, ``length``, ``chunked`` or ``close``."""
    complete: bool = True
    trailers: list[tuple[bytes, bytes]] = field(default_factory=list)
    interim: list[Response] = field(default_factory=list)
    head: bytes = b""

    def values(self, name: bytes) -> list[bytes]:
        """Every value of a field, in order."""
        return [value for key, value in self.headers if key.lower() == name.lower()]

    def header(self, name: bytes) -> bytes | None:
        """The value of a field that may come once only; None when it is absent."""
        values = self.values(name)
        assert len(values) <= 1, f"{name!r} comes {len(values)} times"
        return values[0] if values else None

    @property
    def json(self) -> Any:
        """The body read as JSON."""
        return json.loads(self.body)

    @property
    def closes(self) -> bool:
        """Whether it announces that the connection ends with it."""
        return b"close" in [word.strip().lower() for value in self.values(b"connection") for word in value.split(b",")]


def slices(data: bytes, how: Slicing = "whole") -> Iterator[bytes]:
    """Cut bytes: ``whole``, ``line`` (after each LF), ``byte``, or at random places drawn from a `random.Random`."""
    if isinstance(how, random.Random):
        places = (
            sorted(how.sample(range(1, len(data)), min(how.randint(1, 12), len(data) - 1))) if len(data) > 1 else []
        )
        for start, end in zip([0, *places], [*places, len(data)], strict=True):
            yield data[start:end]
    elif how == "line":
        yield from data.splitlines(keepends=True) if b"\r" not in data.replace(b"\r\n", b"") else _lines(data)
    elif how == "byte":
        for offset in range(len(data)):
            yield data[offset : offset + 1]
    else:
        yield data


def _lines(data: bytes) -> Iterator[bytes]:
    # bytes.splitlines also cuts at a bare CR, which is one of the things under test.
    start = 0
    while start < len(data):
        end = data.find(b"\n", start) + 1 or len(data)
        yield data[start:end]
        start = end


class Client(StrictReader):
    """One connection to the proxy; a context manager. *timeout* bounds each wait for bytes, in seconds."""

    malformed = BadResponse

    def __init__(self, address: Address, timeout: float = TIMEOUT, *, receive_buffer: int = 0) -> None:
        if isinstance(address, int):
            address = ("127.0.0.1", address)
        if isinstance(address, str):
            self.sock: Any = socket.socket(socket.AF_UNIX)
        else:
            self.sock = socket.socket(socket.AF_INET6 if ":" in address[0] else socket.AF_INET)
        if receive_buffer:
            self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        self.sock.settimeout(timeout)
        try:
            self.sock.connect(address)
            if over_tls.spoken_at(address):
                self.sock = over_tls.TlsSocket(self.sock)
        except OSError:
            self.sock.close()
            raise
        if not isinstance(address, str):
            self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.sock.setblocking(False)
        super().__init__()
        self.timeout = timeout
        self.end = ""
        """How the proxy ended the connection: ``eof`` (FIN), ``reset`` (RST); empty while it is open."""
        self.broken = False
        """Whether bytes could not be sent any more."""
        self.sent = 0

    # Sending

    def send(self, data: bytes | Iterable[bytes], how: Slicing = "whole", pause: float = 0.0) -> None:
        """Send all of it, reading meanwhile; stops quietly when the proxy takes no more (``broken`` is set)."""
        pieces = slices(data, how) if isinstance(data, bytes) else data
        for piece in pieces:
            self._send_piece(piece)
            if self.broken:
                return
            if pause:
                self.pump(pause)

    def _send_piece(self, piece: bytes) -> None:
        view = memoryview(piece)
        deadline = time.monotonic() + self.timeout
        while view and not self.broken:
            readable, writable, _ = select.select([] if self.end else [self.sock], [self.sock], [], self.timeout)
            if readable:
                self._receive()
            if writable:
                try:
                    count = self.sock.send(view)
                    self.sent += count
                    view = view[count:]
                    deadline = time.monotonic() + self.timeout
                except BlockingIOError:
                    continue
                except OSError:
                    self.broken = True
            elif time.monotonic() > deadline:
                raise TooSlow(f"nothing could be sent for {self.timeout} s")

    def half_close(self) -> None:
        """Send FIN and go on reading."""
        with contextlib.suppress(OSError):
            self.sock.shutdown(socket.SHUT_WR)

    def reset(self) -> None:
        """Close with RST."""
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.sock.close()

    def close(self) -> None:
        """Close."""
        self.sock.close()

    # Receiving

    def _receive(self) -> None:
        try:
            data = self.sock.recv(262144)
        except BlockingIOError:
            return
        except OSError:
            self.end = "reset"
            return
        if not data:
            self.end = "eof"
        self._buffer += data

    def pump(self, seconds: float) -> None:
        """Receive whatever comes for so long."""
        deadline = time.monotonic() + seconds
        while not self.end and (left := deadline - time.monotonic()) > 0:
            if select.select([self.sock], [], [], left)[0]:
                self._receive()

    def _fill(self) -> None:
        """Wait for more bytes.

        :raises _Ended: the stream has ended.
        :raises TooSlow: none came within the timeout.
        """
        if self.end:
            raise _Ended
        before = len(self._buffer)
        if not select.select([self.sock], [], [], self.timeout)[0]:
            raise TooSlow(f"nothing came for {self.timeout} s; had {bytes(self._buffer[-500:])!r}")
        self._receive()
        if self.end and len(self._buffer) == before:
            raise _Ended

    def read_head(self) -> Response:
        """Read one head, interim or final; its body stays unread.

        :raises BadResponse: it is malformed, or the stream ended in (or before) it.
        """
        seen = bytes(self._buffer[:200])
        try:
            line = self._line()
            found = _STATUS_LINE.fullmatch(line)
            if not found:
                raise BadResponse(f"bad status line: {line!r}")
            response = Response(int(found.group(1)), found.group(2), self._fields())
        except _Ended:
            raise BadResponse(
                f"the stream ended ({self.end}) within a head: {seen!r} {bytes(self._buffer)!r}"
            ) from None
        return response

    def read_response(self, method: bytes = b"GET") -> Response:
        """Read one final answer to a request of this method, and the 1xx before it. A 101 is final."""
        interim = []
        while (response := self.read_head()).status < 200 and response.status != 101:
            _check_framing(response)
            if response.framing != "none":
                raise BadResponse(f"a {response.status} with framing: {response.headers!r}")
            interim.append(response)
        response.interim = interim
        _check_framing(response)
        if method == b"HEAD" or response.status in (101, 204, 304):
            response.framing = "none"
            return response
        try:
            self._read_body(response)
        except _Ended:
            response.complete = False
        return response

    def _read_body(self, response: Response) -> None:
        body = bytearray()
        try:
            if response.framing == "length":
                self._copy(int(response.values(b"content-length")[0]), body.extend)
            elif response.framing == "chunked":
                response.trailers = self._chunks(body.extend)
            else:
                response.framing = "close"
                while not self.end:
                    with contextlib.suppress(_Ended):
                        self._fill()
                body += self._take(len(self._buffer))
                response.complete = self.end == "eof"
        finally:
            response.body = bytes(body)

    def read_responses(self, methods: Sequence[bytes] = ()) -> list[Response]:
        """Read answers until the connection ends or each of *methods* is answered; with no methods, until the end."""
        responses: list[Response] = []
        while not methods or len(responses) < len(methods):
            if not self._more():
                break
            response = self.read_response(methods[len(responses)] if methods else b"GET")
            responses.append(response)
            if not response.complete or response.status == 101:
                break
        return responses

    def _more(self) -> bool:
        while not self._buffer:
            try:
                self._fill()
            except _Ended:
                return False
        return True

    def read_until_closed(self) -> bytes:
        """Everything up to the end of the stream; ``end`` then says how it ended."""
        while not self.end:
            with contextlib.suppress(_Ended):
                self._fill()
        return self._take(len(self._buffer))

    def read_exactly(self, size: int) -> bytes:
        """So many bytes of a tunnel."""
        while len(self._buffer) < size:
            try:
                self._fill()
            except _Ended:
                raise BadResponse(f"the stream ended ({self.end}) after {len(self._buffer)} of {size} bytes") from None
        return self._take(size)

    @property
    def unread(self) -> bytes:
        """Bytes received and not yet read as part of an answer."""
        return bytes(self._buffer)

    def __enter__(self) -> Client:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def _check_framing(response: Response) -> None:
    lengths = response.values(b"content-length")
    codings = response.values(b"transfer-encoding")
    if len(lengths) + len(codings) > 1:
        raise BadResponse(f"more than one framing field: {response.headers!r}")
    if lengths:
        if not _LENGTH.fullmatch(lengths[0]):
            raise BadResponse(f"bad Content-Length: {lengths[0]!r}")
        response.framing = "length"
    if codings:
        if codings[0] != b"chunked":
            raise BadResponse(f"bad Transfer-Encoding: {codings[0]!r}")
        response.framing = "chunked"
    if response.framing != "none" and response.status in (101, 204):
        raise BadResponse(f"a {response.status} with framing: {response.headers!r}")


def exchange(
    address: Address,
    raw: bytes,
    *,
    methods: Sequence[bytes] = (),
    how: Slicing = "whole",
    half_close: bool = False,
    timeout: float = TIMEOUT,
) -> list[Response]:
    """Send bytes on a new connection; the answers until it ends, or until each of *methods* is answered."""
    with Client(address, timeout) as client:
        client.send(raw, how)
        if half_close:
            client.half_close()
        return client.read_responses(methods)


def request(
    address: Address,
    method: str = "GET",
    target: str = "/",
    *,
    host: str = "localhost",
    headers: Sequence[tuple[str, str]] = (),
    body: bytes = b"",
    timeout: float = TIMEOUT,
) -> Response:
    """One ordinary request on a connection of its own."""
    lines = [f"{method} {target} HTTP/1.1", f"Host: {host}", "Connection: close"]
    lines += [f"{name}: {value}" for name, value in headers]
    if body:
        lines.append(f"Content-Length: {len(body)}")
    raw = "\r\n".join(lines).encode("latin-1") + b"\r\n\r\n" + body
    with Client(address, timeout) as client:
        client.send(raw)
        return client.read_response(method.encode())


def get(address: Address, target: str = "/", **options: Any) -> Response:
    """``request`` with GET."""
    return request(address, "GET", target, **options)
