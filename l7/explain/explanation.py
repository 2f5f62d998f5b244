"""Where a request would go, what would be done to it, and why: computed by the modules that serve requests."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from l7.balancing.routing import Match, Routes
from l7.config.generation import Sources
from l7.config.schema import Backend, Config
from l7.config.values.names import printable
from l7.config.values.server_names import OF_REQUEST
from l7.errors import NO_ROUTE, ProxyError
from l7.explain.asked import AskedRequest, Question, asked, listener_of, redirect_of, unread
from l7.explain.rules import RuleFindings, find_rules, unrouted
from l7.http.forwarding import ADDED
from l7.http.messages import LocalResponse, RequestHead


@dataclass(frozen=True)
class Explanation:
    """The route of a request; ``refused`` says why nothing serves it, in the words of the failure table.

    ``listener`` is the address where it would come in, ``redirect`` where that leads it to on https.
    """

    url: str
    listener: str
    method: str = "GET"
    client: str = ""
    """Who asks, as trusted proxies say; empty where that is not known."""
    host: str = ""
    match: Match | None = None
    refused: str = ""
    redirect: str = ""
    authorization: str = "pass"
    backend: Backend | None = None
    head: RequestHead | None = None
    findings: RuleFindings | None = None
    request: tuple[str, ...] = ()
    """The head that a server gets, line by line."""
    response: tuple[str, ...] = ()
    """Field lines that come into the answer."""
    page: str = ""
    """The error page of a request that is refused before any rule is asked; empty for none."""

    @property
    def route(self) -> str:
        """What the configuration calls the route; empty for none."""
        return "" if self.match is None else self.match.key

    def plain(self) -> dict[str, Any]:
        """The explanation as a JSON object."""
        backend = self.backend
        return {
            "url": self.url,
            "method": self.method,
            "client": self.client or None,
            "listener": self.listener,
            "host": self.host,
            "redirect": self.redirect or None,
            "match": self.match is not None,
            "route": self.route or None,
            "why": self.refused if self.match is None else self.match.why(),
            **self._decision(),
            "balance": None if backend is None else backend.balance,
            "servers": [] if backend is None else [str(server.address) for server in backend.servers or ()],
            "tls": _tls(backend) or None if backend is not None else None,
            "login": self.findings is not None and self.findings.compiled.logs_in,
            "authorization": self.authorization,
            "headers": dict(_added(self.request)),
            "request": list(self.request),
            "response": list(self.response),
        }

    def _decision(self) -> dict[str, Any]:
        """The rules, and what they have decided."""
        findings = self.findings
        refused: dict[str, Any] | None = None
        answer: dict[str, Any] | None = None
        by = None if findings is None else findings.decided
        decided = {"setting": by and by.setting, "source": (by and by.source) or None}
        if findings is not None and findings.refused is not None:
            error = findings.refused
            refused = self._refusal(error.kind.status, str(error), decided)
        elif self.match is None:
            refused = self._refusal(int(self.refused[:3]), self.refused[4:], decided)
        if findings is not None and findings.answer is not None:
            told = findings.answer
            answer = {"status": told.status, "type": told.media_type or None, "fields": list(told.fields), **decided}
        rules = [] if findings is None else [rule.plain(findings.context) for rule in findings.rules]
        return {"rules": rules, "refused": refused, "answer": answer}

    def _refusal(self, status: int, reason: str, decided: dict[str, Any]) -> dict[str, Any]:
        """A refusal; ``page`` is the file that is shown for it."""
        pages = None if self.findings is None else self.findings.compiled.pages
        page = self.page or (None if pages is None else pages.file_of(status))
        return {"status": status, "reason": reason, "page": page, **decided}


def explain(config: Config, question: Question, sources: Sources | None = None) -> Explanation:
    """Explain a request; ``sources`` say where settings were written."""
    url = question.shown
    address = str(listener_of(config, url).address)
    routes = Routes(config.backends)
    request = unread(config, question)
    try:
        request = asked(config, question)
        redirect = redirect_of(config, request)
        match: Match | None = routes.match(request.head.host, request.head.path)
    except ProxyError as error:
        status = error.kind.status
        response, page = unrouted(config, routes, request, LocalResponse(status, "", b""))
        return Explanation(url, address, refused=f"{status} {error}", page=page, response=response)
    if redirect:
        client = request.exchange.client if question.client else ""
        asked_for = (url, address, question.method, client, request.head.host, match)
        if match is None:
            response, page = unrouted(config, routes, request, LocalResponse(NO_ROUTE.status, "", b""))
            return Explanation(*asked_for, f"{NO_ROUTE.status} {NO_ROUTE.name}", page=page, response=response)
        led = LocalResponse(308, "", b"", (f"Location: {redirect}",))
        return Explanation(*asked_for, redirect=redirect, response=unrouted(config, routes, request, led)[0])
    findings = find_rules(config, routes, match, request, sources or {}, known=bool(question.client))
    return _explanation(config, question, request, match, findings)


def _explanation(
    config: Config,
    question: Question,
    request: AskedRequest,
    match: Match | None,
    findings: RuleFindings,
) -> Explanation:
    backend: Backend | None = None if match is None else match.payload
    served = backend is not None and findings.refused is None and findings.answer is None
    strips = config.authorization == "strip" and findings.compiled.logs_in
    sent = findings.request_lines(request, strips) if served else ()
    return Explanation(
        question.shown,
        str(request.listener.address),
        question.method,
        request.exchange.client if question.client else "",
        request.head.host,
        match,
        f"{NO_ROUTE.status} {NO_ROUTE.name}" if match is None else "",
        authorization=config.authorization,
        backend=backend,
        head=request.head,
        findings=findings,
        request=sent,
        response=findings.response_lines(),
    )


def _tls(backend: Backend) -> str:
    """Return by what servers with TLS are believed; empty where there is none."""
    tls = backend.tls
    if not any(server.address.tls for server in backend.servers or ()):
        return ""
    name = {None: "the name of its address", OF_REQUEST: "the host of the request"}.get(
        tls.server_name, tls.server_name
    )
    shown = f"; it is shown {printable(tls.cert)}" if tls.cert is not None else ""
    if not tls.verify:
        return f"not verified, asked for by {name}{shown}"
    return f"verified by {name} and {'the authorities of the system' if tls.ca is None else printable(tls.ca)}{shown}"


def _added(lines: tuple[str, ...]) -> list[tuple[str, str]]:
    """The fields that l7 writes, of a head as a server gets it."""
    fields = [line.partition(": ") for line in lines[1:]]
    return [(name, value) for name, _, value in fields if name in ADDED]
