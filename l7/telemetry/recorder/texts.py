"""Texts of a record, written into shared memory in place; never the values of a query, unless they are wanted.

Compiled, the C in ``texts.pxd`` runs. Nothing is written outside of the memory: a place that is not within it raises
`IndexError`.
"""

from __future__ import annotations

import re

HIDDEN = "…".encode()
"""What stands for a value that is not kept."""
_METHOD = re.compile(rb"[!#$%&'*+.^_`|~0-9A-Za-z-]+ ")
_VERSION = re.compile(rb" HTTP/[0-9.]{1,3}\Z")


def _check(memory: memoryview, at: int, size: int) -> None:
    if at < 0 or size < 0 or at + size > len(memory):
        raise IndexError("text out of range")


def fence() -> None:
    """Let no store that follows be seen before one that was made."""


def microseconds(seconds: float) -> int:
    """A time as records have it; -1 for one beyond all sense."""
    return int(seconds * 1e6) if -9e12 < seconds < 9e12 else -1


def put(memory: memoryview, at: int, room: int, raw: bytes) -> int:
    """Write ``raw``, at most ``room`` bytes of it; returns how many."""
    size = min(len(raw), room)
    _check(memory, at, size)
    memory[at : at + size] = raw[:size]
    return size


def put_text(memory: memoryview, at: int, room: int, text: str) -> int:
    """Write a text as UTF-8, cut to ``room`` bytes; returns how many."""
    return put(memory, at, room, text.encode("utf-8", "backslashreplace"))


def copy(memory: memoryview, at: int, begin: int, size: int) -> None:
    """Copy ``size`` bytes from ``begin`` to ``at``, in the same memory."""
    _check(memory, at, size)
    _check(memory, begin, size)
    memory[at : at + size] = memory[begin : begin + size]


def put_line(memory: memoryview, at: int, room: int, line: bytes, queries: bool) -> int:
    """Write a request line, without a login that it names and, unless ``queries``, without the values of its query.

    What is no request line is not written: it may be anything. Returns how many bytes were written.
    """
    method = _METHOD.match(line)
    if method is None:
        return 0
    begin = method.end()
    version = _VERSION.search(line)
    end = len(line) if version is None else version.start()
    return put(memory, at, room, line[:begin] + _target(line[begin:end], queries=queries) + line[max(end, begin) :])


def _target(target: bytes, *, queries: bool) -> bytes:
    mark = target.find(b"?")
    path = target if mark < 0 else target[:mark]
    if not path.startswith(b"/"):
        scheme = path.find(b"://")
        host = 0 if scheme < 0 else scheme + 3
        slash = path.find(b"/", host)
        login = path.rfind(b"@", host, len(path) if slash < 0 else slash)
        if login >= 0:
            path = path[:host] + HIDDEN + path[login:]
    if mark < 0:
        return path
    query = target[mark + 1 :]
    return path + b"?" + (query if queries else b"&".join([_hidden(part) for part in query.split(b"&")]))


def _hidden(part: bytes) -> bytes:
    name, equals, value = part.partition(b"=")
    if equals:
        return name + equals + (HIDDEN if value else b"")
    return HIDDEN if part else b""  # it may be a token as well as a name
