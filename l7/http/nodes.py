"""Who asked, as proxies write it: the nodes of X-Forwarded-For and of Forwarded (RFC 7239, 4 and 6). Read here only."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import NamedTuple

from l7.http.grammar import OWS
from l7.networks import canonical

# RFC 7239, 6: node = nodename [ ":" node-port ]; IPv6 in brackets, which those who write no port leave out.
_NODE = re.compile(
    rb"(?:\[([0-9A-Fa-f:.]{2,45}(?:%[\w.~%-]+)?)\]|([0-9.]{7,15}))(?::(?:[0-9]{1,5}|_[\w.-]+))?"
    rb"|([0-9A-Fa-f:.]{2,45}(?:%[\w.~%-]+)?)"
)
_QUOTED_PAIR = re.compile(rb"\\(.)", re.DOTALL)
_QUOTED = rb'"(?:[^"\\]|\\.)*"'
_BALANCED = re.compile(rb'(?:[^"]|' + _QUOTED + rb")*", re.DOTALL)
_BETWEEN_COMMAS = re.compile(rb'(?:[^",]|' + _QUOTED + rb")+", re.DOTALL)
_BETWEEN_SEMICOLONS = re.compile(rb'(?:[^";]|' + _QUOTED + rb")+", re.DOTALL)
# RFC 7239, 4: forwarded-pair. A value may be bare although it has ":" or brackets, as it often is.
_PAIR = re.compile(rb"([!#$%&'*+.^_`|~\w-]+)=(" + _QUOTED + rb'|[^" \t]*)', re.DOTALL)


def address_of(node: bytes) -> str:
    """The address that a node names: without quotes, brackets, port and zone; IPv4 that is written as IPv6 is IPv4.

    Empty for ``unknown``, for ``_hidden`` names (RFC 7239, 6.2 and 6.3) and for what can be read as no address.
    """
    match = _NODE.fullmatch(unquoted(node))
    if match is None:
        return ""
    try:
        return canonical((match[1] or match[2] or match[3]).decode("ascii"))
    except ValueError:
        return ""


class Element(NamedTuple):
    """What one proxy says in Forwarded of who asked it (RFC 7239, 4); empty where it says nothing."""

    node: bytes = b""
    proto: bytes = b""
    host: bytes = b""


def elements_of(values: Iterable[bytes]) -> list[Element]:
    """What Forwarded tells of each hop, in order; one that is malformed is a hop of which nothing is known.

    Each of ``values`` is a field's, read by itself: a quote that a client left open swallows nothing of the next.
    """
    found: list[Element] = []
    for value in values:
        if _BALANCED.fullmatch(value) is None:
            found.append(Element())  # where its elements end cannot be known
        else:
            found += [_element(part) for part in _BETWEEN_COMMAS.findall(value) if part.strip(OWS)]
    return found


def _element(text: bytes) -> Element:
    said: dict[bytes, bytes] = {}
    for pair in _BETWEEN_SEMICOLONS.findall(text):
        if not pair.strip(OWS):
            continue
        match = _PAIR.fullmatch(pair.strip(OWS))
        if match is None or match[1].lower() in said:  # RFC 7239, 4: each parameter once
            return Element()
        said[match[1].lower()] = unquoted(match[2])
    return Element(said.get(b"for", b""), said.get(b"proto", b""), said.get(b"host", b""))


def unquoted(value: bytes) -> bytes:
    """A ``token`` as it is, a ``quoted-string`` without its quotes and backslashes (RFC 9110, 5.6.4)."""
    if len(value) > 1 and value[:1] == value[-1:] == b'"':
        return _QUOTED_PAIR.sub(rb"\1", value[1:-1])
    return value
