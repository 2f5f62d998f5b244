"""Where a request would go, and why: computed by the modules that serve requests."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from l7.balancing.routing import Match, Routes
from l7.config.schema import Backend, Config
from l7.errors import NO_ROUTE, ProxyError
from l7.http.forwarding import ADDED, Hop
from l7.http.messages import RequestHead
from l7.http.parser import RequestParser

CLIENT = "<client-address>"
REQUEST_ID = b"<new-id>"
USER = b"<login>"

_LOGIN = re.compile(r"(?<=//)[^/?#]*@|^[^/?#]*@")
"""The login in a URL: a client sends it as Authorization, and nothing of it is shown."""


@dataclass(frozen=True)
class Explanation:
    """The route of a request; ``refused`` says why no backend serves it, in the words of the failure table."""

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
            "host": self.host,
            "match": self.matched,
            "route": self.route or None,
            "why": self.why or self.refused,
            "balance": self.balance or None,
            "servers": list(self.servers),
            "login": self.login,
            "authorization": self.authorization,
            "headers": dict(self.headers),
        }


def explain(config: Config, url: str, headers: Sequence[str] = ()) -> Explanation:
    """Explain a GET for ``url`` (``http://`` may be left out), sent with ``headers`` by an untrusted client."""
    url = _LOGIN.sub("", url, count=1)
    try:
        head = _parse(config, url, headers)
    except ProxyError as error:
        return Explanation(url, refused=f"{error.kind.status} {error}")
    match: Match | None = Routes(config.backends).match(head.host, head.path)
    if match is None:
        return Explanation(url, head.host, refused=f"{NO_ROUTE.status} {NO_ROUTE.name}")
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
        tuple(_added(config, head)),
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


def _added(config: Config, head: RequestHead) -> list[tuple[str, str]]:
    """Return the fields that l7 writes, as the head for the server has them."""
    hop = Hop(CLIENT, config.listened_on[0].address.port, head.authority, via=config.via)
    user = USER if config.authorization == "strip" else b""
    lines = hop.request_head(head, REQUEST_ID, user=user).split(b"\r\n")[1:]
    fields = [line.decode("utf-8", "replace").partition(": ") for line in lines if line]
    return [(name, value) for name, _, value in fields if name in ADDED]
