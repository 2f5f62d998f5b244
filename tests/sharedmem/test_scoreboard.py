"""The scoreboard: one slot a worker, and columns of those that were used."""

from __future__ import annotations

import os

import pytest

from l7.sharedmem.scoreboard import BEAT, CELLS, CONNECTIONS, Scoreboard


def test_a_column_is_as_long_as_slots_were_used():
    scoreboard = Scoreboard(8)
    assert scoreboard.column(CONNECTIONS) == []
    scoreboard.slot(2)[CONNECTIONS] = 7
    scoreboard.slot(0)[CONNECTIONS] = 5
    assert scoreboard.column(CONNECTIONS) == [5, 0, 7]


def test_the_last_cell_of_the_last_slot_is_its_own():
    scoreboard = Scoreboard(2)
    scoreboard.slot(1)[CELLS - 1] = 9
    assert scoreboard.column(CELLS - 1) == [0, 9]
    scoreboard.clear(1)
    assert scoreboard.column(CELLS - 1) == [0, 0]


def test_a_slot_of_a_monitor_is_in_no_column():
    scoreboard = Scoreboard(2, monitors=2)
    for index in range(4):
        scoreboard.slot(index)[CONNECTIONS] = index + 1
    assert scoreboard.column(CONNECTIONS) == [1, 2]
    assert scoreboard.slot(3)[CONNECTIONS] == 4


def test_a_slot_that_is_not_there():
    for index in (-1, 2):
        with pytest.raises(IndexError, match=f"slot {index} of 2"):
            Scoreboard(2).slot(index)


def test_what_a_child_writes_is_seen():
    scoreboard = Scoreboard(2)
    scoreboard.clear(1)
    pid = os.fork()
    if pid == 0:
        scoreboard.slot(1)[BEAT] = 42
        os._exit(0)
    assert os.waitpid(pid, 0)[1] == 0
    assert scoreboard.column(BEAT) == [0, 42]
