"""What answers of the admin endpoint are made of.

No page may be framed, none asks anything of another place, and none of another place may read what is here: there are
no CORS fields.
"""

from __future__ import annotations

import json
import zlib
from collections.abc import Iterator, Mapping
from typing import Any

from l7.http.fields import name_of
from l7.http.messages import LocalResponse, RequestHead
from l7.rules.compression.negotiation import choose
from l7.workers.responses import phrase
from l7.workers.runtime.pause import pause

TEXT = "text/plain; charset=utf-8"
JSON = "application/json"
FRESH = "Cache-Control: no-store"
_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self'; base-uri 'none'; "
    "form-action 'none'; frame-ancestors 'none'"
)
SECURITY = (
    f"Content-Security-Policy: {_POLICY}",
    "X-Content-Type-Options: nosniff",
    "Referrer-Policy: no-referrer",
    "Cross-Origin-Resource-Policy: same-origin",
    "Cross-Origin-Opener-Policy: same-origin",
)
"""Fields of every answer: browsers show figures, too."""
_AT_A_TIME = 5
"""Items of a list that are written between two pauses: entries with plots are long."""
_MARKUP = str.maketrans({"<": "\\u003c", ">": "\\u003e", "&": "\\u0026"})


def page(status: int, media_type: str, body: bytes, *fields: str) -> LocalResponse:
    """An answer that nobody keeps."""
    return LocalResponse(status, media_type, body, (FRESH, *SECURITY, *fields))


def refusal(status: int, why: str, *fields: str) -> LocalResponse:
    """An answer that says in words why there is no other."""
    text = f"{status} {phrase(status)}: {why}\n"
    return page(status, TEXT, text.encode("utf-8", "replace"), *fields)


def json_text(value: Any) -> str:
    """A value as JSON in ASCII, in which nothing is markup, and no character is one that a terminal acts on."""
    return json.dumps(value).replace("\x7f", "\\u007f").translate(_MARKUP)


def json_object(document: Mapping[str, Any], between: str = " ") -> bytes:
    """An object with long lists as JSON, as `json_text` writes it; other things are done meanwhile.

    :param between: stands behind each comma of the object, and of the lists in it.
    """
    parts = []
    for key, value in document.items():
        text = json_text(value) if not isinstance(value, list) else f"[{f',{between}'.join(_items(value))}]"
        parts.append(f"{json_text(key)}: {text}")
    return f"{{{f',{between}'.join(parts)}}}".encode("ascii")


def _items(values: list[Any]) -> Iterator[str]:
    for number, value in enumerate(values, 1):
        yield json_text(value)
        if number % _AT_A_TIME == 0:
            pause()


def json_page(status: int, text: str) -> LocalResponse:
    """An answer with JSON, as `json_text` writes it."""
    return page(status, JSON, text.encode("ascii") + b"\n")


def value_of(head: RequestHead, name: bytes) -> bytes | None:
    """The value of a request's field; ``name`` in lower case. Of several the first, None where there is none."""
    for line in head.lines:
        if name_of(line) == name:
            return line.partition(b":")[2].strip(b" \t")
    return None


def takes_gzip(head: RequestHead) -> bool:
    """Whether whoever asks would rather have the answer compressed."""
    return choose(value_of(head, b"accept-encoding"), (b"gzip",)) is not None


def gzipped(body: bytes, level: int) -> bytes:
    """A body as gzip (RFC 1952); the interpreter is free meanwhile."""
    stream = zlib.compressobj(level, zlib.DEFLATED, 16 + zlib.MAX_WBITS)
    return stream.compress(body) + stream.flush()
