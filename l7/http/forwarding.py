"""What goes on: heads written anew, canonical, with exactly one Host and one framing field that l7 wrote itself.

Hot: `Hop.request_head` and `Hop.response_head` each build one head with one join over the untouched runs of lines; an
answer that came whole is joined to its head in the same go.
"""

from __future__ import annotations

from collections.abc import Callable

from l7.http import octets
from l7.http.authority import default_port, port_in
from l7.http.fields import name_of
from l7.http.grammar import AUTHORITY, CRLF, OWS, REQUEST_ID
from l7.http.messages import ABSENT, CHUNKED, UNTIL_CLOSE, RequestHead, ResponseHead
from l7.http.nodes import Element, address_of, elements_of
from l7.networks import UNIX

PSEUDONYM = b"l7"
"""What l7 calls itself in Via (RFC 9110, 7.6.3): inner names stay inside."""

MOST_HOPS = 20
"""After how many passages through an l7 a request is taken for a loop (RFC 9110, 7.6)."""

ADDED = (
    "Host", "X-Forwarded-For", "X-Real-IP", "X-Forwarded-Proto", "X-Forwarded-Port", "X-Forwarded-Host", "Via",
    "X-Request-ID", "X-Forwarded-User", "X-Client-Cert-Verified", "X-Client-Cert-Subject", "X-Client-Cert-Fingerprint",
)  # fmt: skip
"""The fields that a forwarded request may get; of a client without an address it gets no For, Real-IP, Proto and Port,
User only where l7 checks logins and keeps them to itself, and Cert only of a listener that asks for certificates."""


_UPGRADE_REQUIRED = 426
_NO_CONTENT = 204
UNKNOWN = -2
"""The `Hop.ipv4` that was not asked for yet."""
# Each begins a line, so it ends the one before.
_HOST = b"\r\nHost: "
_LENGTH = b"\r\nContent-Length: "
_VIA_11 = b"\r\nVia: 1.1 l7\r\nX-Request-ID: "
_VIA_10 = b"\r\nVia: 1.0 l7\r\nX-Request-ID: "
_NO_VIA = b"\r\nX-Request-ID: "
_ARRIVAL = (
    b"\r\nX-Forwarded-For: %b\r\nX-Real-IP: %b\r\nX-Forwarded-Proto: %b\r\nX-Forwarded-Port: %b\r\nX-Forwarded-Host: %b"
)


