"""Bytes to heads: strict by construction, nothing is corrected, nothing is guessed.

Hot: `RequestParser.take` and `ResponseParser.take` run once per request. What is usual (a method in common use, a plain
target, our version; a registered status line) is read in place; all else by patterns. No head is kept for another.
Framing is decided here and nowhere else (RFC 9112, 6.3); whoever reads a body only follows ``head.length``.
"""

from __future__ import annotations

from http import HTTPStatus

from l7.errors import (
    BAD_REQUEST,
    BAD_RESPONSE,
    NOT_IMPLEMENTED,
    UNKNOWN_EXPECTATION,
    UNKNOWN_VERSION,
    Kind,
    ProxyError,
)
from l7.http import fields, octets
from l7.http.authority import host_of
from l7.http.fields import Table, Values, name_of
from l7.http.grammar import (
    MARK_PLAIN_TARGET,
    MARK_TARGET,
    MAX_FORWARDS,
    STATUS_LINE,
    elements,
    is_token,
    keep_alive,
    offered,
)
from l7.http.messages import ABSENT, CHUNKED, UNTIL_CLOSE, RequestHead, ResponseHead, StatusLine, lines_of
from l7.http.refusals import no_request_line, no_response, shown, target_too_long
from l7.http.targets import OTHER, escaped, minor_of, take_target

LONGEST_METHOD = 32
"""Longer names are answered 501 (RFC 9112, 3); the longest registered one has 17 bytes."""

_MINORS = {b"HTTP/1.1": 1, b"HTTP/1.0": 0}
_OTHER = OTHER
_METHODS = frozenset((b"GET", b"HEAD", b"POST", b"PUT", b"PATCH", b"DELETE", b"OPTIONS"))
"""Known to be tokens, and none of them asks for what a path does not name; others are looked at."""
_GET = b"GET "
_POST = b"POST "
_ENDING = b" HTTP/1.1\r\n"
_SLASH = 0x2F
_ZERO = 0x30

# C integers when compiled; those of fields index the list of values that a scan fills.
_LONGEST_METHOD = LONGEST_METHOD
_AUTHORIZATION = fields.AUTHORIZATION
_CODING = fields.CODING
_CONNECTION = fields.CONNECTION
_DATE = fields.DATE
_EXPECT = fields.EXPECT
_FORWARDED = fields.FORWARDED
_HOST = fields.HOST
_KEEP_ALIVE = fields.KEEP_ALIVE
_LENGTH = fields.LENGTH
_MAX_FORWARDS = fields.MAX_FORWARDS
_REFERER = fields.REFERER
_REQUEST_ID = fields.REQUEST_ID
_TE = fields.TE
_UPGRADE = fields.UPGRADE
_USER_AGENT = fields.USER_AGENT
_VIA = fields.VIA

_REQUEST = Table(fields.REQUEST_FIELDS, BAD_REQUEST, fields.FORWARDED, underscores=True)
_RESPONSE = Table(fields.RESPONSE_FIELDS, BAD_RESPONSE, fields.ORDINARY)

_STAYS = frozenset(
    b"close keep-alive upgrade te host content-length transfer-encoding authorization via x-request-id forwarded "
    b"x-real-ip cookie set-cookie content-type date".split()
)
"""What ``Connection`` cannot take away: naming an end-to-end field there is an attack (RFC 9110, 7.6.1)."""

_NOTHING: Values = [None] * fields.KINDS


class Options:
    """The options of Connection (RFC 9110, 7.6.1); ``named`` are the fields that it takes away."""

    __slots__ = ("close", "keep_alive", "named", "te", "upgrade")

    def __init__(self, options: list[bytes]) -> None:
        self.close = b"close" in options
        self.keep_alive = b"keep-alive" in options
        self.upgrade = b"upgrade" in options
        self.te = b"te" in options
        self.named = frozenset(options) - _STAYS


_OPTIONS = {
    value: Options(elements(value))
    for value in (
        b"close", b"Close", b"keep-alive", b"Keep-Alive", b"upgrade", b"Upgrade", b"keep-alive, Upgrade",
        b"Keep-Alive, Upgrade", b"Upgrade, Keep-Alive", b"TE", b"TE, close", b"close, TE", b"keep-alive, TE",
        b"TE, keep-alive",
    )
}  # fmt: skip
"""What clients and servers in wide use say in Connection."""
_KEEP = _OPTIONS[b"keep-alive"]
_STATUS_LINES = {
    line.raw: line
    for line in [
        StatusLine(b"HTTP/1.1 %d %b\r\n" % (status, phrase), status, phrase, 1)
        for status, phrase in [(status.value, status.phrase.encode("ascii")) for status in HTTPStatus]
    ]
}
"""The registered ones."""


