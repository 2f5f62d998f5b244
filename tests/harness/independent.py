"""Requests read by parsers that are not ours: h11 (pure Python, strict) and llhttp, Node's (httptools, lenient off)."""

from __future__ import annotations

from dataclasses import dataclass, field

import h11
import httptools


@dataclass
class Parsed:
    """One request as an independent parser sees it."""

    method: bytes
    target: bytes
    headers: list[tuple[bytes, bytes]]
    body: bytes = b""
    complete: bool = False
    trailers: list[tuple[bytes, bytes]] = field(default_factory=list)


class Unreadable(AssertionError):
    """An independent parser refuses the bytes."""


def with_h11(raw: bytes) -> list[Parsed]:
    """Every request in *raw*; the last may be incomplete.

    :raises Unreadable: h11 refuses it.
    """
    found: list[Parsed] = []
    rest = raw
    while rest:
        parser = h11.Connection(h11.SERVER, max_incomplete_event_size=1 << 22)
        parser.receive_data(rest)
        try:
            rest = _one_with_h11(parser, found)
        except h11.RemoteProtocolError as error:
            raise Unreadable(f"h11: {error}: {raw[:2000]!r}") from None
    return found


def _one_with_h11(parser: h11.Connection, found: list[Parsed]) -> bytes:
    while True:
        event = parser.next_event()
        if isinstance(event, h11.Request):
            found.append(Parsed(event.method, event.target, list(event.headers.raw_items())))
        elif isinstance(event, h11.Data):
            found[-1].body += bytes(event.data)
        elif isinstance(event, h11.EndOfMessage):
            found[-1].complete = True
            found[-1].trailers = list(event.headers.raw_items())
            return bytes(parser.trailing_data[0])
        else:  # NEED_DATA, PAUSED
            return b""


class _Collector:
    def __init__(self) -> None:
        self.found: list[Parsed] = []
        self._target = b""
        self._headers: list[tuple[bytes, bytes]] = []

    def on_message_begin(self) -> None:
        self._target = b""
        self._headers = []

    def on_url(self, url: bytes) -> None:
        self._target += url

    def on_header(self, name: bytes, value: bytes) -> None:
        if self.found and not self.found[-1].complete and self._headers is self.found[-1].headers:
            self.found[-1].trailers.append((name, value))
        else:
            self._headers.append((name, value))

    def on_headers_complete(self) -> None:
        self.found.append(Parsed(self.parser.get_method(), self._target, self._headers))

    def on_body(self, body: bytes) -> None:
        self.found[-1].body += body

    def on_message_complete(self) -> None:
        self.found[-1].complete = True


def with_llhttp(raw: bytes) -> list[Parsed]:
    """Every request in *raw*; the last may be incomplete.

    :raises Unreadable: llhttp refuses it. It knows only registered methods: `knows_method` says which.
    """
    collector = _Collector()
    parser = httptools.HttpRequestParser(collector)
    collector.parser = parser  # type: ignore[attr-defined]
    try:
        parser.feed_data(raw)
    except httptools.HttpParserUpgrade:
        pass
    except httptools.HttpParserError as error:
        raise Unreadable(f"llhttp: {error!r}: {raw[:2000]!r}") from None
    return collector.found


def knows_method(method: bytes) -> bool:
    """Whether llhttp can read requests of this method: it refuses those that are not registered."""
    try:
        with_llhttp(method + b" / HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n")
    except Unreadable:
        return False
    return True
