"""Field lines: the one scan that requests, responses and trailers share.

Hot: runs for every field of every head, once over its octets, and remembers nothing from one head to the next: what a
head costs does not depend on what came before it. A name is looked up by its length and first octet, and compared in
place; a line that travels on is never an object of its own.
"""

from __future__ import annotations

from l7.errors import BAD_REQUEST, Kind, ProxyError
from l7.http import octets, refusals
from l7.http.grammar import CRLF
from l7.http.refusals import field_line

ORDINARY = 0
"""Travels on as it came."""
DROP = 1
"""Is left out: hop-by-hop, or not for a client to say."""
HOST, LENGTH, CODING, CONNECTION, TE, UPGRADE, EXPECT, MAX_FORWARDS, KEEP_ALIVE = range(2, 11)
"""Taken out of the head, to be acted on or written anew."""
FORWARDED, REQUEST_ID = 11, 12
"""What earlier hops say; for trusted peers."""
USER_AGENT, REFERER, VIA, DATE, AUTHORIZATION = 13, 14, 15, 16, 17
"""Noted and left in its place; from here on a field stays in the head."""
KEPT = USER_AGENT
KINDS = 18

Values = list[bytes | None]
"""One value a kind: what `scan` found; several fields of a list kind are joined by commas."""

_SINGLE = {
    HOST: "Host",
    LENGTH: "Content-Length",
    CODING: "Transfer-Encoding",
    AUTHORIZATION: "Authorization",
    MAX_FORWARDS: "Max-Forwards",
}
_HOP_BY_HOP = {
    b"connection": CONNECTION,
    b"keep-alive": DROP,
    b"proxy-connection": DROP,
    b"proxy-authorization": DROP,
    b"proxy-authenticate": DROP,
    b"proxy-authentication-info": DROP,
    b"te": TE,
    b"transfer-encoding": CODING,
    b"upgrade": UPGRADE,
    b"http2-settings": DROP,
}
"""RFC 9110, 7.6.1 and 11.7; HTTP2-Settings goes with an upgrade to h2c, which is never passed on."""

CLIENT_CERTIFICATE = (b"x-client-cert-verified", b"x-client-cert-subject", b"x-client-cert-fingerprint")
"""What only l7 says of a client's certificate: it knows, and no proxy before it is believed."""

REQUEST_FIELDS = _HOP_BY_HOP | {
    b"host": HOST,
    b"content-length": LENGTH,
    b"expect": EXPECT,
    b"authorization": AUTHORIZATION,
    b"max-forwards": MAX_FORWARDS,
    b"forwarded": FORWARDED,
    b"x-real-ip": FORWARDED,
    **dict.fromkeys(CLIENT_CERTIFICATE, DROP),
    b"x-request-id": REQUEST_ID,
    b"user-agent": USER_AGENT,
    b"referer": REFERER,
    b"via": VIA,
}
RESPONSE_FIELDS = _HOP_BY_HOP | {b"content-length": LENGTH, b"date": DATE, b"keep-alive": KEEP_ALIVE}

TRAILER_FIELDS = dict.fromkeys(
    [
        *_HOP_BY_HOP,
        *CLIENT_CERTIFICATE,
        *(
            b"content-length host trailer expect max-forwards authorization www-authenticate cookie set-cookie "
            b"content-encoding content-type content-range cache-control range age date expires location retry-after "
            b"vary via forwarded x-real-ip x-request-id if-match if-none-match if-modified-since if-unmodified-since "
            b"if-range"
        ).split(),
    ],
    DROP,
)
"""RFC 9110, 6.5.1: fields for framing, routing, modifiers, authentication and content format are not for trailers."""

_PROTECTED = frozenset(REQUEST_FIELDS) - {b"user-agent", b"referer"}

_FORWARDED_PREFIX = b"x-forwarded-"
# As the compiler's own integers: see the .pxd.
_ORDINARY = ORDINARY
_DROP = DROP
_FORWARDED = FORWARDED
_KEPT = KEPT
_COLON = 0x3A
_UNDERSCORE = 0x5F
_X = 0x78
_LOWER = 0x20
_SLOTS = 256
"""A power of two."""


