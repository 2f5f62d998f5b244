"""The answers l7 makes itself of a row of the failure table.

How they go out is up to the client's exchange (`l7.workers.downstream.client_exchange`).
"""

from __future__ import annotations

import json
import time
from email.utils import formatdate
from http import HTTPStatus

from l7.errors import BAD_RESPONSE, METHOD_NOT_ALLOWED, UNAUTHORIZED, ProxyError, Side
from l7.exchange import Exchange
from l7.http.fields import name_of
from l7.http.messages import LocalResponse, RequestHead
from l7.rules.answers.error_pages import ErrorPage, ErrorPagesRule
from l7.rules.answers.last_hop import ALLOW

REALM = 'Basic realm="l7"'
RETRY_AFTER = 1
"""Seconds a client is asked to wait after a 503."""
_NOT_KEPT = "Cache-Control: no-store"
"""On error pages: a cache is to remember none, 404 among them (RFC 9111, 4.2.2)."""

_date = (0, b"")


def http_date() -> bytes:
    """Now as an IMF-fixdate (RFC 9110, 5.6.7), made once a second."""
    global _date
    now = int(time.time())
    if _date[0] != now:
        _date = (now, formatdate(now, usegmt=True).encode("ascii"))
    return _date[1]


def phrase(status: int) -> str:
    """The reason phrase of ``status``."""
    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return "Unknown"


def refusal(
    failure: ProxyError, head: RequestHead | None, exchange: Exchange, pages: ErrorPagesRule | None = None
) -> LocalResponse:
    """The answer to a failed request: one of ``pages``, where there is one and the client takes it, or our own words.

    The body of ours names the reason and the request id: plain text, or JSON where Accept asks for that. How l7 and a
    server are connected stays inside: the client learns the kind of failure, the log the details. What is wrong with
    a response it learns, too, because whoever wrote the server's application is the one who looks.
    """
    status = failure.kind.status
    inside = failure.kind.side is Side.UPSTREAM and failure.kind is not BAD_RESPONSE
    reason = failure.kind.name if inside else str(failure)
    fields, number = _extra_fields(failure, status), exchange.request_id
    wants_json = head is not None and _wants_json(head)
    page = None if pages is None else pages.find(status)
    if page is not None and (page.is_json or not wants_json):
        return LocalResponse(status, page.media_type, _filled(page, status, reason, exchange), (*fields, _NOT_KEPT))
    if wants_json:
        body = json.dumps({"status": status, "error": phrase(status), "reason": reason, "request_id": number}) + "\n"
        kind = "application/json"
    else:
        body = f"{status} {phrase(status)}\nreason: {reason}\nrequest id: {number}\n"
        kind = "text/plain; charset=utf-8"
    return LocalResponse(status, kind, body.encode("utf-8", "replace"), fields)


def _filled(page: ErrorPage, status: int, reason: str, exchange: Exchange) -> bytes:
    """The body of an error page; of a request that could not be read only this much is known."""
    known = {
        "status": b"%d" % status,
        "reason": reason.encode("utf-8", "replace"),
        "request-id": exchange.request_id.encode("utf-8", "replace"),
        "client": exchange.client.encode("utf-8", "replace"),
        "host": exchange.host.encode("utf-8", "replace"),
    }
    return page.body(exchange.ruled, known)


def _extra_fields(failure: ProxyError, status: int) -> tuple[str, ...]:
    if failure.fields:
        return failure.fields
    if failure.kind is UNAUTHORIZED:
        return (f"WWW-Authenticate: {REALM}",)
    if failure.kind is METHOD_NOT_ALLOWED:
        return (f"Allow: {ALLOW}",)
    if status == HTTPStatus.SERVICE_UNAVAILABLE:
        return (f"Retry-After: {RETRY_AFTER}",)
    return ()


def _wants_json(head: RequestHead) -> bool:
    """Whether Accept prefers JSON: it is named, and HTML is not (a browser names both or neither)."""
    for line in head.lines:
        if name_of(line) == b"accept":
            value = line.lower()
            return b"json" in value and b"text/html" not in value and b"text/plain" not in value
    return False
