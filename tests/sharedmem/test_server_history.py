"""The histories of servers: kept, bounded, read while they are written, forgotten with their row; and in words."""

from __future__ import annotations

import multiprocessing
from itertools import pairwise

import pytest

from l7.balancing.ejection import EjectionReason, why
from l7.balancing.health import Fault, finding
from l7.sharedmem.memory import SharedMemory
from l7.sharedmem.server_history import BY_MASTER, KEPT, SHOWN, HistoryHead, ServerHistory, StateChange
from l7.telemetry.servers.changes import ServerChange, plain

ROW = 77


def append(history: ServerHistory, count: int, *, first: int = 0, writer: int = 0, row: int = ROW) -> None:
    for number in range(first, first + count):
        history.append(row, StateChange(number, 1 + number % 5, -number, number * 3), history.head(row, writer), writer)


@pytest.mark.parametrize("count", [0, 1, 10, 11, SHOWN, SHOWN + 1, KEPT, KEPT + 1, 3 * KEPT + 7])
def test_the_last_hundred_are_kept(count: int) -> None:
    history = ServerHistory()
    append(history, count)
    wanted = [StateChange(one, 1 + one % 5, -one, one * 3) for one in range(max(0, count - SHOWN), count)]
    assert history.changes(ROW) == wanted
    assert history.changes(ROW, 1) == wanted[-1:]
    assert history.counted(ROW + 1) == ({ROW: count} if count else {})
    assert history.changes(ROW - 1) == history.changes(ROW + 1) == []


def test_both_writers_are_put_together_by_time() -> None:
    history = ServerHistory()
    append(history, 3, first=0)
    append(history, 2, first=1, writer=BY_MASTER)
    assert [change.at for change in history.changes(ROW)] == [0, 1, 1, 2, 2]
    assert history.counted(ROW + 1) == {ROW: 5}


def test_a_row_that_is_given_away_is_forgotten() -> None:
    memory = SharedMemory()
    append(memory.history, 5)
    append(memory.history, 5, writer=BY_MASTER)
    append(memory.history, 5, row=ROW + 1)
    memory.writer(0).put(0, 0)
    memory.clear(ROW)
    assert memory.history.changes(ROW) == []
    assert len(memory.history.changes(ROW + 1)) == 5
    append(memory.history, 1, first=9)
    assert [change.at for change in memory.history.changes(ROW)] == [9]


def test_what_a_writer_remembers_stays_with_its_changes() -> None:
    history = ServerHistory()
    append(history, 1)
    history.remember(ROW, history.head(ROW)._replace(ejected_at=5, phase=2))
    assert history.head(ROW) == HistoryHead(1, 5, 0, 0, 2)
    append(history, 1)
    assert history.head(ROW) == HistoryHead(2, 5, 0, 0, 2)


def _write_on(history: ServerHistory, started: object) -> None:
    number = 0
    while True:
        append(history, 1, first=number)
        number += 1
        if number == KEPT:
            started.set()  # type: ignore[attr-defined]


def test_no_change_is_read_in_part() -> None:
    """A reader beside a writer sees whole changes, in order, none twice."""
    history = ServerHistory()
    fork = multiprocessing.get_context("fork")
    started = fork.Event()
    writer = fork.Process(target=_write_on, args=(history, started))
    writer.start()
    try:
        assert started.wait(20)
        seen = 0
        for _ in range(3000):
            found = history.changes(ROW)
            seen += bool(found)  # none is left where this process had to wait for as long as the writer needs for all
            assert all(change.evidence == -change.at and change.amount == change.at * 3 for change in found)
            assert all(after.at - before.at == 1 for before, after in pairwise(found))
        assert seen > 300
    finally:
        writer.kill()
        writer.join()
        writer.close()
    append(history, 1, first=history.head(ROW).number)  # what a killed writer has left goes on


@pytest.mark.parametrize("meanwhile", [1, KEPT - SHOWN, KEPT, 5 * KEPT])
def test_what_is_overwritten_while_it_is_read_is_left_out(meanwhile: int, monkeypatch: pytest.MonkeyPatch) -> None:
    history = ServerHistory()
    append(history, 2 * KEPT)
    read = ServerHistory._piece

    def piece(self: ServerHistory, *where: int) -> bytes:
        append(history, meanwhile, first=history.head(ROW).number)
        return read(self, *where)

    monkeypatch.setattr(ServerHistory, "_piece", piece)
    found = [change.at for change in history.changes(ROW)]
    assert found == list(range(2 * KEPT - len(found), 2 * KEPT))
    assert len(found) <= SHOWN


SECOND = 1_000_000


@pytest.mark.parametrize(
    ("event", "evidence", "amount", "state", "cause", "words", "after"),
    [
        (ServerChange.CHECKED_DOWN, finding(Fault.STATUS, 503) | 3 << 32, 4 * SECOND, "down", "health-check",
         "status 503 ×3", 4.0),
        (ServerChange.CHECKED_UP, 0, 0, "up", "health-check", "checks passed", None),
        (ServerChange.CHECKED_DOWN, finding(Fault.NO_ANSWER), 0, "down", "health-check", "no answer in time", None),
        (ServerChange.EJECTED, why(EjectionReason.LOST, 0, 3), 10 * SECOND, "ejected", "requests",
         "connection lost ×3; for 10s", None),
        (ServerChange.EJECTED, why(EjectionReason.REFUSED, 111, 3), 0, "ejected", "requests",
         "connect refused ×3; until it takes connections", None),
        (ServerChange.UNREACHABLE, why(EjectionReason.REFUSED, 111), 0, "unreachable", "requests",
         "connect refused", None),
        (ServerChange.UNREACHABLE, 0, 0, "unreachable", "requests", "a connection failed", None),
        (ServerChange.WEIGHT, 0, 4, "weight", "administrator", "3, as an administrator wants", None),
        (ServerChange.WEIGHT, 0, 0, "weight", "administrator",
         "that of the configuration, as an administrator wants", None),
        (250, 0, 0, "unknown", "unknown", "", None),
    ],
)  # fmt: skip
def test_changes_in_words(
    event: int, evidence: int, amount: int, state: str, cause: str, words: str, after: float | None
) -> None:
    told = plain(StateChange(1_764_455_465_123_456_789, event, evidence, amount))
    assert told == {
        "at": "2025-11-29T22:31:05.123Z", "state": state, "cause": cause, "why": words, "after": after,
    }  # fmt: skip


@pytest.mark.parametrize("event", ServerChange)
def test_each_change_has_words(event: ServerChange) -> None:
    told = plain(StateChange(0, event, 0, 1))
    assert told["state"] != "unknown"
    assert told["why"] or event in (ServerChange.EJECTED,)