class Table:
    """The kind of each field in one kind of head, by its name."""

    __slots__ = ("_chain", "_kinds", "_lengths", "_names", "_slots", "bounds", "failure", "prefix", "underscores")

    def __init__(self, fields: dict[bytes, int], failure: Kind, prefix: int, *, underscores: bool = False) -> None:
        self.failure = failure
        """The failure of a malformed field: the client's or the server's."""
        self.bounds = refusals.REQUEST if failure is BAD_REQUEST else refusals.RESPONSE
        """The names of its limits, for errors."""
        self.prefix = prefix
        """The kind of all names that begin with ``x-forwarded-``."""
        self.underscores = underscores
        """Whether ``X_Forwarded_For`` and its like are dropped: CGI and WSGI cannot tell them from the real one."""
        self._names = sorted(fields)
        self._kinds = bytes([fields[name] for name in self._names])
        self._lengths = bytes(map(len, self._names))
        slots, chain = bytearray(_SLOTS), bytearray(len(fields))
        for number, name in enumerate(self._names):
            slot = _slot(len(name), name[0])
            chain[number], slots[slot] = slots[slot], number + 1
        self._slots = bytes(slots)
        """By slot the number of the last name that has it, counted from 1."""
        self._chain = bytes(chain)
        """By number, from 0, the number of another name of the same slot."""

    def kind_of(self, data: bytes, at: int, end: int) -> int:
        """The kind of the field whose name, a token, stands from ``at`` to before ``end``."""
        length = end - at
        first = octets.octet(data, at) | _LOWER
        number = octets.octet(self._slots, _slot(length, first))
        while number:
            number -= 1
            if octets.octet(self._lengths, number) == length and octets.named(data, at, self._names[number]):
                return octets.octet(self._kinds, number)
            number = octets.octet(self._chain, number)
        return self.prefix if first == _X and octets.named(data, at, _FORWARDED_PREFIX) else _ORDINARY

    def scan(self, data: bytes, at: int, most: int, kept: list[bytes], values: Values) -> int:
        """Go through the lines of ``data`` from ``at`` to the empty one; returns the place behind that, -1 without one.

        Fills ``values`` by kind and ``kept`` with the lines that travel on, those that stand together as one run.
        Raises `ProxyError` for a malformed line, for more than ``most`` fields, and for a second field where there can
        be one only.
        """
        count, start = 0, -1  # how many fields, and where the present run begins
        while True:
            begin = at
            colon = octets.name_end(data, begin)
            scored = octets.octet(data, colon) == _UNDERSCORE
            if scored:
                colon = _behind_underscores(data, colon)
            if octets.octet(data, colon) != _COLON or colon == begin:
                if not octets.ends_line(data, begin):
                    return self._refuse(data, begin)
                if start >= 0:
                    kept.append(octets.cut(data, start, begin - 2))
                return begin + 2
            end = octets.text_end(data, colon + 1)
            if not octets.ends_line(data, end):
                return self._refuse(data, begin)
            at = end + 2
            kind = self.kind_of(data, begin, colon)
            if scored and kind == _ORDINARY and self.underscores:
                kind = _kind_of_twin(octets.cut(data, begin, colon))
            if kind == _ORDINARY or kind >= _KEPT:
                if start < 0:
                    start = begin
            elif start >= 0:
                kept.append(octets.cut(data, start, begin - 2))
                start = -1
            count += 1
            if count > most:
                raise ProxyError(self.bounds.failure, self.bounds.many(most, "fields"))
            if kind > _DROP:
                value = octets.cut(data, begin, end) if kind == _FORWARDED else octets.stripped(data, colon + 1, end)
                previous = values[kind]
                values[kind] = value if previous is None else self.combine(kind, previous, value)

    def _refuse(self, data: bytes, at: int) -> int:
        """Say what is wrong with the line at ``at`` (`ProxyError`); -1 when it has not come to its end."""
        end = data.find(CRLF, at)
        if end < 0:
            return -1
        raise field_line(self.failure, data[at:end], data.count(CRLF, 0, at) + 1)

    def combine(self, kind: int, previous: bytes, value: bytes) -> bytes:
        """Join a repeated field into one value (RFC 9110, 5.3); raises `ProxyError` where only one may be."""
        if kind in _SINGLE:
            raise ProxyError(self.failure, f"more than one {_SINGLE[kind]}")
        if kind == _FORWARDED:
            return previous + CRLF + value
        if kind in (USER_AGENT, REFERER):
            return previous
        return previous + b", " + value


def name_of(line: bytes) -> bytes:
    """The name of a checked field line, in lower case."""
    return line[: line.find(b":")].lower()


def _slot(length: int, first: int) -> int:
    """Where names of this length that begin with this octet are looked up."""
    return (length * 8 ^ first) & (_SLOTS - 1)


def _behind_underscores(data: bytes, at: int) -> int:
    """The end of a token that has an underscore at ``at``."""
    while octets.octet(data, at) == _UNDERSCORE:
        at = octets.name_end(data, at + 1)
    return at


def _kind_of_twin(name: bytes) -> int:
    """The kind of an ordinary name with underscores: dropped where with hyphens it would be one that protects."""
    twin = name.lower().replace(b"_", b"-")
    return DROP if twin in _PROTECTED or twin.startswith(_FORWARDED_PREFIX) else ORDINARY
