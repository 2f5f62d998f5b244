"""W3C Trace Context: the fields ``traceparent`` and ``tracestate`` in the lines of a head, read strictly, written anew.

https://www.w3.org/TR/trace-context-1/ and, for the flag *random*, https://www.w3.org/TR/trace-context-2/
"""

from __future__ import annotations

import re
from typing import NamedTuple

from l7.http.fields import name_of
from l7.http.grammar import OWS
from l7.http.messages import lines_of

PARENT = b"traceparent"
STATE = b"tracestate"
SAMPLED = 0x01
RANDOM = 0x02
"""The trace id is random (level 2): to be passed on as it came."""
LONGEST_STATE = 512
"""Characters of a tracestate that a span has; what is longer goes on all the same, but not into the span."""

_PARENT = re.compile(rb"([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(-.*)?", re.DOTALL)
_ZEROS = re.compile(rb"0+")


class TraceParent(NamedTuple):
    """A span that somebody else has begun: ids in hexadecimal, lower case; ``flags`` are bits."""

    trace_id: str
    span_id: str
    flags: int

    @property
    def sampled(self) -> bool:
        """Whether it is recorded, as its sender says."""
        return bool(self.flags & SAMPLED)


class TraceFields(NamedTuple):
    """What a head says of its trace."""

    present: bool
    """Whether it has any such field, valid or not."""
    parent: TraceParent | None
    """None where there is no valid traceparent, or more than one: then the tracestate means nothing either."""
    state: str
    """The tracestate, its fields joined by commas; empty where it is too long for a span."""


NO_FIELDS = TraceFields(False, None, "")


def parse(value: bytes) -> TraceParent | None:
    """The value of a traceparent; None when it is not valid.

    Of a higher version the four fields are read that every version has, where nothing or a ``-`` follows them.
    """
    match = _PARENT.fullmatch(value)
    if match is None or match[1] == b"ff" or (match[1] == b"00" and match[5] is not None):
        return None
    if _ZEROS.fullmatch(match[2]) or _ZEROS.fullmatch(match[3]):
        return None
    return TraceParent(match[2].decode("ascii"), match[3].decode("ascii"), int(match[4], 16))


def written(trace_id: str, span_id: str, flags: int) -> bytes:
    """A traceparent of version 00 (section 3.2); of the flags those that are known."""
    return f"00-{trace_id}-{span_id}-{flags & (SAMPLED | RANDOM):02x}".encode("ascii")


def fields_in(runs: list[bytes]) -> TraceFields:
    """What the lines of a head say of its trace."""
    if not any(b"trace" in run.lower() for run in runs):
        return NO_FIELDS
    parents: list[bytes] = []
    states: list[bytes] = []
    for line in lines_of(runs):
        name = name_of(line)
        if name == PARENT:
            parents.append(_value(line))
        elif name == STATE:
            states.append(_value(line))
    parent = parse(parents[0]) if len(parents) == 1 else None
    state = b",".join([one for one in states if one]) if parent is not None else b""
    return TraceFields(bool(parents or states), parent, _text(state))


def without_fields(runs: list[bytes], *, state: bool) -> list[bytes]:
    """The lines without traceparent, and where ``state`` says so without tracestate, joined to one run."""
    gone = (PARENT, STATE) if state else (PARENT,)
    kept = [line for line in lines_of(runs) if name_of(line) not in gone]
    return [b"\r\n".join(kept)] if kept else []


def _value(line: bytes) -> bytes:
    return line[line.find(b":") + 1 :].strip(OWS)


def _text(state: bytes) -> str:
    return state.decode("ascii") if len(state) <= LONGEST_STATE and state.isascii() else ""
