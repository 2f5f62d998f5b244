"""Passive checks over a shared memory that several workers write: who is ejected, for how long, and who never is."""

from __future__ import annotations

import errno

import pytest

from l7.balancing import ejection
from l7.balancing.ejection import EjectionLimits, EjectionReason, OutcomeCounts, OutcomeWindow, describe, is_out, term
from l7.balancing.members import Member
from l7.balancing.outlier_detection import OutlierDetector
from l7.balancing.server_state import ServerState, StateRules, choose, evaluate, read_record
from l7.config.sections.backends import Ejection
from l7.errors import (
    BAD_RESPONSE,
    CLIENT_GONE_DATA,
    CLOSED_EARLY,
    CONNECT_REFUSED,
    NO_RESOURCES,
    TRUNCATED,
    Kind,
    ProxyError,
)
from l7.sharedmem import layout
from l7.sharedmem.memory import FIRST_ROW, FIRST_WORKER, MASTER, MONITOR, SharedMemory

S = 1_000_000_000
LIMITS = EjectionLimits(failures=3, rate=0.5, time=2.0, max_time=60.0)


class Worker:
    """One worker's view of a backend; all workers of a test share a shared memory and a clock."""

    def __init__(self, place: Place, number: int, weights: list[int], panic: float, backups: int) -> None:
        self.place = place
        self.panic = panic
        self.rules = StateRules()
        self.writer = place.shared_memory.writer(FIRST_WORKER + number)
        main = len(weights) - backups
        self.members = [
            Member(f"s{index}", self.writer, FIRST_ROW + index, weight, backup=index >= main)
            for index, weight in enumerate(weights)
        ]
        self.passive = OutlierDetector(Ejection(), panic, self.writer, self.refresh, lambda: place.now)
        self.passive.arrange(self.members)
        self.available: tuple[Member, ...] = ()
        self.refresh()

    def refresh(self) -> None:
        for member in self.members:
            member.verdict = evaluate(read_record(self.writer, member.row), member.weight, self.rules, self.place.now)
            member.half_open = member.verdict.half_open
        self.available = choose(self.members, self.panic)

    def fail(self, index: int, kind: Kind = CONNECT_REFUSED, number: int = 0) -> str:
        said = self.passive.failed(self.members[index], ProxyError(kind, errno=number), self.available)
        self.refresh()
        return said

    def answer(self, index: int, status: int = 200) -> str:
        member = self.members[index]
        said = ""
        if member.answered(status) and status >= 500:
            said = self.passive.answered(member, status, self.available)
        self.refresh()
        return said

    def state(self, index: int) -> ServerState:
        self.refresh()
        return self.members[index].verdict.state


class Place:
    """A shared memory and a clock that stands."""

    def __init__(self) -> None:
        self.shared_memory = SharedMemory()
        self.shared_memory.open(FIRST_WORKER + 1)
        self.now = 1000 * S

    def worker(self, number: int = 0, servers: int = 3, panic: float = 0.25, backups: int = 0) -> Worker:
        return Worker(self, number, [1] * servers, panic, backups)


@pytest.fixture
def place() -> Place:
    return Place()


def test_failures_in_a_row_eject_over_all_workers(place: Place) -> None:
    one, other = place.worker(0), place.worker(1)
    assert one.fail(0) == ""
    assert other.fail(0) == ""
    assert one.fail(0) == "server s0 is ejected until it takes connections: connect refused ×3"
    assert one.state(0) is other.state(0) is ServerState.EJECTED
    assert place.shared_memory.writer(MASTER).total(layout.place(FIRST_ROW, layout.EJECTIONS)) == 1
    assert place.shared_memory.writer(MASTER).total(layout.place(FIRST_ROW, layout.FAILED_CONNECT)) == 3


def test_a_good_answer_to_any_worker_ends_the_streak(place: Place) -> None:
    one, other = place.worker(0), place.worker(1)
    one.fail(0)
    one.fail(0)
    other.answer(0)
    assert not one.fail(0)
    assert not other.fail(0)
    assert one.fail(0)