class RequestParser:
    """Reads request heads within the limits of one listener: ``headers`` fields, ``target`` bytes.

    With ``utf8`` a target may have raw UTF-8, which is escaped: nobody behind the parser sees it.
    """

    __slots__ = ("headers", "target", "utf8")

    def __init__(self, headers: int, target: int, *, utf8: bool = False) -> None:
        self.headers = headers
        self.target = target
        self.utf8 = utf8

    def parse(self, head: bytes) -> RequestHead:
        """A whole head without its last CRLFCRLF; raises `ProxyError` with the row that applies."""
        request = self.take(head + b"\r\n\r\n")
        if request is None or request.size != len(head) + 4:
            raise ProxyError(BAD_REQUEST, "an empty line within the head")
        return request

    def take(self, data: bytes) -> RequestHead | None:
        """The head that ``data`` begins with, its size in ``size``; None while it is not whole.

        Empty lines in front are none of its business, nor is how long the head may be. Raises `ProxyError`.
        """
        request = self._usual_line(data)
        if request is None:
            end = data.find(b"\r\n")
            if end <= 0:
                return None
            request = self.request_line(data[:end])
            request.size = end + 2
        values = _NOTHING[:]
        request.size = _REQUEST.scan(data, request.size, self.headers, request.runs, values)
        if request.size < 0:
            return None
        _take_host(request, values[_HOST])
        if values[_LENGTH] is not None or values[_CODING] is not None:
            _frame_request(request, values[_LENGTH], values[_CODING])
        request.authorization = values[_AUTHORIZATION]
        request.user_agent = values[_USER_AGENT] or b""
        request.referer = values[_REFERER] or b""
        request.forwarded = values[_FORWARDED] or b""
        request.request_id = values[_REQUEST_ID] or b""
        request.via = values[_VIA] or b""
        if values[_CONNECTION] is not None:
            _take_connection(request, values[_CONNECTION] or b"", values)
        if values[_EXPECT] is not None:
            _take_expectation(request, values[_EXPECT] or b"")
        if values[_MAX_FORWARDS] is not None:
            _take_max_forwards(request, values[_MAX_FORWARDS] or b"")
        if request.method == b"TRACE" and request.length != ABSENT:
            raise ProxyError(BAD_REQUEST, "TRACE with a body")
        return request

    def _usual_line(self, data: bytes) -> RequestHead | None:
        """The request line that ``data`` begins with, its size in ``size``, where it is what nearly all are."""
        if octets.starts(data, 0, _GET):
            start = 4
        elif octets.starts(data, 0, _POST):
            start = 5
        else:
            return None
        end = octets.target_end(data, start)
        if octets.octet(data, start) != _SLASH or end - start > self.target or not octets.starts(data, end, _ENDING):
            return None
        method = b"GET" if start == 4 else b"POST"
        request = RequestHead(octets.cut(data, 0, end + 9), method, octets.cut(data, start, end), b"", 1)
        request.plain = request.clean = True
        request.size = end + 11
        return request

    def request_line(self, line: bytes) -> RequestHead:
        """The request line alone (RFC 9112, 3), so that a bad one is refused before the fields have come."""
        parts = line.split(b" ")
        if len(parts) != 3 or not parts[0] or not parts[1]:
            self.unfinished_line(line)
            raise no_request_line(line)
        method, target, version = parts
        minor = _MINORS.get(version, -1)
        if minor < 0:
            minor = minor_of(version)
        if len(method) > _LONGEST_METHOD:
            raise ProxyError(NOT_IMPLEMENTED, f"method longer than {LONGEST_METHOD} bytes")
        if method not in _METHODS and not is_token(method):
            raise ProxyError(BAD_REQUEST, "invalid method")
        if len(target) > self.target:
            raise target_too_long(self.target)
        if self.utf8 and not target.isascii():
            target = escaped(target)
            if len(target) > self.target:
                raise target_too_long(self.target)
            line = b" ".join((method, target, version))
        if target.translate(MARK_TARGET) != target:
            raise ProxyError(BAD_REQUEST, "invalid character in the request target")
        if minor == _OTHER:
            raise ProxyError(UNKNOWN_VERSION, "only HTTP/1.0 and HTTP/1.1 are spoken here")
        if target.startswith(b"/") and method != b"CONNECT":
            request = RequestHead(line, method, target, b"", minor)
            request.plain = version == b"HTTP/1.1"
            request.clean = target.translate(MARK_PLAIN_TARGET) == target
            return request
        path, authority = take_target(method, target)
        return RequestHead(line, method, path, authority, minor)

    def unfinished_line(self, line: bytes) -> None:
        """Raise `ProxyError` when a request line that has not ended yet is already too long."""
        method, _, rest = line.partition(b" ")
        if len(method) > _LONGEST_METHOD and is_token(method):
            raise ProxyError(NOT_IMPLEMENTED, f"method longer than {LONGEST_METHOD} bytes")
        if len(rest.partition(b" ")[0]) > self.target:
            raise target_too_long(self.target)


