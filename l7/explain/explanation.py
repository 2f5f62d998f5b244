"""Where a request would go, and why: computed by the modules that serve requests."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from l7.balancing.routing import Match, Routes
from l7.config.schema import Backend, Config
from l7.config.values.names import printable
from l7.config.values.server_names import OF_REQUEST
from l7.errors import NO_ROUTE, ProxyError
from l7.explain.asked import REQUEST_ID, AskedRequest, Question, asked, listener_of, redirect_of
from l7.http.forwarding import ADDED
from l7.http.messages import RequestHead

USER = b"<login>"


@dataclass(frozen=True)
class Explanation:
    """The route of a request; ``refused`` says why no backend serves it, in the words of the failure table.

    ``listener`` is the address where it would come in, ``redirect`` where that leads it to on https.
    """

    url: str
    host: str = ""
    route: str = ""
    why: str = ""
    balance: str = ""
    servers: tuple[str, ...] = ()
    login: bool = False
    authorization: str = "pass"
    headers: tuple[tuple[str, str], ...] = ()
    refused: str = ""
    listener: str = ""
    redirect: str = ""
    tls: str = ""
    """How servers with TLS are believed; empty where there is none."""
    backend: Backend | None = None
    head: RequestHead | None = None

    @property
    def matched(self) -> bool:
        """Whether a backend serves the request."""
        return not self.refused

    def plain(self) -> dict[str, Any]:
        """The explanation as a JSON object."""
        return {
            "url": self.url,
            "listener": self.listener,
            "host": self.host,
            "redirect": self.redirect or None,
            "match": self.matched,
            "route": self.route or None,
            "why": self.why or self.refused,
            "balance": self.balance or None,
            "servers": list(self.servers),
            "tls": self.tls or None,
            "login": self.login,
            "authorization": self.authorization,
            "headers": dict(self.headers),
        }


def explain(config: Config, question: Question) -> Explanation:
    """Explain a request."""
    url = question.shown
    address = str(listener_of(config, url).address)
    try:
        request = asked(config, question)
        redirect = redirect_of(config, request)
    except ProxyError as error:
        return Explanation(url, refused=f"{error.kind.status} {error}", listener=address)
    head = request.head
    match: Match | None = Routes(config.backends).match(head.host, head.path)
    if match is None:
        return Explanation(url, head.host, refused=f"{NO_ROUTE.status} {NO_ROUTE.name}", listener=address)
    backend = match.payload
    return Explanation(
        url,
        head.host,
        match.key,
        match.why(),
        backend.balance,
        tuple(str(server.address) for server in backend.servers),
        bool(config.users),
        config.authorization,
        tuple(_added(config, request)),
        listener=address,
        redirect=redirect,
        tls=_tls(backend),
        backend=backend,
        head=head,
    )


def _tls(backend: Backend) -> str:
    """Return by what servers with TLS are believed; empty where there is none."""
    tls = backend.tls
    if not any(server.address.tls for server in backend.servers):
        return ""
    name = {None: "the name of its address", OF_REQUEST: "the host of the request"}.get(
        tls.server_name, tls.server_name
    )
    shown = f"; it is shown {printable(tls.cert)}" if tls.cert is not None else ""
    if not tls.verify:
        return f"not verified, asked for by {name}{shown}"
    return f"verified by {name} and {'the authorities of the system' if tls.ca is None else printable(tls.ca)}{shown}"


def _added(config: Config, request: AskedRequest) -> list[tuple[str, str]]:
    """Return the fields that l7 writes, as the head for the server has them."""
    user = USER if config.authorization == "strip" else b""
    told = request.hop.request_head(request.head, REQUEST_ID, request.believed, b"", user)
    fields = [line.decode("utf-8", "replace").partition(": ") for line in told.split(b"\r\n")[1:] if line]
    return [(name, value) for name, _, value in fields if name in ADDED]
