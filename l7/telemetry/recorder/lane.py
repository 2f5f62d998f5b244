"""What a new worker does with its lane: it goes on where the last one ended; and the lane's table of texts."""

from __future__ import annotations

from l7.telemetry.recorder import layout as words

_FIRST_TEXT = 8
"""Where the first text is: 0 stands for none."""
_FULL = words.TEXT_BYTES * 3 // 4
"""Bytes of texts beyond which the next worker begins the lane anew."""


def begin_lane(lane: memoryview, pid: int, who: tuple[int, int], failures: int, requests: int) -> list[int]:
    """Take over a lane for rings of so many cells; returns the slots of requests that the last writer has left.

    Where a ring has another capacity, or the texts have no room any more, what was recorded there is forgotten.
    """
    lost: list[int] = []
    before = lane[words.H_FAILURES], lane[words.H_REQUESTS]
    if before == (failures, requests) and lane[words.H_TEXTS] < _FULL:
        lost = [slot for slot in range(1, lane[words.H_SLOTS]) if _has_request(lane, slot)]
    else:
        _forget(lane, before, (failures, requests))
        lane[words.H_FAILURES], lane[words.H_REQUESTS] = failures, requests
    lane[words.H_GENERATION], lane[words.H_WORKER] = who
    lane[words.H_PID] = pid
    return lost


def _has_request(lane: memoryview, slot: int) -> bool:
    state = lane[words.UNDER_WAY_AT + slot * words.SLOT]
    return bool(state and state % 2 == 0)


def _forget(lane: memoryview, before: tuple[int, int], capacities: tuple[int, int]) -> None:
    """Empty a lane, for rings of other capacities: where the states are is where cells were, or the other way round."""
    lane[words.H_EPOCH] += 1
    for slot in range(lane[words.H_SLOTS]):
        lane[words.UNDER_WAY_AT + slot * words.SLOT] = 0
    rings = ((words.H_FAILURES, words.FAILURES_AT), (words.H_REQUESTS, words.REQUESTS_AT))
    for (head, ring), old, new in zip(rings, before, capacities, strict=True):
        lane[head] = 0
        states = max(old, new) if old else 0  # else nothing was ever written there
        lane[ring : ring + states] = memoryview(bytes(states * 8)).cast("q")
        lane[head + words.WRITTEN] = lane[head + words.COUNT] = 0
    lane[words.H_TEXTS] = _FIRST_TEXT


def put_name(cells: memoryview, octets: memoryview, text: str) -> int:
    """Keep a text of the configuration; returns its place, 0 where there is no room for it."""
    raw = text.encode("utf-8", "backslashreplace")[: words.LONGEST_TEXT]
    at = cells[words.H_TEXTS]
    if not raw or at + 2 + len(raw) > words.TEXT_BYTES:
        return 0
    begin = words.TEXTS_AT * 8 + at
    octets[begin : begin + 2] = len(raw).to_bytes(2, "little")
    octets[begin + 2 : begin + 2 + len(raw)] = raw
    cells[words.H_TEXTS] = at + 2 + len(raw)
    return at


def known_texts(lane: memoryview) -> dict[str, int]:
    """The texts that a lane has, each with its place."""
    raw = bytes(lane[words.TEXTS_AT : words.TEXTS_AT + (lane[words.H_TEXTS] + 7) // 8])
    found: dict[str, int] = {}
    at = _FIRST_TEXT
    while at + 2 <= lane[words.H_TEXTS]:
        size = int.from_bytes(raw[at : at + 2], "little")
        found[raw[at + 2 : at + 2 + size].decode("utf-8", "replace")] = at
        at += 2 + size
    return found
