"""Where a request would go, and why: computed by the modules that serve requests."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from l7.balancing.routing import Match, Routes
from l7.config.schema import Backend, Config, ListenerConfig
from l7.config.values.listener import FIRST_TLS_PORT
from l7.config.values.names import printable
from l7.config.values.server_names import OF_REQUEST
from l7.errors import NO_ROUTE, ProxyError
from l7.http.authority import default_port, port_in
from l7.http.forwarding import ADDED, Hop
from l7.http.messages import RequestHead
from l7.http.parser import RequestParser
from l7.http.targets import https_location, is_challenge

CLIENT = "<client-address>"
REQUEST_ID = b"<new-id>"
USER = b"<login>"
VERIFIED, SUBJECT, FINGERPRINT = "<none-or-ok>", "<subject>", "<sha-256>"

_LOGIN = re.compile(r"(?<=//)[^/?#]*@|^[^/?#]*@")
"""The login in a URL: a client sends it as Authorization, and nothing of it is shown."""


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


def explain(config: Config, url: str, headers: Sequence[str] = ()) -> Explanation:
    """Explain a GET for ``url`` (``http://`` may be left out), sent with ``headers`` by an untrusted client."""
    url = _LOGIN.sub("", url, count=1)
    listener = _listener(config, url)
    address = str(listener.address)
    try:
        head = _parse(config, url, headers)
        redirect = _redirect(config, listener, head)
    except ProxyError as error:
        return Explanation(url, refused=f"{error.kind.status} {error}", listener=address)
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
        tuple(_added(config, listener, head)),
        listener=address,
        redirect=redirect,
        tls=_tls(backend),
        backend=backend,
        head=head,
    )


def _parse(config: Config, url: str, headers: Sequence[str]) -> RequestHead:
    """Return the request as the parser of l7 reads it. Raises `ProxyError` for one that it refuses."""
    scheme, separator, rest = url.partition("://")
    rest = rest if separator and scheme.lower() in ("http", "https") else url.removeprefix("//")
    rest = rest.partition("#")[0]
    end = min(at if at >= 0 else len(rest) for at in (rest.find("/"), rest.find("?")))
    authority, target = rest[:end], rest[end:]
    target = target if target.startswith("/") else "/" + target
    fields = list(headers)
    if not any(field.lower().startswith("host:") for field in fields):
        fields.insert(0, f"Host: {authority}")
    raw = "\r\n".join([f"GET {target} HTTP/1.1", *fields]).encode("utf-8", "surrogateescape")
    limits = config.limits
    return RequestParser(limits.headers, limits.target, utf8=limits.target_bytes == "utf-8").parse(raw)


def _listener(config: Config, url: str) -> ListenerConfig:
    """Return the listener that a URL leads to: by scheme and port, or else by scheme, or else the first one."""
    scheme, separator, rest = url.lower().partition("://")
    scheme = scheme if separator and scheme in ("http", "https") else "http"
    authority = (rest if separator else url.removeprefix("//")).partition("/")[0].encode("utf-8", "replace")
    port = int(port_in(authority) or default_port(scheme.encode("ascii")))
    alike = [one for one in config.listened_on if one.scheme == scheme.encode("ascii")]
    there = [one for one in alike if one.address.port == port and one.address.path is None]
    return (there or alike or list(config.listened_on))[0]


def _redirect(config: Config, listener: ListenerConfig, head: RequestHead) -> str:
    """Return the URL that a listener leads a request to; empty where it is served. Raises `ProxyError`."""
    port = listener.redirect_to_https
    if port is None:
        return ""
    if port == FIRST_TLS_PORT:
        port = next((one.address.port for one in config.listened_on if one.tls is not None), 0)
    return "" if is_challenge(head) else https_location(head, port)


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


def _added(config: Config, listener: ListenerConfig, head: RequestHead) -> list[tuple[str, str]]:
    """Return the fields that l7 writes, as the head for the server has them."""
    hop = Hop(CLIENT, listener.address.port, head.authority, listener.scheme, via=config.via)
    tls = config.tls_of(listener)
    if tls is not None and tls.client_auth not in (None, "off"):
        hop = hop.with_certificate("ok" if tls.client_auth == "require" else VERIFIED, SUBJECT, FINGERPRINT, "")
    user = USER if config.authorization == "strip" else b""
    lines = hop.request_head(head, REQUEST_ID, user=user).split(b"\r\n")[1:]
    fields = [line.decode("utf-8", "replace").partition(": ") for line in lines if line]
    return [(name, value) for name, _, value in fields if name in ADDED]
