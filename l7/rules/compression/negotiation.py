"""Which coding a client is given: Accept-Encoding with its weights (RFC 9110, 12.5.3)."""

from __future__ import annotations

import re
from functools import lru_cache

IDENTITY = b"identity"
_ALIASES = {b"x-gzip": b"gzip"}
"""RFC 9110, 8.4.1.3: recipients take it for the same."""
_WEIGHT = re.compile(rb"(?:0(?:\.\d{0,3})?|1(?:\.0{0,3})?)")
"""RFC 9110, 12.4.2."""
_LONGEST_REMEMBERED = 256
"""Bytes of a value that is remembered: browsers have a handful of them, which are shorter."""


def choose(value: bytes | None, offered: tuple[bytes, ...]) -> bytes | None:
    """The coding of ``offered``, the best first, that a client gets whose Accept-Encoding is ``value``.

    None for no coding: without the field, where none is accepted, and where the client would rather have none. A
    client that takes nothing that there is, ``identity;q=0``, is given the answer as it is: it is no reason for a 406.
    """
    if not value:
        return None
    if len(value) > _LONGEST_REMEMBERED:
        return _choose(value, offered)
    return _remembered(value, offered)


def _choose(value: bytes, offered: tuple[bytes, ...]) -> bytes | None:
    weights = weights_of(value)
    others = weights.get(b"*", 0)
    best, most = None, 0
    for coding in offered:
        weight = weights.get(coding, others)
        if weight > most:
            best, most = coding, weight
    return None if weights.get(IDENTITY, 0) > most else best


_remembered = lru_cache(maxsize=256)(_choose)


def weights_of(value: bytes) -> dict[bytes, int]:
    """The weights in thousandths by coding, in lower case; what is malformed is not accepted.

    Of a coding that is named more than once the last weight counts.
    """
    weights: dict[bytes, int] = {}
    for element in value.lower().split(b","):
        name, *parameters = (part.strip(b" \t") for part in element.split(b";"))
        if name:
            weights[_ALIASES.get(name, name)] = _weight(parameters)
    return weights


def _weight(parameters: list[bytes]) -> int:
    for parameter in parameters:
        name, _, text = parameter.partition(b"=")
        if name.rstrip(b" \t") == b"q":
            text = text.lstrip(b" \t")
            return round(float(text) * 1000) if _WEIGHT.fullmatch(text) else 0
    return 1000
