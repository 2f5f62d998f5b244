"""The part of the schema for header rules: which fields of a head are removed, set and added, and which are not theirs.

What frames a message or names its way is l7's own: a rule about it is refused by name, with what to write instead.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Annotated, Any

from l7.config.model import BeforeValidator, Field, SecretStr, model_validator
from l7.config.section import Section
from l7.config.values import jsontypes
from l7.config.values.addresses import check_host
from l7.config.values.backend import token
from l7.config.values.scalars import Form, text_of
from l7.config.values.templates import pieces_of
from l7.units import quoted

_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
_SECRET = re.compile(r"authorization|cookie|(.*[-_])?(api-?key|key|token|secret|password|auth)([-_].*)?", re.ASCII)
"""Names whose values are shown nowhere: what a server takes for a proof."""

_FRAMING = "l7 writes it itself, as the body needs it"
_HOP = "it is for one connection only, and l7 writes it itself"
_WAY = "l7 says itself how a request came; from whom more of it is believed is for trusted-proxies to say"
_OF_ALL = {
    "content-length": _FRAMING,
    "transfer-encoding": _FRAMING,
    "trailer": _FRAMING,
    **dict.fromkeys(
        ("connection", "keep-alive", "proxy-connection", "proxy-authenticate", "proxy-authentication-info",
         "proxy-authorization", "te", "upgrade", "http2-settings"),
        _HOP,
    ),
    **dict.fromkeys(("forwarded", "x-real-ip"), _WAY),
}  # fmt: skip
_OF_REQUESTS = {
    **_OF_ALL,
    "host": "write `host: NAME` below the backend",
    "expect": _HOP,
    "max-forwards": _HOP,
    "via": "l7 writes it itself, unless `via: false` is set",
    "x-request-id": "l7 gives each request one; that of a trusted proxy is kept",
}
_OF_RESPONSES = {
    **_OF_ALL,
    "host": "it is a field of requests",
    "date": "it is the server's, or else l7's own",
}


def _request_name(value: Any) -> str:
    """Check the name of a field that a rule may change in a request."""
    name = _name(value, _OF_REQUESTS)
    if name.lower().replace("_", "-").startswith("x-client-cert-"):
        raise ValueError(f"{name}: only l7 says what is known of a client's certificate")
    return name


def _response_name(value: Any) -> str:
    """Check the name of a field that a rule may change in a response."""
    name = _name(value, _OF_RESPONSES)
    if name.lower().startswith("sec-websocket-"):
        raise ValueError(f"{name}: a WebSocket does not open with another one than the server's")
    return name


def _name(value: Any, refused: Mapping[str, str]) -> str:
    name = token(text_of(value, "write the name of a field"))
    folded = name.lower().replace("_", "-")
    reason = _WAY if folded.startswith("x-forwarded-") else refused.get(folded)
    if reason is not None:
        raise ValueError(f"{name} cannot be changed by a rule: {reason}")
    return name


def _text(value: Any) -> str:
    """Check the value of a field, with its variables."""
    text = text_of(value, "write a text").strip(" ")
    if _CONTROL.search(text):
        raise ValueError("a line end, a tab or another control character cannot stand in a field")
    if not text:
        raise ValueError("the value is empty; write the name below `remove` to take the field away")
    pieces_of(text)
    return text


def _texts(value: Any) -> tuple[str | SecretStr, ...]:
    """Check one value or a list of them."""
    items = value if isinstance(value, (list, tuple)) else [value]
    if not items:
        raise ValueError("write a value, or a list of them")
    return tuple([_secret_or_text(item) for item in items])


def _listed(value: Any) -> Any:
    """A single name is a list of one."""
    return [value] if isinstance(value, str) else value


def _guarded(value: Any) -> Any:
    """Hide the values of fields that prove who asks; None and what is no mapping is for others to refuse."""
    if not isinstance(value, Mapping):
        return value
    return {name: _hidden(name, text) for name, text in value.items()}


def is_secret(name: str) -> bool:
    """Whether a field's value may prove who asks, by its name: it is shown nowhere."""
    return _SECRET.fullmatch(name.lower()) is not None


def _hidden(name: Any, value: Any) -> Any:
    if not isinstance(name, str) or not is_secret(name):
        return value
    if isinstance(value, (list, tuple)):
        return [_hidden(name, one) for one in value]
    return SecretStr(value) if isinstance(value, str) else value


def _secret_or_text(value: Any) -> str | SecretStr:
    return SecretStr(_text(value.get_secret_value())) if isinstance(value, SecretStr) else _text(value)


def plain(value: str | SecretStr) -> str:
    """The value of a field that may be hidden."""
    return value.get_secret_value() if isinstance(value, SecretStr) else value