def _take_host(request: RequestHead, value: bytes | None) -> None:
    """Set whom the request is for (RFC 9112, 3.2; 9110, 7.2): absolute-form wins over Host, but Host must be valid."""
    if value is not None:
        request.host = host_of(value)
        if not request.authority:
            request.authority = value
        else:
            request.host = host_of(request.authority)
    elif request.minor:
        raise ProxyError(BAD_REQUEST, "no Host")
    elif request.authority:
        request.host = host_of(request.authority)


def _frame_request(request: RequestHead, length: bytes | None, coding: bytes | None) -> None:
    """Decide where the body ends (RFC 9112, 6.1 to 6.3): one Content-Length or one ``chunked``, never both."""
    if coding is None:
        request.length = _length_of(length or b"", BAD_REQUEST)
        request.digits = _digits(length or b"", request.length)
        return
    if length is not None:
        raise ProxyError(BAD_REQUEST, "Content-Length together with Transfer-Encoding")
    if not request.minor:
        raise ProxyError(BAD_REQUEST, "Transfer-Encoding in HTTP/1.0")
    if coding.lower() == b"chunked":
        request.length = CHUNKED
        return
    codings = [part.strip(b" \t").lower() for part in coding.split(b",")]
    names = [part.partition(b";")[0].strip(b" \t") for part in codings]
    known = not [name for name in names if not is_token(name)]
    if known and codings[-1] == b"chunked" and names.count(b"chunked") == 1:
        raise ProxyError(NOT_IMPLEMENTED, "unknown transfer coding; only chunked is understood")
    raise ProxyError(BAD_REQUEST, "Transfer-Encoding must be chunked, once and last")


def _length_of(value: bytes, failure: Kind) -> int:
    """Content-Length in bytes (RFC 9110, 8.6); raises `ProxyError` for anything but a number that fits."""
    length = octets.decimal(value)
    if length < 0:
        raise ProxyError(failure, "invalid Content-Length", seen=shown(value))
    return length


def _digits(value: bytes, length: int) -> bytes:
    """The Content-Length ``value`` as it goes on: without zeros in front."""
    return value if value[0] != _ZERO else b"%d" % length


def _take_connection(request: RequestHead, value: bytes, values: Values) -> None:
    """Act on Connection (RFC 9110, 7.6.1) and remove the fields it names."""
    options = _options_of(value)
    if options.close:
        request.persistent = False
    elif options.keep_alive:
        request.persistent = True
    if options.upgrade and request.minor and values[_UPGRADE]:
        request.upgrade = offered(values[_UPGRADE] or b"")
    if options.te and values[_TE] is not None:
        request.trailers = b"trailers" in elements(values[_TE] or b"")
    if options.named:
        request.runs = _without(request.runs, options.named)


def _without(runs: list[bytes], named: frozenset[bytes]) -> list[bytes]:
    """``runs`` without the fields that Connection names."""
    return [line for line in lines_of(runs) if name_of(line) not in named]