def test_what_is_not_the_servers_fault_does_not_count(place: Place) -> None:
    one = place.worker()
    for kind in (CLIENT_GONE_DATA, NO_RESOURCES):
        assert [one.fail(0, kind) for _ in range(5)] == [""] * 5
    total, at = place.shared_memory.writer(MASTER).total, layout.place(FIRST_ROW)
    assert not any(total(at + cell) for cell in range(layout.FAILED_CONNECT, layout.RETRIES))


def test_a_share_of_failures_ejects_though_there_is_no_streak(place: Place) -> None:
    one = place.worker()
    said = ""
    for _ in range(30):
        place.now += S // 10
        said = said or one.fail(0, TRUNCATED)
        one.answer(0)
        one.answer(1)
    assert "% of" in said
    assert "requests failed" in said


def test_a_few_failures_among_many_answers_do_not(place: Place) -> None:
    one = place.worker()
    for turn in range(100):
        place.now += S // 10
        one.answer(0)
        one.answer(0)
        if turn % 2:
            assert not one.fail(0, BAD_RESPONSE)


def test_errors_of_one_server_alone_eject_it(place: Place) -> None:
    one = place.worker()
    for _ in range(3):
        place.now += S // 10
        one.answer(1)
        one.answer(2)
        said = one.answer(0, 503)
    assert said == "server s0 is ejected for 2s: status 503 ×3"


def test_errors_that_two_workers_count_together_are_enough_at_once(place: Place) -> None:
    one, other = place.worker(0), place.worker(1)
    assert not one.answer(0, 503)
    assert not one.answer(0, 503)
    one.answer(1)
    other.writer.put(other.members[0].at + layout.STREAK, 1)  # it has counted one and not looked yet
    assert one.answer(0, 503) == "server s0 is ejected for 2s: status 503 ×4"


def test_errors_are_enough_as_soon_as_another_server_has_answered(place: Place) -> None:
    one = place.worker()
    assert [one.answer(0, 503) for _ in range(5)] == [""] * 5, "nobody knows whether the others do better"
    one.answer(1)
    assert one.answer(0, 503) == "server s0 is ejected for 2s: status 503 ×6"


def test_errors_of_all_servers_are_the_applications(place: Place) -> None:
    one = place.worker()
    for turn in range(200):
        place.now += S // 10
        for index in range(3):
            assert not one.answer(index, 500 if turn % 4 else 200)


def test_the_last_server_is_never_ejected(place: Place) -> None:
    one = place.worker(servers=1)
    assert [one.fail(0) for _ in range(20)] == [""] * 20
    two = place.worker(servers=2)
    assert [bool(two.fail(0)) for _ in range(3)][-1] is True or two.state(0) is ServerState.EJECTED
    assert [two.fail(1) for _ in range(20)] == [""] * 20
    assert two.available == (two.members[1],)


def test_two_workers_do_not_eject_the_last_two_in_the_same_moment(place: Place) -> None:
    one, other = place.worker(0, servers=2), place.worker(1, servers=2)
    other.fail(1)
    other.fail(1)
    assert [bool(one.fail(0)) for _ in range(3)] == [False, False, True]
    assert not other.fail(1), "it has not noticed yet, and looks"
    assert other.available == (other.members[1],)


def test_a_server_on_trial_does_not_count_as_another_one(place: Place) -> None:
    two = place.worker(servers=2)
    for _ in range(3):
        two.fail(0)
    place.now += 3 * S
    assert two.state(0) is ServerState.UP
    assert two.members[0].half_open
    assert [two.fail(1) for _ in range(5)] == [""] * 5


def test_ejections_stop_where_panic_would_begin(place: Place) -> None:
    one = place.worker(servers=5)
    for index in range(5):
        for _ in range(5):
            one.fail(index)
    assert sum(member.verdict.state is ServerState.EJECTED for member in one.members) == 3


