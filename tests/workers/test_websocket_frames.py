"""Where the frames of a WebSocket end, however the bytes are cut (RFC 6455, 5.2)."""

from __future__ import annotations

import pytest

from l7.workers.upstream.websocket_frames import FrameBoundaryTracker, going_away


def frame(opcode: int, payload: bytes, *, masked: bool = False) -> bytes:
    """One whole frame."""
    size = len(payload)
    bit = 0x80 if masked else 0
    if size < 126:
        head = bytes((0x80 | opcode, bit | size))
    elif size < 65_536:
        head = bytes((0x80 | opcode, bit | 126)) + size.to_bytes(2, "big")
    else:
        head = bytes((0x80 | opcode, bit | 127)) + size.to_bytes(8, "big")
    return head + (bytes(4) if masked else b"") + payload


STREAM = (
    frame(1, b"text")
    + frame(2, bytes(200), masked=True)
    + frame(9, b"")
    + frame(2, bytes(70_000))
    + frame(1, b"last", masked=True)
)
ENDS = (6, 6 + 208, 6 + 208 + 2, 6 + 208 + 2 + 70_010, len(STREAM))


@pytest.mark.parametrize("size", [1, 2, 3, 7, 200, 4096, 65_536, len(STREAM)])
def test_ends_are_found_however_the_bytes_are_cut(size):
    tracker = FrameBoundaryTracker()
    for place in range(0, len(STREAM), size):
        tracker.feed(STREAM[place : place + size])
        assert tracker.between == (min(place + size, len(STREAM)) in ENDS), place
        assert not tracker.closed


@pytest.mark.parametrize("masked", [False, True])
@pytest.mark.parametrize("before", [0, 1, 2, 5, 8])
def test_a_close_frame_is_seen_right_behind_one_in_progress(before, masked):
    text = frame(1, b"abcdef", masked=masked)
    tracker = FrameBoundaryTracker()
    tracker.feed(text[:before])
    tracker.feed(text[before:] + going_away(masked=masked))
    assert tracker.closed
    assert tracker.between


def test_octets_of_a_payload_are_no_close_frame():
    tracker = FrameBoundaryTracker()
    text = frame(2, bytes((0x88, 0x00)) * 20)
    tracker.feed(text[:9])
    tracker.feed(text[9:])
    assert tracker.between
    assert not tracker.closed