class Hop:
    """One client connection: what it adds to each request, written once for a Host, and how answers are framed for it.

    ``client`` is the address of the peer, ``port`` the one it connected to, ``scheme`` what it speaks there,
    ``authority`` the Host of an HTTP/1.0 request that names none; ``via`` says whether Via is written. A peer on a
    unix socket (`UNIX`) has neither address nor port, and is taken for a proxy: only its own forwarding fields can say
    how the client came.
    """

    __slots__ = (
        "_lines", "_named", "authority", "bucket", "certificate", "client", "https_port", "ipv4", "limit", "port",
        "scheme", "server_name", "told_port", "via",
    )  # fmt: skip

    def __init__(self, client: str, port: int, authority: bytes, scheme: bytes = b"http", *, via: bool = True) -> None:
        self.client = client
        self.port = port
        self.authority = authority
        self.scheme = scheme
        self.via = via
        self.told_port = b""
        """The port that the client connected to, where a PROXY header has said it: it stands in for the Host's."""
        self.https_port = 0
        """The port of https that requests are led to; 0: they are served where they come."""
        self.certificate = b""
        """The lines that say what is known of the client's certificate, where one is asked for."""
        self.server_name = ""
        """The name that the client asked for in TLS, where requests for others are refused; empty: none is."""
        self.ipv4 = UNKNOWN
        """The client's IPv4 address as a number, -1 for any other, once a rule has asked for it."""
        self.limit: object = None
        """The rate limit that the client was counted by last, and in ``bucket`` the key of its bucket there."""
        self.bucket = 0
        self._named = b""
        """The Host of the last request, and the lines that say how it came: most clients name the same again."""
        self._lines = b""

    def with_certificate(self, verified: str, subject: str, fingerprint: str, server_name: str) -> Hop:
        """The same of one connection whose client was asked for a certificate: ``none`` or ``ok``, and whose it is.

        ``server_name`` is what it asked for in TLS, empty for none.
        """
        hop = Hop(self.client, self.port, self.authority, self.scheme, via=self.via)
        hop.told_port = self.told_port
        hop.https_port = self.https_port
        hop.server_name = server_name.lower().removesuffix(".")
        told = (("Verified", verified), ("Subject", subject), ("Fingerprint", fingerprint))
        lines = [f"\r\nX-Client-Cert-{name}: {value}" for name, value in told if value]
        hop.certificate = "".join(lines).encode("ascii")
        return hop

    def serves(self, head: RequestHead) -> bool:
        """Whether a request is for the host that its connection was made for (RFC 9110, 7.4), or names none."""
        return not self.server_name or not head.host or head.host == self.server_name

    def _came(self, authority: bytes) -> bytes:
        """The lines that say how a request for ``authority`` came; its port is the one that the client sees."""
        if authority != self._named or not self._lines:
            if self.client == UNIX:
                self._lines = b"\r\nX-Forwarded-Host: " + authority + self.certificate
            else:
                client = self.client.encode("ascii")
                port = self.told_port or port_in(authority) or default_port(self.scheme)
                self._lines = _ARRIVAL % (client, client, self.scheme, port, authority) + self.certificate
            self._named = authority
        return self._lines

    def request_head(
        self, head: RequestHead, request_id: bytes, believed: bytes | None = None, body: bytes = b"", user: bytes = b""
    ) -> bytes:
        """The head for the server, and what has come of the body, framed.

        ``believed`` stands in for what we would say when the peer is a trusted proxy; ``user`` is who has logged in,
        where the server is to hear it from us.
        """
        authority = head.authority or self.authority
        # A line in origin-form (RFC 9112, 3.2.1) and our version goes on as it came.
        pieces = [head.line if head.plain else head.method + b" " + head.path + b" HTTP/1.1", _HOST, authority]
        for run in head.runs:
            pieces.append(b"\r\n")
            pieces.append(run)
        pieces.append(self._came(authority) if believed is None else b"\r\n" + believed + self.certificate)
        if self.via:
            pieces.append(_VIA_11 if head.minor else _VIA_10)
        else:
            pieces.append(_NO_VIA)
        pieces.append(request_id)
        if user:
            pieces.append(b"\r\nX-Forwarded-User: " + user)
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
        return octets.joined(pieces)

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
            for piece in body:
                pieces.append(piece)
        return octets.joined(pieces)


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


def without(lines: bytes, name: bytes) -> bytes:
    """Field lines, joined by CRLF, without those of the field ``name`` (in lower case)."""
    return CRLF.join([line for line in lines.split(CRLF) if name_of(line) != name])


IsTrusted = Callable[[str], bool]


def believe(head: RequestHead, hop: Hop, trusted: IsTrusted) -> tuple[str, bytes]:
    """The client's address and the forwarding lines for a request that a trusted proxy passed on.

    The client is the last address in X-Forwarded-For that is not itself trusted: what stands before it anybody can
    have written. Without that field Forwarded says as much (RFC 7239), and without both X-Real-IP, which can name one
    only. A node that names no address ends the search at the one behind it. Lines that are not ours to set travel on.
    """
    told, others = _said(head)
    elements, chain = _chain(told, others)
    client, found = _client_of(elements, hop.client, trusted)
    if hop.client != UNIX:
        chain.append(hop.client.encode("ascii"))
    told[_FOR] = b", ".join(chain)
    told[_REAL_IP] = b"" if client == UNIX else client.encode("ascii")
    if _PROTO not in told and found.proto.lower() in _SCHEMES:
        told[_PROTO] = found.proto.lower()
    if _HOST_TOLD not in told and AUTHORITY.fullmatch(found.host):
        told[_HOST_TOLD] = found.host
    _complete(told, head.authority or hop.authority, hop)
    lines = [name + b": " + told[key] for key, name in _SET.items() if told.get(key)]
    return client, CRLF.join(lines + others)