def _take_expectation(request: RequestHead, value: bytes) -> None:
    """``100-continue`` or 417 (RFC 9110, 10.1.1); an HTTP/1.0 client cannot expect anything."""
    if not request.minor:
        return
    if value.lower() != b"100-continue":
        raise ProxyError(UNKNOWN_EXPECTATION, "only 100-continue is understood")
    request.expects = request.length not in (ABSENT, 0)


def _take_max_forwards(request: RequestHead, value: bytes) -> None:
    """Count down where the RFC asks for it (RFC 9110, 7.6.2); for other methods the field just travels on."""
    if request.method not in (b"TRACE", b"OPTIONS"):
        request.runs.append(b"Max-Forwards: " + value)
        return
    if MAX_FORWARDS.fullmatch(value) is None:
        raise ProxyError(BAD_REQUEST, "invalid Max-Forwards")
    request.max_forwards = int(value)


class ResponseParser:
    """Reads response heads with at most ``headers`` fields; every fault is the server's."""

    __slots__ = ("_last", "headers")

    def __init__(self, headers: int) -> None:
        self.headers = headers
        self._last = StatusLine(b"HTTP/1.1 200 OK\r\n", 200, b"OK", 1)  # a first guess for the next

    def parse(self, head: bytes, method: bytes) -> ResponseHead:
        """A whole head without its last CRLFCRLF, answering a ``method``; raises `ProxyError` (`BAD_RESPONSE`)."""
        response = self.take(head + b"\r\n\r\n", method)
        if response is None or response.size != len(head) + 4:
            raise ProxyError(BAD_RESPONSE, "an empty line within the head")
        return response

    def take(self, data: bytes, method: bytes) -> ResponseHead | None:
        """The head that ``data`` begins with, its size in ``size``; None while it is not whole."""
        line = self._last
        if not data.startswith(line.raw):
            end = data.find(b"\r\n")
            if end <= 0:
                return None
            line = self._last = _status_of(data[: end + 2])
        response = ResponseHead(line)
        values = _NOTHING[:]
        response.size = _RESPONSE.scan(data, len(line.raw), self.headers, response.runs, values)
        if response.size < 0:
            return None
        response.dated = values[_DATE] is not None
        if values[_KEEP_ALIVE] is not None:
            response.keep_alive = keep_alive(values[_KEEP_ALIVE] or b"")
        _frame_response(response, values[_LENGTH], values[_CODING], line.minor, method)
        connection = values[_CONNECTION]
        if connection is not None:
            options = _options_of(connection)
            if options.close:
                response.persistent = False
            elif options.keep_alive:
                response.persistent = True
            if options.upgrade:
                response.upgrade = values[_UPGRADE] or b""
            if options.named:
                response.runs = _without(response.runs, options.named)
        return response


def _status_of(raw: bytes) -> StatusLine:
    """What a status line with its CRLF says (RFC 9112, 4)."""
    if (found := _STATUS_LINES.get(raw)) is not None:
        return found
    match = STATUS_LINE.fullmatch(raw[:-2])
    if match is None:
        raise no_response(raw)
    return StatusLine(raw, int(match.group(2)), match.group(3) or b"", 0 if match.group(1) == b"0" else 1)


def _options_of(value: bytes) -> Options:
    """The options of a Connection field."""
    options = _KEEP if value == b"keep-alive" else _OPTIONS.get(value)
    return Options(elements(value)) if options is None else options


def _frame_response(
    response: ResponseHead, length: bytes | None, coding: bytes | None, minor: int, method: bytes
) -> None:
    """Decide where the body ends (RFC 9112, 6.3): HEAD, 1xx, 204 and 304 have none, whatever their fields say."""
    if length is not None:
        response.declared = _length_of(length, BAD_RESPONSE)
        response.digits = _digits(length, response.declared)
        if coding is not None:
            raise ProxyError(BAD_RESPONSE, "Content-Length together with Transfer-Encoding")
    if coding is not None and coding.lower() != b"chunked":
        raise ProxyError(BAD_RESPONSE, "Transfer-Encoding other than chunked", seen=shown(coding))
    if coding is not None and not minor:
        raise ProxyError(BAD_RESPONSE, "Transfer-Encoding in HTTP/1.0")
    status = response.status
    if method == b"HEAD" or status < 200 or status in (204, 304):
        response.length = ABSENT
    elif coding is not None:
        response.length = CHUNKED
    elif length is not None:
        response.length = response.declared
    else:
        response.length = UNTIL_CLOSE
