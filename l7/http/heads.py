"""Gathering a head that did not come in one piece, refusing it as soon as it cannot become a good one.

The usual case (a whole head in one receive) never comes here. What does is either a slow client or an attack: so
every byte is looked at once, memory is bounded by the limit, and a bare LF or a malformed request line is refused when
it is seen, not when a deadline ends the waiting.
"""

from __future__ import annotations

from l7.errors import BAD_REQUEST, BAD_RESPONSE, ProxyError
from l7.http import refusals
from l7.http.grammar import CRLF, TEXT
from l7.http.parser import RequestParser
from l7.http.refusals import begins_as_response, field_line, no_response

_EMPTY_LINES = 8
"""Empty lines that may stand before a request line (RFC 9112, 2.2: at least one SHOULD be ignored)."""

END = b"\r\n\r\n"


class HeadReader:
    """Feed it bytes until it returns a head; the bytes behind the head are then in ``rest``.

    ``limit`` is the size of a head in bytes; with a ``parser`` it reads requests, without one responses.
    """

    __slots__ = ("_buffer", "_checked", "_empty", "_line_seen", "_parser", "_searched", "limit", "rest")

    def __init__(self, limit: int, parser: RequestParser | None = None) -> None:
        self.limit = limit
        self.rest = b""
        self._parser = parser
        self._buffer = bytearray()
        self._searched = 0
        self._checked = 0
        self._empty = 0
        self._line_seen = False

    @property
    def beginning(self) -> bytes:
        """Up to 1 KiB of what has come so far, for the log."""
        return bytes(self._buffer[:1024])

    @property
    def gathered(self) -> bytes:
        """All that has come of a head that is not whole."""
        return bytes(self._buffer)

    def feed(self, data: bytes) -> bytes | None:
        """The head without its last CRLFCRLF, or None for "more"; raises `ProxyError` for what cannot be one."""
        self._buffer += data
        if self._parser is None and not begins_as_response(self._buffer):
            raise no_response(bytes(self._buffer))
        if self._parser is not None and not self._line_seen:
            self._skip_empty_lines()
        end = self._buffer.find(END, max(0, self._searched - 3))
        if end >= 0:
            if end > self.limit:
                raise self._too_large()
            self.rest = bytes(self._buffer[end + 4 :])
            return bytes(self._buffer[:end])
        self._searched = len(self._buffer)
        self._check()
        if len(self._buffer) - len(END) >= self.limit:
            raise self._too_large()
        return None

    def _skip_empty_lines(self) -> None:
        while self._buffer.startswith(CRLF):
            self._empty += 1
            if self._empty > _EMPTY_LINES:
                raise ProxyError(BAD_REQUEST, "too many empty lines before the request")
            del self._buffer[:2]
            self._searched = self._checked = 0

    def _check(self) -> None:
        """Look at what is new; a CR at the end waits for its LF."""
        end = len(self._buffer) - self._buffer.endswith(b"\r")
        fresh = bytes(self._buffer[self._checked : end])
        self._checked = end
        if len(fresh.translate(None, TEXT)) != 2 * fresh.count(CRLF):
            raise self._malformed(bytes(self._buffer[:end]))
        if self._parser is None or self._line_seen:
            return
        first = self._buffer.find(CRLF)
        if first >= 0:
            self._parser.request_line(bytes(self._buffer[:first]))
            self._line_seen = True
        elif len(self._buffer) > self._parser.target:
            self._parser.unfinished_line(bytes(self._buffer))

    def _malformed(self, data: bytes) -> ProxyError:
        """The failure of ``data``, in which there is what no line may hold."""
        failure = BAD_RESPONSE if self._parser is None else BAD_REQUEST
        if data.startswith(refusals.BINARY_PROXY_HEADER):
            return ProxyError(failure, refusals.PROXY_HEADER)
        lines = enumerate(data.split(CRLF), 1)
        number, line = next((number, line) for number, line in lines if line.translate(None, TEXT))
        return field_line(failure, line, number)

    def _too_large(self) -> ProxyError:
        bounds = refusals.RESPONSE if self._parser is None else refusals.REQUEST
        return ProxyError(bounds.failure, bounds.large(self.limit, "head"))