_FOR, _REAL_IP, _PROTO, _PORT, _HOST_TOLD = (
    b"x-forwarded-for", b"x-real-ip", b"x-forwarded-proto", b"x-forwarded-port", b"x-forwarded-host"
)  # fmt: skip
_SET = {
    _FOR: b"X-Forwarded-For",
    _REAL_IP: b"X-Real-IP",
    _PROTO: b"X-Forwarded-Proto",
    _PORT: b"X-Forwarded-Port",
    _HOST_TOLD: b"X-Forwarded-Host",
}
_SCHEMES = (b"http", b"https")


def _said(head: RequestHead) -> tuple[dict[bytes, bytes], list[bytes]]:
    """The values of the fields that l7 sets, by name, and the lines of all others. An empty chain is one, too."""
    told: dict[bytes, bytes] = {}
    others: list[bytes] = []
    for line in head.forwarded.split(CRLF) if head.forwarded else []:
        name, _, value = line.partition(b":")
        key = name.lower()
        value = value.strip(OWS)
        if key in _SET:
            if value or key == _FOR:
                told[key] = told[key] + b", " + value if key in told else value
        else:
            others.append(line)
    return told, others


def _chain(told: dict[bytes, bytes], others: list[bytes]) -> tuple[list[Element], list[bytes]]:
    """What proxies say of each hop, and the same as X-Forwarded-For has it."""
    if _FOR in told:
        elements = [Element(node) for node in _parts(told[_FOR])]
        return elements, [element.node for element in elements]
    elements = elements_of([line.partition(b":")[2].strip(OWS) for line in others if _is_forwarded(line)])
    if not elements and address_of(told.get(_REAL_IP, b"")):
        elements = [Element(told[_REAL_IP])]
    return elements, [address_of(element.node).encode("ascii") or b"unknown" for element in elements]


def _complete(told: dict[bytes, bytes], authority: bytes, hop: Hop) -> None:
    """Say what a trusted proxy has left out of scheme, host and port, so that they fit together.

    The port is that of the host which the proxy names, or else of Host, unless that is our own and the proxy names the
    scheme: then it has written Host itself. Without a port it is that of the scheme.
    """
    if _PORT not in told and (_PROTO in told or hop.client != UNIX):
        scheme = _last(told.get(_PROTO, hop.scheme)).lower()
        if _HOST_TOLD in told:
            port = port_in(_last(told[_HOST_TOLD]))
        else:
            port = port_in(authority)
            if _PROTO in told and port == b"%d" % hop.port:
                port = b""
        told[_PORT] = port or default_port(scheme)
    if hop.client != UNIX:
        told.setdefault(_PROTO, hop.scheme)
    told.setdefault(_HOST_TOLD, authority)


def _last(value: bytes) -> bytes:
    """The last element of a list: what the nearest proxy says."""
    return value.rpartition(b",")[2].strip(OWS)


def _is_forwarded(line: bytes) -> bool:
    return line[: line.find(b":")].lower() == b"forwarded"


def _parts(value: bytes) -> list[bytes]:
    """The elements of a list without the empty ones (RFC 9110, 5.6.1.2)."""
    return [part for part in [raw.strip(OWS) for raw in value.split(b",")] if part]


def _client_of(elements: list[Element], peer: str, trusted: IsTrusted) -> tuple[str, Element]:
    """The client, and what the proxy that it asked says of it."""
    client, found = peer, Element()
    for element in reversed(elements):
        address = address_of(element.node)
        if not address:
            break
        client, found = address, element
        if not trusted(client):
            break
    return client, found
