"""The answer to a request that goes no further, because its client has said so (RFC 9110, 7.6.2 and 9.3.8)."""

from __future__ import annotations

from l7.http.fields import name_of
from l7.http.grammar import CRLF
from l7.http.messages import LocalResponse, RequestHead

ALLOW = "GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS, TRACE"
_SECRET = frozenset((b"authorization", b"cookie", b"proxy-authorization"))


def last_hop(head: RequestHead) -> LocalResponse:
    """The answer to TRACE or OPTIONS with ``Max-Forwards: 0``."""
    if head.method == b"OPTIONS":
        return LocalResponse(200, "", b"", (f"Allow: {ALLOW}",))
    lines = [head.line, b"Host: " + head.authority]
    lines += [line for line in head.lines if name_of(line) not in _SECRET]
    body = CRLF.join([*lines, b"Max-Forwards: 0", b"", b""])
    return LocalResponse(200, "message/http", body)
