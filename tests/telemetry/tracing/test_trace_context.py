"""W3C Trace Context: what is a traceparent, what is none, and what becomes of the lines of a head."""

from __future__ import annotations

import pytest

from l7.telemetry.tracing.trace_context import NO_FIELDS, TraceParent, fields_in, parse, without_fields, written

TRACE, SPAN = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
GOOD = f"00-{TRACE}-{SPAN}-01".encode()


@pytest.mark.parametrize(
    ("value", "flags"),
    [
        (GOOD, 1),
        (f"00-{TRACE}-{SPAN}-00".encode(), 0),
        (f"00-{TRACE}-{SPAN}-03".encode(), 3),
        (f"00-{TRACE}-{SPAN}-ff".encode(), 0xFF),
        (f"01-{TRACE}-{SPAN}-01".encode(), 1),
        (f"cc-{TRACE}-{SPAN}-01-what-the-future-will-be-like".encode(), 1),
        (f"cc-{TRACE}-{SPAN}-01-".encode(), 1),
    ],
)
def test_valid(value: bytes, flags: int) -> None:
    assert parse(value) == TraceParent(TRACE, SPAN, flags)


@pytest.mark.parametrize(
    "value",
    [
        b"", b"00", GOOD.upper(), GOOD + b"-", GOOD + b"-more", GOOD + b"0", GOOD[:-1], b" " + GOOD, GOOD + b"\n",
        f"ff-{TRACE}-{SPAN}-01".encode(), f"ff-{TRACE}-{SPAN}-01-x".encode(),
        f"cc-{TRACE}-{SPAN}-01.what".encode(), f"cc-{TRACE}-{SPAN}-010".encode(),
        f"00-{'0' * 32}-{SPAN}-01".encode(), f"00-{TRACE}-{'0' * 16}-01".encode(),
        f"00-{TRACE[:-1]}-{SPAN}-01".encode(), f"00-{TRACE}0-{SPAN}-01".encode(),
        f"00-{TRACE[:-1]}g-{SPAN}-01".encode(), f"0x-{TRACE}-{SPAN}-01".encode(), f"00_{TRACE}_{SPAN}_01".encode(),
    ],
)  # fmt: skip
def test_invalid(value: bytes) -> None:
    assert parse(value) is None


def test_what_is_written_is_valid_and_has_known_flags_only() -> None:
    assert written(TRACE, SPAN, 0x01) == GOOD
    assert parse(written(TRACE, SPAN, 0xFF)) == TraceParent(TRACE, SPAN, 0x03)


def lines(*more: bytes) -> list[bytes]:
    return [b"\r\n".join((b"Accept: */*", *more, b"X-Trace: 1"))]


@pytest.mark.parametrize(
    ("runs", "parent", "state"),
    [
        (lines(b"TraceParent:  " + GOOD + b"\t"), True, ""),
        (
            lines(b"traceparent: " + GOOD, b"tracestate: a=1", b"Tracestate: b=2,c=3", b"tracestate:"),
            True,
            "a=1,b=2,c=3",
        ),
        (lines(b"traceparent: " + GOOD, b"tracestate: a=" + b"x" * 600), True, ""),
        (lines(b"traceparent: " + GOOD, b"traceparent: " + GOOD, b"tracestate: a=1"), False, ""),
        (lines(b"traceparent: 1", b"tracestate: a=1"), False, ""),
        (lines(b"tracestate: a=1"), False, ""),
        ([b"A: b", b"traceparent: " + GOOD], True, ""),
    ],
)
def test_what_a_head_says(runs: list[bytes], parent: bool, state: str) -> None:
    found = fields_in(runs)
    assert found.present
    assert (found.parent == parse(GOOD)) is parent
    assert found.state == state


@pytest.mark.parametrize("runs", [[], lines(), lines(b"X-Traceparent: " + GOOD), lines(b"X: traceparent: " + GOOD)])
def test_a_head_without(runs: list[bytes]) -> None:
    assert fields_in(runs) == NO_FIELDS


def test_lines_are_taken_out() -> None:
    runs = lines(b"TRACEPARENT: x", b"tracestate: a=1", b"X-traceparent: 1")
    assert without_fields(runs, state=True) == [b"Accept: */*\r\nX-traceparent: 1\r\nX-Trace: 1"]
    assert without_fields(runs, state=False) == [b"Accept: */*\r\ntracestate: a=1\r\nX-traceparent: 1\r\nX-Trace: 1"]
    assert without_fields([b"traceparent: x"], state=True) == []
