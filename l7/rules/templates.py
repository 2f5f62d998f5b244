"""Texts with variables, as ``https://{host}{target}``, filled in for a request.

A text is taken apart once, when its rule is made; one without variables is only bytes from then on. Values come from a
stranger: in a field nothing that holds a control character is sent, in a body of HTML they are escaped.

Hot: fields with variables are filled in for each request.
"""

from __future__ import annotations

import html
import json
import re
from collections.abc import Callable, Iterable, Mapping

from l7.config.values.templates import OF_REQUESTS, Variable, pieces_of
from l7.http import octets
from l7.http.authority import default_port, port_in
from l7.http.grammar import CRLF, OWS
from l7.rules.context import RuleContext

_CONTROL = re.compile(rb"[\x00-\x1f\x7f]")
_TAB = 0x09
_SCHEMES = (b"http", b"https")
_SCRIPTS = ("/javascript", "/x-javascript", "/ecmascript")
_OF_SCRIPTS = {ord(char): f"\\u{ord(char):04x}" for char in "'`$<"}
"""What ends a text in JavaScript beside the double quote, or begins a variable or a mark-up within it."""
_OF_SCRIPTS_IN_PAGES = {ord(char): f"&#x{ord(char):x};" for char in "\\`"}


class Template:
    """A text with variables; ``constant`` is what it is for every request, None where that differs."""

    __slots__ = ("_filled", "_pieces", "constant", "variables")

    def __init__(self, pieces: Iterable[str | Variable]) -> None:
        self._pieces = [piece if isinstance(piece, Variable) else piece.encode("utf-8") for piece in pieces]
        self.variables = tuple(piece.name for piece in self._pieces if isinstance(piece, Variable))
        """The names of its variables, in order."""
        self._filled = [piece if isinstance(piece, bytes) else VALUES.get(piece.name, _none) for piece in self._pieces]
        """The pieces, with what gives the value for a request instead of a variable."""
        self.constant: bytes | None = (
            None if self.variables else b"".join([piece for piece in self._pieces if isinstance(piece, bytes)])
        )

    @classmethod
    def parse(cls, text: str, known: Iterable[str] = OF_REQUESTS) -> Template:
        """The template of a text that has only ``known`` variables. Raises ValueError for others."""
        return cls(pieces_of(text, known))

    def expand(self, context: RuleContext) -> bytes | None:
        """The value of a field for a request; None where it would hold a control character, and is not to be sent."""
        if self.constant is not None:
            return self.constant
        values: list[bytes] = []
        for piece in self._filled:
            values.append(piece if isinstance(piece, bytes) else piece(context))
        value = values[0] if len(values) == 1 else octets.joined(values)
        return None if octets.text_end(value, 0) < len(value) or _TAB in value else value

    def body(self, context: RuleContext, media_type: str, known: Mapping[str, bytes] | None = None) -> bytes:
        """The text as a body of ``media_type``, in which values are escaped where that is HTML, XML, JSON or a script.

        ``known`` are values that stand before those of the request, by name: the status and the reason of a failure.
        What is not known, or holds a control character, is left empty.
        """
        if self.constant is not None:
            return self.constant
        escape = _escape_of(media_type)
        pieces = []
        for piece in self._pieces:
            if isinstance(piece, bytes):
                pieces.append(piece)
                continue
            value = known.get(piece.name) if known else None
            if value is None:
                value = VALUES.get(piece.name, _none)(context)
            if not _CONTROL.search(value):
                pieces.append(escape(value))
        return b"".join(pieces)


def _escape_of(media_type: str) -> Callable[[bytes], bytes]:
    """How values are written within a body, so that they stay values."""
    essence = media_type.partition(";")[0].strip().lower()
    if essence == "text/html" or essence.endswith(("/xml", "+xml")):
        return _as_markup
    if essence.endswith(_SCRIPTS):
        return _as_script
    return _as_json if essence.endswith(("/json", "+json")) else bytes


def _as_markup(value: bytes) -> bytes:
    """The value as text; also without what would go on with, or end, the text of a script within a page."""
    return html.escape(value.decode("utf-8", "replace")).translate(_OF_SCRIPTS_IN_PAGES).encode("utf-8")


def _as_json(value: bytes) -> bytes:
    """The value within quotes that stand in the text."""
    return json.dumps(value.decode("utf-8", "replace"))[1:-1].encode("ascii")


def _as_script(value: bytes) -> bytes:
    """The value within quotes of any kind, as JavaScript has them."""
    return json.dumps(value.decode("utf-8", "replace"))[1:-1].translate(_OF_SCRIPTS).encode("ascii")


def scheme_of(context: RuleContext) -> bytes:
    """``http`` or ``https``: what the client spoke, with l7 or with a trusted proxy that says so."""
    if context.believed is not None:
        told = _told(context.believed, b"x-forwarded-proto:").lower()
        if told in _SCHEMES:
            return told
    return context.hop.scheme


def _port_of(context: RuleContext) -> bytes:
    """The port that the client connected to, as far as it can be known: as in X-Forwarded-Port."""
    told = _told(context.believed, b"x-forwarded-port:")
    if told:
        told = port_in(b"_:" + told)
    hop = context.hop
    return told or hop.told_port or port_in(context.authority) or default_port(scheme_of(context))


def _told(believed: bytes | None, name: bytes) -> bytes:
    """What the nearest trusted proxy says in a field; empty where it does not."""
    if believed:
        for line in believed.split(CRLF):
            if line[: len(name)].lower() == name:
                return line.rpartition(b",")[2].strip(OWS) if b"," in line else line[len(name) :].strip(OWS)
    return b""


def _none(context: RuleContext) -> bytes:
    """No value: what is known of failures only."""
    return b""


def _client(context: RuleContext) -> bytes:
    client = context.exchange.client
    return client.encode("ascii", "replace")


def _host(context: RuleContext) -> bytes:
    host = context.head.host
    return host.encode("ascii", "replace")


def _path(context: RuleContext) -> bytes:
    return context.target.partition(b"?")[0]


def _query(context: RuleContext) -> bytes:
    return context.target.partition(b"?")[2]


def _target(context: RuleContext) -> bytes:
    return context.target


def _request_id(context: RuleContext) -> bytes:
    request_id = context.exchange.request_id
    return request_id.encode("ascii", "replace")


def _user(context: RuleContext) -> bytes:
    """The login that was checked: where none is, anybody can claim to be anybody."""
    return context.exchange.user if context.rules is not None and context.rules.logs_in else b""


def _route(context: RuleContext) -> bytes:
    return context.route.encode("utf-8")


VALUES: dict[str, Callable[[RuleContext], bytes]] = {
    "client": _client,
    "host": _host,
    "path": _path,
    "query": _query,
    "target": _target,
    "scheme": scheme_of,
    "port": _port_of,
    "request-id": _request_id,
    "user": _user,
    "route": _route,
}
"""The value of each variable, none of which is changed by rules: path and target are those that the client sent."""
