"""Integers of 64 bits in shared memory, read and written in place: the cells of the shared memory and of the board.

Compiled, what runs is the C in ``integers.pxd``, at the cost of a few instructions; what it is given is looked at each
time. A load or a store is atomic; an addition is both, one after the other, so each cell has one writer.
"""

from __future__ import annotations


def view(memory: memoryview) -> memoryview:
    """A view of one's own of ``memory``, which has to be writable and to hold 64-bit integers one after the other.

    Raises `TypeError` where it is anything else.
    """
    wanted = isinstance(memory, memoryview) and memory.format == "q" and memory.ndim == 1 and memory.c_contiguous
    if not wanted or memory.readonly:
        raise TypeError("a writable memoryview of 64-bit integers is needed")
    return memory[:]


def load(cells: memoryview, at: int) -> int:
    """The integer at ``at`` in what `view` made; raises `IndexError` where there is none."""
    if at < 0:
        raise IndexError("integer out of range")
    return cells[at]


def store(cells: memoryview, at: int, value: int) -> None:
    """Set the integer at ``at``; raises `IndexError` where there is none."""
    if at < 0:
        raise IndexError("integer out of range")
    cells[at] = value


def add(cells: memoryview, at: int, amount: int) -> None:
    """Add to the integer at ``at``, whose only writer this is; raises `IndexError` where there is none."""
    if at < 0:
        raise IndexError("integer out of range")
    cells[at] += amount
