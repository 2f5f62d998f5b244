"""Integers of 64 bits in shared memory, read and written in place: cells of the shared memory and of the scoreboard.

Compiled, the C in ``integers.pxd`` runs, a few instructions with a check of each argument. A load or a store is atomic;
an addition is a load and then a store, so each cell has one writer. What has several writers is changed by
`compare_exchange`, which pure Python cannot do in one step.
"""

from __future__ import annotations


def view(memory: memoryview) -> memoryview:
    """A new view of ``memory``; raises `TypeError` unless that is writable and holds contiguous 64-bit integers."""
    wanted = isinstance(memory, memoryview) and memory.format == "q" and memory.ndim == 1 and memory.c_contiguous
    if not wanted or memory.readonly:
        raise TypeError("a writable memoryview of 64-bit integers is needed")
    return memory[:]


def load(cells: memoryview, at: int) -> int:
    """The integer at ``at`` in a view made by `view`; raises `IndexError` out of bounds."""
    if at < 0:
        raise IndexError("integer out of range")
    return cells[at]


def store(cells: memoryview, at: int, value: int) -> None:
    """Set the integer at ``at``; raises `IndexError` out of bounds."""
    if at < 0:
        raise IndexError("integer out of range")
    cells[at] = value


def add(cells: memoryview, at: int, amount: int) -> None:
    """Add to the integer at ``at``, whose only writer the caller is; raises `IndexError` out of bounds."""
    if at < 0:
        raise IndexError("integer out of range")
    cells[at] += amount


def load_ordered(cells: memoryview, at: int) -> int:
    """As `load`; what comes behind it in the source is not read before it."""
    return load(cells, at)


def compare_exchange(cells: memoryview, at: int, expected: int, value: int) -> bool:
    """Set the integer at ``at`` where it is ``expected``, and say whether it was; raises `IndexError` out of bounds.

    Compiled, it is one atomic step. In pure Python it is a load and then a store: no other thread of the process comes
    between them, another process may.
    """
    if load(cells, at) != expected:
        return False
    cells[at] = value
    return True
