"""Reading one cookie or one field out of a request, for those few settings that go by it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from l7.http.fields import name_of
from l7.http.grammar import OWS


def values_of(lines: Sequence[bytes], name: bytes) -> Iterator[bytes]:
    """Yield the values of the fields of a name, which is in lower case."""
    for line in lines:
        if len(line) > len(name) and name_of(line) == name:
            yield line[len(name) + 1 :].strip(OWS)


def cookies_of(lines: Sequence[bytes], name: bytes) -> Iterator[bytes]:
    """Yield the values of the cookies of a name (RFC 6265, 5.4); a client may send several."""
    for value in values_of(lines, b"cookie"):
        for pair in value.split(b";"):
            key, _, text = pair.strip(OWS).partition(b"=")
            if key == name:
                yield text.strip(b'"')
