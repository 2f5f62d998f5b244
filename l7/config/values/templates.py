"""Texts with variables, as ``https://{host}{target}``: what is a variable in them, and which there are.

Only braces around a lower-case word are one, so that JSON and CSS are themselves; ``{{word}}`` is the text ``{word}``.
What becomes of a variable in a request is said by `l7.rules.templates`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import NamedTuple

from l7.config.values.names import did_you_mean

OF_REQUESTS = ("client", "host", "path", "query", "target", "scheme", "port", "request-id", "user", "route")
"""What is known of each request."""
OF_FAILURES = (*OF_REQUESTS, "status", "reason")
"""What is known where l7 has refused one, too."""

_BRACES = re.compile(r"\{\{([a-z][a-z0-9_-]*)\}\}|\{([a-z][a-z0-9_-]*)\}")


class Variable(NamedTuple):
    """The place of a value within a text."""

    name: str


def pieces_of(text: str, known: Iterable[str] = OF_REQUESTS) -> tuple[str | Variable, ...]:
    """Take a text apart: what stands there as it is, and variables. Raises ValueError for an unknown variable."""
    known = tuple(known)
    pieces: list[str | Variable] = []
    plain, at = "", 0
    for match in _BRACES.finditer(text):
        plain += text[at : match.start()]
        at = match.end()
        escaped, name = match.groups()
        if escaped is not None:
            plain += f"{{{escaped}}}"
            continue
        if name not in known:
            raise ValueError(_unknown(name, known))
        if plain:
            pieces.append(plain)
        pieces.append(Variable(name))
        plain = ""
    if plain + text[at:]:
        pieces.append(plain + text[at:])
    return tuple(pieces)


def _unknown(name: str, known: tuple[str, ...]) -> str:
    near = did_you_mean(name, known)
    hint = near or "; there are " + ", ".join(f"{{{one}}}" for one in known)
    return f"{{{name}}}: unknown variable{hint} (the text itself is written {{{{{name}}}}})"
