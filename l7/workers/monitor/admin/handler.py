"""What the admin endpoint does with a request: it takes GET and HEAD without a body, of whom it may, and nothing else.

Nothing can be changed by it.
"""

from __future__ import annotations

import sys

from l7.clock import monotonic
from l7.config.schema import Limits, Timeouts
from l7.errors import ProxyError
from l7.exchange import Exchange
from l7.http.messages import ABSENT, LocalResponse, RequestHead
from l7.http.parser import RequestParser
from l7.workers.downstream.client_exchange import ClientExchange
from l7.workers.downstream.request_handler import RequestHandler
from l7.workers.limits import ClientProtocolLimits
from l7.workers.monitor.admin.access import AdminAccess
from l7.workers.monitor.admin.answers import refusal
from l7.workers.monitor.admin.pages import AdminPages
from l7.workers.runtime.greenlet_pool import GreenletPool

LIMITS = Limits.model_construct(head=16 * 1024, target=8192, headers=100, discarded_body=64 * 1024)
TIMEOUTS = Timeouts.model_construct(head=5.0, idle=75.0, write=30.0, body=1.0)
"""Seconds for a head, and for the first one to begin; between two requests; to take more of an answer; to close."""


class AdminHandler(RequestHandler):
    """Answers requests with the pages."""

    def __init__(self, pages: AdminPages, access: AdminAccess) -> None:
        bounds = ClientProtocolLimits(LIMITS, TIMEOUTS)
        super().__init__(GreenletPool(), RequestParser(LIMITS.headers, LIMITS.target), bounds)
        self._pages = pages
        self.access = access
        self.served: set[ClientExchange] = set()
        """Clients that have been answered."""
        self.sending: dict[ClientExchange, float] = {}
        """Clients that are being sent an answer, and since when, in seconds of the clock."""

    def handle(self, exchange: Exchange, head: RequestHead, client: ClientExchange) -> None:
        """Answer one request."""
        self.served.add(client)
        try:
            page = self._answer(head)
        except Exception:  # a fault of ours costs one request, and is told to the operator
            sys.excepthook(*sys.exc_info())
            page = refusal(500, "this page could not be made")
        self._send(page, head, client, keep=not _has_body(head))

    def reject(self, failure: ProxyError, exchange: Exchange, client: ClientExchange) -> None:
        """Answer a malformed request, unless the client has left."""
        if failure.kind.status:
            self._send(refusal(failure.kind.status, str(failure)), None, client, keep=False)
        else:
            client.abort()

    def _send(self, page: LocalResponse, head: RequestHead | None, client: ClientExchange, *, keep: bool) -> None:
        self.sending[client] = monotonic()
        try:
            client.answer(page, head, keep=keep)
        finally:
            del self.sending[client]

    def _answer(self, head: RequestHead) -> LocalResponse:
        if _has_body(head):
            return refusal(400, "no body is read here")
        page = self._pages.find(head)
        if page is None:
            return refusal(404, self._pages.words)
        if head.method not in (b"GET", b"HEAD"):
            return refusal(405, "GET or HEAD", "Allow: GET, HEAD")
        refused = None if self._pages.is_open(head) else self.access.refuse(head)
        return page(head) if refused is None else refused


def _has_body(head: RequestHead) -> bool:
    return head.length not in (ABSENT, 0)
