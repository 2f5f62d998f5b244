"""Entity tags of answers that were compressed on their way (RFC 9110, 8.8.3).

What is compressed has other bytes, so that its strong tag has to be another one: l7 makes it weak. A client that comes
back with the weak one means the strong one of the server, which may compare byte by byte, and in If-Match may not take
a weak one at all. So the server is told of both.
"""

from __future__ import annotations

import re

from l7.http.fields import name_of
from l7.http.messages import lines_of

_CONDITIONS = frozenset((b"if-none-match", b"if-match"))
_TAG = re.compile(rb'(W/)?("[^"]*")')


def weakened(tag: bytes) -> bytes:
    """A strong tag as a weak one; a weak one, and what is none, as it is."""
    return b"W/" + tag if tag.startswith(b'"') else tag


def with_strong_forms(runs: list[bytes]) -> list[bytes]:
    """The fields of a request, in which beside each weak tag of a condition stands the strong one."""
    if not any(b'W/"' in run for run in runs):
        return runs
    return [_with_strong_form(line) if name_of(line) in _CONDITIONS else line for line in lines_of(runs)]


def _with_strong_form(line: bytes) -> bytes:
    name, _, value = line.partition(b":")
    tags = [(bool(weak), tag) for weak, tag in _TAG.findall(value)]
    strong = {tag for weak, tag in tags if not weak}
    missing = dict.fromkeys(tag for weak, tag in tags if weak and tag not in strong)
    return b", ".join([name + b": " + value.strip(b" \t"), *missing]) if missing else line


def as_the_client_knows(tag: bytes, runs: list[bytes]) -> bytes:
    """The tag of a 304 in the form in which the client has it, whose request, as it came, has the fields ``runs``.

    Else a cache would not find what it stored under the weak one (RFC 9111, 4.3.4).
    """
    if not tag.startswith(b'"'):
        return tag
    for line in lines_of(runs):
        if name_of(line) == b"if-none-match":
            known = {(bool(weak), own) for weak, own in _TAG.findall(line)}
            if (True, tag) in known and (False, tag) not in known:
                return weakened(tag)
    return tag
