"""The board: one slot a worker, and columns of those that were used."""

from __future__ import annotations

import os

import pytest

from l7.telemetry.board import BEAT, CELLS, CONNECTIONS, Board


def test_a_column_is_as_long_as_slots_were_used():
    board = Board(8)
    assert board.column(CONNECTIONS) == []
    board.slot(2)[CONNECTIONS] = 7
    board.slot(0)[CONNECTIONS] = 5
    assert board.column(CONNECTIONS) == [5, 0, 7]


def test_the_last_cell_of_the_last_slot_is_its_own():
    board = Board(2)
    board.slot(1)[CELLS - 1] = 9
    assert board.column(CELLS - 1) == [0, 9]
    board.clear(1)
    assert board.column(CELLS - 1) == [0, 0]


def test_a_slot_that_is_not_there():
    for index in (-1, 2):
        with pytest.raises(IndexError, match=f"slot {index} of 2"):
            Board(2).slot(index)


def test_what_a_child_writes_is_seen():
    board = Board(2)
    board.clear(1)
    pid = os.fork()
    if pid == 0:
        board.slot(1)[BEAT] = 42
        os._exit(0)
    assert os.waitpid(pid, 0)[1] == 0
    assert board.column(BEAT) == [0, 42]
