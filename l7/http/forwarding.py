"""What goes on: heads written anew, canonical, with exactly one Host and one framing field that l7 wrote itself.

Hot: `Hop.request_head` and `Hop.response_head` each build one head with one join over the untouched lines.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Callable

from l7.compiled import take_over
from l7.http.grammar import CRLF, OWS, REQUEST_ID
from l7.http.messages import ABSENT, CHUNKED, UNTIL_CLOSE, RequestHead, ResponseHead

PSEUDONYM = b"l7"
"""What l7 calls itself in Via (RFC 9110, 7.6.3): inner names stay inside."""

MOST_HOPS = 20
"""After how many passages through an l7 a request is taken for a loop (RFC 9110, 7.6)."""

ADDED = ("Host", "X-Forwarded-For", "X-Forwarded-Proto", "X-Forwarded-Host", "X-Forwarded-Port", "Via", "X-Request-ID")
"""The fields that every forwarded request carries, in this order."""


_UPGRADE_REQUIRED = 426
_NO_CONTENT = 204
_HOST = b"Host: "
_LENGTH = b"Content-Length: "
_VIA_11 = b"Via: 1.1 l7\r\nX-Request-ID: "
_VIA_10 = b"Via: 1.0 l7\r\nX-Request-ID: "


class Hop:
    """One client connection: what it adds to each request, written once, and how answers are framed for it.

    ``client`` is the address of the peer, ``port`` the one it connected to, ``authority`` what stands in for Host when
    an HTTP/1.0 client names none.
    """

    __slots__ = ("authority", "client", "line", "port")

    def __init__(self, client: str, port: int, authority: bytes) -> None:
        self.client = client
        self.port = port
        self.authority = authority
        self.line = b"X-Forwarded-For: %b\r\nX-Forwarded-Proto: http\r\nX-Forwarded-Port: %d\r\nX-Forwarded-Host: " % (
            client.encode("ascii"),
            port,
        )

    def request_head(self, head: RequestHead, request_id: bytes, believed: bytes | None = None) -> bytes:
        """The head for the server; ``believed`` stands in for what we would say when the peer is a trusted proxy."""
        authority = head.authority or self.authority
        # A line in origin-form (RFC 9112, 3.2.1) and our version goes on as it came.
        lines = [head.line if head.plain else head.method + b" " + head.path + b" HTTP/1.1", _HOST + authority]
        lines += head.lines
        lines.append((self.line + authority) if believed is None else believed)
        lines.append((_VIA_11 if head.minor else _VIA_10) + request_id)
        if head.length >= 0:
            lines.append(_LENGTH + head.digits)
        elif head.length == CHUNKED:
            lines.append(b"Transfer-Encoding: chunked")
        if head.expects:
            lines.append(b"Expect: 100-continue")
        if head.upgrade or head.trailers:
            lines += _connection_options(head)
        if head.max_forwards >= 0:
            lines.append(b"Max-Forwards: %d" % (head.max_forwards - 1))
        lines.append(b"\r\n")
        return b"\r\n".join(lines)

    def framing(self, head: ResponseHead, minor: int) -> int:
        """How a response is framed for a client of HTTP/1.``minor``: without a length chunked, or by closing."""
        if head.length >= ABSENT:
            return head.length
        return CHUNKED if minor else UNTIL_CLOSE

    def response_head(self, head: ResponseHead, length: int, date: bytes, connection: bytes) -> bytes:
        """The head for the client.

        ``length`` is how the body is framed towards this client, ``date`` is used where the server sent none (RFC
        9110, 6.6.1), ``connection`` is ``close``, ``keep-alive`` (for HTTP/1.0) or empty.
        """
        lines = [head.line]
        lines += head.lines
        if not head.dated:
            lines.append(b"Date: " + date)
        if length == CHUNKED:
            lines.append(b"Transfer-Encoding: chunked")
        elif length >= 0 or (length == ABSENT and head.declared >= 0 and head.status != _NO_CONTENT):
            lines.append(_LENGTH + head.digits)
        if head.status == _UPGRADE_REQUIRED and head.upgrade:
            lines.append(b"Upgrade: " + head.upgrade)  # RFC 9110, 15.5.22: it says which protocols are meant
            connection = connection + b", upgrade" if connection else b"upgrade"
        if connection:
            lines.append(b"Connection: " + connection)
        lines.append(b"\r\n")
        return b"\r\n".join(lines)


def _connection_options(head: RequestHead) -> list[bytes]:
    lines = []
    options = []
    if head.upgrade:
        lines.append(b"Upgrade: " + head.upgrade)
        options.append(b"Upgrade")
    if head.trailers:
        lines.append(b"TE: trailers")
        options.append(b"TE")
    return [*lines, b"Connection: " + b", ".join(options)]


def interim_head(head: ResponseHead) -> bytes:
    """An interim response (RFC 9110, 15.2): no framing, no Date."""
    return CRLF.join([head.line, *head.lines, CRLF])


def switching_head(head: ResponseHead) -> bytes:
    """The 101 that opens a tunnel (RFC 9110, 7.8)."""
    return CRLF.join([head.line, *head.lines, b"Upgrade: " + head.upgrade, b"Connection: Upgrade", CRLF])


def loops(head: RequestHead) -> bool:
    """Whether a request has come through l7 so often that it must be going round in circles."""
    return head.via.count(b" " + PSEUDONYM) >= MOST_HOPS


def request_id_of(head: RequestHead) -> bytes:
    """The request id that came with a request, where it is one; else nothing."""
    return head.request_id if REQUEST_ID.fullmatch(head.request_id) else b""


Trusted = Callable[[str], bool]


def believe(head: RequestHead, hop: Hop, trusted: Trusted) -> tuple[str, bytes]:
    """The client's address and the forwarding lines for a request that a trusted proxy passed on.

    The client is the last address in X-Forwarded-For that is not itself trusted: what stands before it anybody can
    have written. Lines that are not ours to set (Forwarded, X-Real-IP) travel on.
    """
    told: dict[bytes, bytes] = {}
    others: list[bytes] = []
    for line in head.forwarded.split(CRLF) if head.forwarded else []:
        name, _, value = line.partition(b":")
        key = name.lower()
        if key in _SET:
            told[key] = told[key] + b", " + value.strip(OWS) if key in told else value.strip(OWS)
        else:
            others.append(line)
    chain = told.get(b"x-forwarded-for", b"")
    hops = [part.strip(OWS) for part in chain.split(b",")] if chain else []
    lines = [
        b"X-Forwarded-For: " + b", ".join([*hops, hop.client.encode("ascii")]),
        b"X-Forwarded-Proto: " + told.get(b"x-forwarded-proto", b"http"),
        b"X-Forwarded-Port: " + told.get(b"x-forwarded-port", b"%d" % hop.port),
        b"X-Forwarded-Host: " + told.get(b"x-forwarded-host", head.authority or hop.authority),
    ]
    return _client_of(hops, hop.client, trusted), CRLF.join(lines + others)


_SET = frozenset((b"x-forwarded-for", b"x-forwarded-proto", b"x-forwarded-port", b"x-forwarded-host"))


def _client_of(hops: list[bytes], peer: str, trusted: Trusted) -> str:
    client = peer
    for raw in reversed(hops):
        try:
            client = str(ipaddress.ip_address(raw.decode("ascii", "replace").strip("[]")))
        except ValueError:
            break
        if not trusted(client):
            break
    return client


take_over(globals())