def test_a_backup_stands_in_for_the_last_one(place: Place) -> None:
    one = place.worker(servers=2, backups=1)
    for _ in range(3):
        one.fail(0)
    assert one.available == (one.members[1],)
    assert [one.fail(1) for _ in range(5)] == [""] * 5, "but not for itself"


def test_the_first_failure_on_trial_ejects_for_twice_as_long(place: Place) -> None:
    one, other = place.worker(0), place.worker(1)
    for _ in range(3):
        one.fail(0, TRUNCATED)
    place.now += 2 * S
    assert one.state(0) is ServerState.UP
    other.refresh()
    assert other.fail(0, TRUNCATED) == "server s0 is ejected for 4s: response cut short ×4"
    place.now += 4 * S
    assert one.state(0) is ServerState.UP
    one.answer(0)
    assert not one.members[0].half_open
    assert not one.fail(0, TRUNCATED), "it has proven itself: it takes a streak again"


def test_who_refused_connections_is_left_alone_no_longer_than_it_does(place: Place) -> None:
    one = place.worker()
    for _ in range(3):
        one.fail(0)
    knocks = place.shared_memory.writer(MONITOR)
    at = layout.place(FIRST_ROW)
    for _ in range(600):
        place.now += S // 10
        knocks.put(at + layout.KNOCKED_AT, place.now)
        assert one.state(0) is ServerState.EJECTED, "for a minute"
    knocks.put(at + layout.REACHED_AT, place.now)
    assert one.state(0) is ServerState.UP
    assert one.members[0].half_open
    place.now += 1
    assert one.fail(0) == "server s0 is ejected until it takes connections: connect refused ×4"
    assert one.state(0) is ServerState.EJECTED
    assert one.members[0].verdict.again == place.now + 2 * S, "not for longer and longer"
    place.now += 2 * S
    assert one.state(0) is ServerState.UP, "where nobody knocks it is tried by a request"


def test_an_ejection_that_ended_early_does_not_hide_the_next_one(place: Place) -> None:
    one, other = place.worker(0), place.worker(1)
    for _ in range(3):
        one.fail(0, TRUNCATED)
    place.now += S
    checks = place.shared_memory.writer(MONITOR)
    for cell, value in ((layout.HEALTH, layout.UP), (layout.HEALTH_SINCE, place.now), (layout.FALLS, 1)):
        checks.put(layout.place(FIRST_ROW, cell), value)
    other.rules = one.rules = StateRules(checked=True)
    assert other.state(0) is ServerState.UP
    place.now += 1
    assert other.fail(0) == "server s0 is ejected until it takes connections: connect refused ×4"
    assert one.state(0) is other.state(0) is ServerState.EJECTED
    assert one.members[0].verdict.refused


def test_a_server_that_is_left_and_takes_no_connections_counts_for_nothing(place: Place) -> None:
    one = place.worker(servers=2)
    one.writer.put(layout.place(FIRST_ROW + 1, layout.UNREACHED_AT), place.now)
    one.refresh()
    assert [one.fail(0) for _ in range(5)] == [""] * 5


def test_two_workers_that_see_the_same_eject_once(place: Place) -> None:
    one, other = place.worker(0), place.worker(1)
    for _ in range(3):
        one.fail(0)
    before = other.available
    assert other.passive.failed(other.members[0], ProxyError(CONNECT_REFUSED), before) == ""
    assert place.shared_memory.writer(MASTER).total(layout.place(FIRST_ROW, layout.EJECTIONS)) == 1


# ------------------------------------------------------------------------------------------------- the pure parts


