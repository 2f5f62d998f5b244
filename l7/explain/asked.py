"""The request that is asked about, as a worker has it when it begins to decide: read by the parser that serves."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from l7.config.schema import Config, ListenerConfig
from l7.config.values.listener import FIRST_TLS_PORT
from l7.errors import BAD_REQUEST, ProxyError
from l7.exchange import Exchange
from l7.http import forwarding
from l7.http.authority import default_port, port_in
from l7.http.forwarding import Hop
from l7.http.grammar import CRLF
from l7.http.messages import UNREAD, RequestHead
from l7.http.parser import RequestParser
from l7.http.targets import https_location, is_challenge
from l7.networks import UNIX, Trusted, canonical

CLIENT = "<client-address>"
REQUEST_ID = b"<new-id>"
VERIFIED, SUBJECT, FINGERPRINT = "<none-or-ok>", "<subject>", "<sha-256>"

_LOGIN = re.compile(r"(?<=//)[^/?#]*@|^[^/?#]*@")
"""The login in a URL: a client sends it as Authorization, and nothing of it is shown."""
_BY_HTTPS = b"x-forwarded-proto: https"


@dataclass(frozen=True)
class Question:
    """What is asked: a request for ``url`` (``http://`` may be left out) with ``headers``, as ``Name: value``.

    ``client`` is the address that connects, or ``unix:``; empty: one that nothing is known of.
    """

    url: str
    headers: Sequence[str] = ()
    method: str = "GET"
    client: str = ""

    @property
    def shown(self) -> str:
        """The URL without a login."""
        return _LOGIN.sub("", self.url, count=1)


@dataclass(frozen=True)
class AskedRequest:
    """It as the parser reads it, on the connection that it would come by."""

    listener: ListenerConfig
    head: RequestHead
    hop: Hop
    exchange: Exchange
    believed: bytes | None
    """The forwarding fields of a trusted proxy."""

    @property
    def by_https(self) -> bool:
        """Whether a trusted proxy says that it came by https already."""
        return self.believed is not None and _BY_HTTPS in self.believed.lower().split(CRLF)


def asked(config: Config, question: Question) -> AskedRequest:
    """Read the request. Raises `ProxyError` for one that would be refused as no request."""
    url = question.shown
    listener = listener_of(config, url)
    head = _parse(config, question, url)
    hop = _hop(config, listener, head, question.client)
    exchange = Exchange(hop.client, 0.0)
    exchange.request_id = REQUEST_ID.decode("ascii")
    exchange.request_line = head.line
    exchange.host = head.host
    believed = None
    trusted = Trusted(config.trusted_proxies)
    if question.client and hop.client in trusted:
        exchange.client, believed = forwarding.believe(head, hop, trusted.__contains__)
    return AskedRequest(listener, head, hop, exchange, believed)


def unread(config: Config, question: Question) -> AskedRequest:
    """What is known of a request that could not be read: the connection that it would come by."""
    listener = listener_of(config, question.shown)
    hop = _hop(config, listener, UNREAD, "")
    exchange = Exchange(hop.client, 0.0)
    exchange.request_id = REQUEST_ID.decode("ascii")
    return AskedRequest(listener, UNREAD, hop, exchange, None)


def _parse(config: Config, question: Question, url: str) -> RequestHead:
    scheme, separator, rest = url.partition("://")
    rest = rest if separator and scheme.lower() in ("http", "https") else url.removeprefix("//")
    rest = rest.partition("#")[0]
    end = min(at if at >= 0 else len(rest) for at in (rest.find("/"), rest.find("?")))
    authority, target = rest[:end], rest[end:]
    target = target if target.startswith("/") else "/" + target
    fields = list(question.headers)
    if not any(field.lower().startswith("host:") for field in fields):
        fields.insert(0, f"Host: {authority}")
    raw = "\r\n".join([f"{question.method} {target} HTTP/1.1", *fields]).encode("utf-8", "surrogateescape")
    limits = config.limits
    return RequestParser(limits.headers, limits.target, utf8=limits.target_bytes == "utf-8").parse(raw)


def listener_of(config: Config, url: str) -> ListenerConfig:
    """Return the listener that a URL leads to: by scheme and port, or else by scheme, or else the first one."""
    scheme, separator, rest = url.lower().partition("://")
    scheme = scheme if separator and scheme in ("http", "https") else "http"
    authority = (rest if separator else url.removeprefix("//")).partition("/")[0].encode("utf-8", "replace")
    port = int(port_in(authority) or default_port(scheme.encode("ascii")))
    alike = [one for one in config.listened_on if one.scheme == scheme.encode("ascii")]
    there = [one for one in alike if one.address.port == port and one.address.path is None]
    return (there or alike or list(config.listened_on))[0]


def _hop(config: Config, listener: ListenerConfig, head: RequestHead, client: str) -> Hop:
    """The connection: what it adds to requests. Raises `ProxyError` for a client that is no address."""
    hop = Hop(_address(client), listener.address.port, head.authority, listener.scheme, via=config.via)
    tls = config.tls_of(listener)
    if tls is not None and tls.client_auth not in (None, "off"):
        return hop.with_certificate("ok" if tls.client_auth == "require" else VERIFIED, SUBJECT, FINGERPRINT, "")
    return hop


def _address(client: str) -> str:
    if client in ("", UNIX):
        return client or CLIENT
    try:
        return canonical(client.removeprefix("[").removesuffix("]"))
    except ValueError:
        raise ProxyError(BAD_REQUEST, "the client is neither an IP address nor `unix:`") from None


def redirect_of(config: Config, request: AskedRequest) -> str:
    """Return the URL that a listener leads a request to; empty where it is served. Raises `ProxyError`."""
    port = request.listener.redirect_to_https
    if port is None or is_challenge(request.head) or request.by_https:
        return ""
    if port == FIRST_TLS_PORT:
        port = next((one.address.port for one in config.listened_on if one.tls is not None), 0)
    return https_location(request.head, port)
