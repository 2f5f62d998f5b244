"""What goes on: heads written anew, canonical, with exactly one Host and one framing field that l7 wrote itself.

Hot: `Hop.request_head` and `Hop.response_head` each build one head with one join over the untouched runs of lines; an
answer that came whole is joined to its head in the same go.
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
# Each begins a line, so it ends the one before.
_HOST = b"\r\nHost: "
_LENGTH = b"\r\nContent-Length: "
_VIA_11 = b"\r\nVia: 1.1 l7\r\nX-Request-ID: "
_VIA_10 = b"\r\nVia: 1.0 l7\r\nX-Request-ID: "


_ARRIVALS: dict[int, bytes] = {}
"""What is said of how a request came, by the port: there are as many as listeners."""


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
        arrival = _ARRIVALS.get(port)
        if arrival is None:
            arrival = b"\r\nX-Forwarded-Proto: http\r\nX-Forwarded-Port: %d\r\nX-Forwarded-Host: " % port
            _ARRIVALS[port] = arrival
        self.line = b"".join((b"\r\nX-Forwarded-For: ", client.encode("ascii"), arrival))

    def request_head(
        self, head: RequestHead, request_id: bytes, believed: bytes | None = None, body: bytes = b""
    ) -> bytes:
        """The head for the server, and what has come of the body, framed.

        ``believed`` stands in for what we would say when the peer is a trusted proxy.
        """
        authority = head.authority or self.authority
        # A line in origin-form (RFC 9112, 3.2.1) and our version goes on as it came.
        pieces = [head.line if head.plain else head.method + b" " + head.path + b" HTTP/1.1", _HOST, authority]
        for run in head.runs:
            pieces.append(b"\r\n")
            pieces.append(run)
        pieces.append(self.line if believed is None else b"\r\n" + believed)
        if believed is None:
            pieces.append(authority)
        pieces.append(_VIA_11 if head.minor else _VIA_10)
        pieces.append(request_id)
        if head.length >= 0:
            pieces.append(_LENGTH)
            pieces.append(head.digits)
        elif head.length == CHUNKED:
            pieces.append(b"\r\nTransfer-Encoding: chunked")
        if head.expects:
            pieces.append(b"\r\nExpect: 100-continue")
        if head.upgrade or head.trailers:
            pieces += _connection_options(head)
        if head.max_forwards >= 0:
            pieces.append(b"\r\nMax-Forwards: %d" % (head.max_forwards - 1))
        pieces.append(b"\r\n\r\n")
        if body:
            pieces.append(body)
        return b"".join(pieces)

    def framing(self, head: ResponseHead, minor: int) -> int:
        """How a response is framed for a client of HTTP/1.``minor``: without a length chunked, or by closing."""
        if head.length >= ABSENT:
            return head.length
        return CHUNKED if minor else UNTIL_CLOSE

    def response_head(
        self, head: ResponseHead, length: int, date: bytes, connection: bytes, body: list[bytes] | None = None
    ) -> bytes:
        """The head for the client, and what has come of the body, framed, in pieces.

        ``length`` is how the body is framed towards this client, ``date`` is used where the server sent none (RFC
        9110, 6.6.1), ``connection`` is ``close``, ``keep-alive`` (for HTTP/1.0) or empty.
        """
        pieces = [head.start.line]
        for run in head.runs:
            pieces.append(b"\r\n")
            pieces.append(run)
        if not head.dated:
            pieces.append(b"\r\nDate: ")
            pieces.append(date)
        if length == CHUNKED:
            pieces.append(b"\r\nTransfer-Encoding: chunked")
        elif length >= 0 or (length == ABSENT and head.declared >= 0 and head.status != _NO_CONTENT):
            pieces.append(_LENGTH)
            pieces.append(head.digits)
        if head.status == _UPGRADE_REQUIRED and head.upgrade:
            # RFC 9110, 15.5.22: it says which protocols are meant
            pieces.append(b"\r\nUpgrade: " + head.upgrade)
            connection = connection + b", upgrade" if connection else b"upgrade"
        if connection:
            pieces.append(b"\r\nConnection: ")
            pieces.append(connection)
        pieces.append(b"\r\n\r\n")
        if body:
            pieces += body
        return b"".join(pieces)


def _connection_options(head: RequestHead) -> list[bytes]:
    lines = []
    options = []
    if head.upgrade:
        lines.append(b"\r\nUpgrade: " + head.upgrade)
        options.append(b"Upgrade")
    if head.trailers:
        lines.append(b"\r\nTE: trailers")
        options.append(b"TE")
    return [*lines, b"\r\nConnection: " + b", ".join(options)]


def interim_head(head: ResponseHead) -> bytes:
    """An interim response (RFC 9110, 15.2): no framing, no Date."""
    return CRLF.join([head.start.line, *head.runs, CRLF])


def switching_head(head: ResponseHead) -> bytes:
    """The 101 that opens a tunnel (RFC 9110, 7.8)."""
    return CRLF.join([head.start.line, *head.runs, b"Upgrade: " + head.upgrade, b"Connection: Upgrade", CRLF])


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