RequestName = Annotated[str, BeforeValidator(_request_name), Form("name", schema=jsontypes.TOKEN)]
ResponseName = Annotated[str, BeforeValidator(_response_name), Form("name", schema=jsontypes.TOKEN)]
Text = Annotated[str, BeforeValidator(_text), Form("text", schema=jsontypes.FIELD_TEXT)]
HiddenText = Annotated[str | SecretStr, BeforeValidator(_secret_or_text), Form("text", schema=jsontypes.FIELD_TEXT)]
Texts = Annotated[tuple[str, ...], BeforeValidator(_texts), Form("text or list of texts", list, jsontypes.FIELD_TEXTS)]
HiddenTexts = Annotated[
    tuple[str | SecretStr, ...], BeforeValidator(_texts), Form("text or list of texts", list, jsontypes.FIELD_TEXTS)
]
RequestNames = Annotated[
    tuple[RequestName, ...], BeforeValidator(_listed), Form("list of names", list, jsontypes.TOKENS)
]
ResponseNames = Annotated[
    tuple[ResponseName, ...], BeforeValidator(_listed), Form("list of names", list, jsontypes.TOKENS)
]


class RequestHeaders(Section):
    """What is changed in the head that a server gets: first `remove`, then `set`, then `add`."""

    remove: RequestNames = Field(
        default=(), description="Fields that the server does not get.", examples=["[Cookie, X-Debug]"]
    )
    set: Annotated[dict[RequestName, HiddenText], BeforeValidator(_guarded)] = Field(
        default={},
        description="Fields that the server gets with this value, whatever the client says of them. Values may have "
        "variables; one that turns out empty is not sent.",
        examples=["{X-Env: prod, X-Client: '{client}'}"],
    )
    add: Annotated[dict[RequestName, HiddenTexts], BeforeValidator(_guarded)] = Field(
        default={},
        description="Fields that the server gets beside those of the client; a list is a field for each value.",
        examples=["{X-Tag: [a, b]}"],
    )

    @model_validator(mode="after")
    def _names_differ(self) -> RequestHeaders:
        _refuse_twins(self.set, self.add)
        return self


class ResponseHeaders(Section):
    """What is changed in the head that a client gets: first `remove`, then `set`, then `add`."""

    remove: ResponseNames = Field(
        default=(), description="Fields of servers that the client does not get.", examples=["[Server, X-Powered-By]"]
    )
    set: dict[ResponseName, Text] = Field(
        default={},
        description="Fields that the client gets with this value, whatever the server says of them, also where l7 "
        "answers itself. Values may have variables; one that turns out empty is not sent. "
        "`Strict-Transport-Security` is sent over https only.",
        examples=["{Strict-Transport-Security: max-age=31536000}"],
    )
    add: dict[ResponseName, Texts] = Field(
        default={},
        description="Fields that the client gets beside those of the server; a list is a field for each value.",
        examples=["{Link: ['</a.css>; rel=preload', '</b.js>; rel=preload']}"],
    )

    @model_validator(mode="after")
    def _names_differ(self) -> ResponseHeaders:
        _refuse_twins(self.set, self.add)
        return self


_HOSTS = "write client, server or a host, as in app.internal"


def _sent_host(value: Any) -> str:
    """Check what servers get as Host: ``client``, ``server``, or a host with a port if need be, in lower case."""
    text = text_of(value, _HOSTS)
    if text in ("client", "server"):
        return text
    if "/" in text:
        raise ValueError(f"{quoted(text)}: a Host is neither a URL nor a path; {_HOSTS}")
    host, bracket, rest = text.rpartition("]")
    name, colon, port = rest.partition(":")
    if bracket and (name or not host.startswith("[") or ":" not in host):
        raise ValueError(f"{quoted(text)} is not a host; {_HOSTS}")
    checked = f"[{check_host(host[1:], _HOSTS)}]" if bracket else check_host(name, _HOSTS)
    if colon and not (port.isascii() and port.isdigit() and len(port) <= 5 and 1 <= int(port) <= 65535):
        raise ValueError(f"{quoted(text)}: {quoted(port)} is not a port; write 1 to 65535")
    return checked + colon + port


SentHost = Annotated[str, BeforeValidator(_sent_host), Form("`client`, `server` or a host", schema=jsontypes.SENT_HOST)]


def _refuse_twins(*mappings: Iterable[str]) -> None:
    """Refuse a mapping that has one name in two spellings: which of them held would depend on their order."""
    for names in mappings:
        seen: dict[str, str] = {}
        for name in names:
            first = seen.setdefault(name.lower(), name)
            if first != name:
                raise ValueError(f"{quoted(first)} and {quoted(name)} are the same field; write it once")