def test_terms_double_up_to_a_cap_and_are_forgotten_with_time() -> None:
    now = 1000 * S
    assert [term(LIMITS, times, now, now)[1] for times in range(7)] == [2, 4, 8, 16, 32, 60, 60]
    assert term(LIMITS, 2, now - 3 * S, now) == (3, 8.0)
    assert term(LIMITS, 2, now - 5 * S, now) == (2, 4.0), "the 4 s of the last time have passed"
    assert term(LIMITS, 2, now - 7 * S, now) == (1, 2.0)
    assert term(LIMITS, 10_000, now, now) == (10_001, 60.0)


def test_a_window_forgets() -> None:
    window = OutcomeWindow(10)
    assert window.since([OutcomeCounts(100, 0)], 0) == [OutcomeCounts(0, 0)]
    assert window.since([OutcomeCounts(110, 4)], 3) == [OutcomeCounts(10, 4)]
    assert window.since([OutcomeCounts(120, 8)], 6) == [OutcomeCounts(20, 8)]
    assert window.since([OutcomeCounts(130, 9)], 12) == [OutcomeCounts(10, 1)]
    assert window.since([OutcomeCounts(130, 10)], 30) == [OutcomeCounts(0, 0)], (
        "nothing was looked at for long: it begins anew"
    )
    assert window.since([OutcomeCounts(1, 1), OutcomeCounts(2, 2)], 31) == [OutcomeCounts(0, 0), OutcomeCounts(0, 0)], (
        "other servers"
    )


@pytest.mark.parametrize(
    ("streak", "own", "others", "soft", "out"),
    [
        (3, OutcomeCounts(0, 0), [], False, True),
        (2, OutcomeCounts(0, 9), [], False, False),
        (1, OutcomeCounts(5, 5), [], False, True),
        (1, OutcomeCounts(6, 4), [], False, False),
        (3, OutcomeCounts(0, 3), [OutcomeCounts(9, 0)], True, True),
        (3, OutcomeCounts(0, 3), [], True, False),
        (3, OutcomeCounts(0, 3), [OutcomeCounts(0, 9)], True, False),
        (3, OutcomeCounts(7, 3), [OutcomeCounts(8, 2)], True, False),
        (1, OutcomeCounts(5, 5), [OutcomeCounts(10, 0)], True, True),
    ],
)
def test_when_a_server_is_out(
    streak: int, own: OutcomeCounts, others: list[OutcomeCounts], soft: bool, out: bool
) -> None:
    assert is_out(LIMITS, streak, own, others, soft=soft) is out


def test_reasons_in_words() -> None:
    assert ejection.words(0) == ""
    assert ejection.words(ejection.why(EjectionReason.STATUS, 502, 4)) == "status 502 ×4"
    assert ejection.words(ejection.why(EjectionReason.RATE, 60, 25)) == "60 % of 25 requests failed"
    for reason in EjectionReason:
        assert ejection.words(ejection.why(reason, 1, 1))


def test_the_system_says_why_in_the_event_and_in_the_last_error(place: Place) -> None:
    one = place.worker()
    one.fail(0, NO_RESOURCES, errno.EMFILE)
    last = place.shared_memory.writer(MASTER).read(FIRST_WORKER, layout.place(FIRST_ROW, layout.LAST_ERROR))
    assert describe(last) == "out of resources: too many open files"
    said = [one.fail(0, CONNECT_REFUSED, errno.EACCES) for _ in range(3)]
    assert said[-1].endswith(": connect: permission denied ×3")
    last = place.shared_memory.writer(MASTER).read(FIRST_WORKER, layout.place(FIRST_ROW, layout.LAST_ERROR))
    assert describe(last) == "connect: permission denied"
    for kind, words in ((CLOSED_EARLY, "connection lost: connection reset by peer"), (TRUNCATED, "response cut short")):
        number = errno.ECONNRESET if kind is CLOSED_EARLY else 0
        one.fail(1, kind, number)
        at = layout.place(FIRST_ROW + 1, layout.LAST_ERROR)
        assert describe(place.shared_memory.writer(MASTER).read(FIRST_WORKER, at)) == words
    assert describe(0) == ""
