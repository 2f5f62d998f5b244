"""Cells in shared memory: by the functions themselves, and by a `CounterWriter`, which compiled goes by their C."""

from __future__ import annotations

import mmap
import sys
from array import array

import pytest

from l7.sharedmem import integers
from l7.sharedmem.counters import CounterWriter
from l7.sharedmem.layout import LANE

LARGEST = 2**63 - 1
BEYOND = [-1, 8, 2**40, -(2**40)]
"""Where there is no integer in a memory of eight."""


def memory(count: int = 8) -> memoryview:
    return memoryview(bytearray(count * 8)).cast("q")


def test_what_is_stored_is_loaded() -> None:
    cells = memory()
    view = integers.view(cells)
    integers.store(view, 7, -LARGEST - 1)
    integers.store(view, 0, 40)
    integers.add(view, 0, 2)
    assert cells.tolist() == [42, 0, 0, 0, 0, 0, 0, -LARGEST - 1]
    assert (integers.load(view, 0), integers.load(view, 7)) == (42, -LARGEST - 1)


def test_a_lane_reads_and_writes_what_others_see() -> None:
    shared = mmap.mmap(-1, 1600 * 8)
    cells = memoryview(shared).cast("q")
    cells[5] = 7
    writer = CounterWriter([cells], 1)
    writer.put(5, LARGEST)
    writer.add(5, -5)
    assert cells[LANE + 5] == writer.get(5) == writer.read(1, 5) == LARGEST - 5
    assert writer.read(0, 5) == 7


@pytest.mark.parametrize("at", BEYOND)
def test_there_is_nothing_beyond_the_ends(at: int) -> None:
    view = integers.view(memory())
    writer = CounterWriter([memory()], 0)
    for go in (
        lambda: integers.load(view, at),
        lambda: integers.store(view, at, 1),
        lambda: integers.add(view, at, 1),
        lambda: writer.get(at),
        lambda: writer.put(at, 1),
        lambda: writer.add(at, 1),
        lambda: writer.read(0, at),
        lambda: writer.read(1, 0),
    ):
        with pytest.raises(IndexError):
            go()


@pytest.mark.parametrize(
    "wrong",
    [
        memoryview(bytes(64)).cast("q"),
        memoryview(bytearray(64)),
        memoryview(bytearray(64)).cast("d"),
        memoryview(bytearray(64)).cast("q")[::2],
        memoryview(bytearray(64)).cast("q", (2, 4)),
        array("q", [1]),
        None,
    ],
    ids=["read-only", "bytes", "doubles", "every second one", "two dimensions", "an array", "nothing"],
)
def test_a_memory_of_anything_else_is_refused(wrong: memoryview) -> None:
    for make in (integers.view, lambda memory: CounterWriter([memory], 0)):
        with pytest.raises(TypeError, match="a writable memoryview of 64-bit integers is needed"):
            make(wrong)


def test_a_view_is_not_released_with_what_it_was_made_of() -> None:
    cells = memory()
    writer = CounterWriter([cells], 0)
    cells.release()
    writer.put(3, 1)
    assert writer.get(3) == 1


def test_nothing_is_kept_of_what_is_gone() -> None:
    held = bytearray(64)
    before = sys.getrefcount(held)
    for _ in range(100):
        CounterWriter([memoryview(held).cast("q")], 0).add(0, 1)
    assert sys.getrefcount(held) == before
    assert int.from_bytes(held[:8], sys.byteorder) == 100
