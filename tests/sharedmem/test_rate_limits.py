"""The table of rate limits: exact among processes and at each place where one can be stopped, bounded, and safe."""

from __future__ import annotations

import json
import os
import random
import time
from collections.abc import Callable, Iterator
from functools import partial
from types import SimpleNamespace

import pytest
from greenlet import getcurrent, greenlet

from l7.compiled import is_compiled
from l7.sharedmem import integers, rate_limits
from l7.sharedmem.rate_limits import NO_ROOM, SETS, WAYS, Bucket, RateLimitTable

SECOND = 1_000_000_000


class Clock:
    """Nanoseconds that pass when the test says so."""

    def __init__(self) -> None:
        self.now = 5 * SECOND

    def __call__(self) -> int:
        return self.now

    def pass_by(self, seconds: float) -> None:
        self.now += round(seconds * SECOND)


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def table(clock: Clock) -> RateLimitTable:
    return RateLimitTable(clock)


def admitted(table: RateLimitTable, key: int, bucket: Bucket, tries: int) -> int:
    return sum(table.charge(key, bucket) > 0 for _ in range(tries))


def key(number: int, of_set: int = 0) -> int:
    """A key of its own in a set."""
    return (number + 1) * SETS + of_set


def test_a_bucket_is_what_is_let_in_at_once(table: RateLimitTable) -> None:
    assert admitted(table, 1, Bucket(100, 1.0, 150), 200) == 150


def test_it_fills_evenly(table: RateLimitTable, clock: Clock) -> None:
    bucket = Bucket(10, 1.0, 10)
    assert admitted(table, 1, bucket, 20) == 10
    for _ in range(30):
        clock.pass_by(0.1001)
        assert admitted(table, 1, bucket, 3) == 1
    clock.pass_by(60)
    assert admitted(table, 1, bucket, 20) == 10


def test_to_be_refused_costs_nothing_and_says_how_long(table: RateLimitTable, clock: Clock) -> None:
    bucket = Bucket(1, 10.0, 1)
    assert table.charge(1, bucket) > 0
    for _ in range(50):
        assert -table.charge(1, bucket) * bucket.unit == pytest.approx(10, abs=0.1)
    clock.pass_by(4)
    assert -table.charge(1, bucket) * bucket.unit == pytest.approx(6, abs=0.1)
    clock.pass_by(6.1)
    assert table.charge(1, bucket) > 0


def test_it_tells_what_is_left(table: RateLimitTable) -> None:
    bucket = Bucket(5, 1.0, 5)
    assert [bucket.left(table.charge(1, bucket)) for _ in range(5)] == [4, 3, 2, 1, 0]


@pytest.mark.parametrize(
    ("requests", "seconds"), [(1, 86400.0 * 30), (7, 3600.0), (3, 1.0), (999, 1.0), (30_000, 1.0), (1_000_000, 1.0)]
)
def test_any_rate_is_kept(table: RateLimitTable, clock: Clock, requests: int, seconds: float) -> None:
    bucket = Bucket(requests, seconds, 10)
    assert bucket.cost * bucket.unit == pytest.approx(seconds / requests, rel=0.002)
    assert admitted(table, 1, bucket, 20) == 10
    for _ in range(5):
        clock.now += round(seconds / requests * 1.003 * SECOND) + 1
        assert admitted(table, 1, bucket, 3) == 1


def test_a_bucket_that_no_word_can_hold_is_refused() -> None:
    with pytest.raises(ValueError, match="a bucket of 1000000000 requests"):
        Bucket(1, 1.0, 1_000_000_000)


def test_clients_of_one_set_have_a_bucket_each(table: RateLimitTable) -> None:
    bucket = Bucket(3, 3600.0, 3)
    for number in range(WAYS):
        assert admitted(table, key(number), bucket, 5) == 3
    assert admitted(table, key(0), bucket, 5) == 0


def test_limits_of_other_rates_do_not_share_a_word(table: RateLimitTable) -> None:
    assert admitted(table, 1, Bucket(3, 3600.0, 3), 5) == 3
    assert admitted(table, 1, Bucket(3, 1.0, 3), 5) == 3


def test_without_room_requests_pass_and_those_within_stay_limited(table: RateLimitTable) -> None:
    bucket = Bucket(2, 3600.0, 2)
    for number in range(WAYS):
        assert admitted(table, key(number), bucket, 3) == 2
    assert [table.charge(key(WAYS), bucket) for _ in range(3)] == [NO_ROOM] * 3
    assert admitted(table, key(3), bucket, 3) == 0


def test_full_buckets_make_room(table: RateLimitTable, clock: Clock) -> None:
    long, short = Bucket(2, 7200.0, 2), Bucket(2, 2.0, 2)
    for number in range(WAYS):
        table.charge(key(number), short if number == 4 else long)
    clock.pass_by(1.5)
    assert admitted(table, key(50), long, 3) == 2
    assert table.charge(key(51), long) == NO_ROOM
    assert [admitted(table, key(number), long, 3) for number in (3, 5)] == [1, 1]


def test_a_time_long_gone_is_not_taken_for_one_to_come(table: RateLimitTable, clock: Clock) -> None:
    """The time in a word goes round; a fast limit has gone half round after some hours."""
    bucket = Bucket(10_000, 1.0, 10)
    for _ in range(40):
        assert admitted(table, 1, bucket, 20) == 10
        clock.pass_by(random.Random(clock.now).uniform(3600, 90_000))


def test_a_million_clients_take_8_mib(clock: Clock) -> None:
    table = RateLimitTable(clock)
    bucket = Bucket(1, 3600.0, 1)
    draw = random.Random(7)
    count = 1_000_000 if is_compiled() else 20_000
    passed = sum(table.charge(draw.getrandbits(63), bucket) == NO_ROOM for _ in range(count))
    assert passed < count * 0.35  # a set has room for seven, and a million are 7.6 for each
    if not is_compiled():
        assert sum(cells for _, cells in table._file.extents(0, SETS * 100)) * 8 <= 8 << 20


# --- processes that run at once ---------------------------------------------------------------------------------------


def in_processes(count: int, work: Callable[[], list[int]]) -> list[list[int]]:
    """What ``work`` returned in each of some processes that began at once."""
    begin, go = os.pipe()
    ends = []
    for _ in range(count):
        got, put = os.pipe()
        if not os.fork():
            status = 1
            try:
                os.read(begin, 1)
                os.write(put, json.dumps(work()).encode())
                status = 0
            finally:
                os._exit(status)
        os.close(put)
        ends.append(got)
    os.write(go, b"g" * count)
    found = [json.loads(os.read(one, 1000)) for one in ends]
    for one in (*ends, begin, go):
        os.close(one)
    assert [os.wait()[1] for _ in ends] == [0] * count
    return found


def test_processes_at_once_let_in_no_more_than_the_bucket() -> None:
    table = RateLimitTable()
    bucket = Bucket(3_000, 36_000.0, 3_000)
    keys = [key(number, 9) for number in range(3)]

    def work() -> list[int]:
        counts = [0, 0, 0]
        for _ in range(2_000):
            for number, one in enumerate(keys):
                counts[number] += table.charge(one, bucket) > 0
        return counts

    assert [sum(counts) for counts in zip(*in_processes(4, work), strict=True)] == [3_000] * 3


def test_processes_that_begin_at_once_put_a_client_in_once() -> None:
    """Each client has one token, so whoever is in the table twice is let in twice."""
    table = RateLimitTable()
    bucket = Bucket(1, 36_000.0, 1)
    rounds = 20_000 if is_compiled() else 1_000

    def work() -> list[int]:
        return [sum(table.charge(key(number // 2, number % SETS), bucket) > 0 for number in range(rounds))]

    assert sum(count for [count] in in_processes(4, work)) == rounds


class Interleaving:
    """Runs processes of one table in turns: after each access to memory another one may go on, or end."""

    def __init__(self, draw: random.Random) -> None:
        self._draw = draw
        self._main = getcurrent()

    def stop(self) -> None:
        if getcurrent() is not self._main:
            self._main.switch()

    def __getattr__(self, name: str) -> object:
        real = getattr(integers, name)

        def access(*args: int) -> int:
            self.stop()
            return int(real(*args))

        return access

    def run(self, tasks: list[greenlet], deaths: int) -> None:
        while tasks:
            one = self._draw.choice(tasks)
            one.switch()
            if deaths and self._draw.random() < 0.02:
                deaths -= 1  # it never goes on: a process that was killed there
                tasks.remove(one)
            elif one.dead:
                tasks.remove(one)


@pytest.fixture
def unlocked() -> Iterator[None]:
    if is_compiled():
        pytest.skip("compiled code cannot be stopped between two accesses")
    yield
    rate_limits.integers = integers  # type: ignore[misc]


@pytest.mark.parametrize("deaths", [0, 2])
def test_it_is_exact_wherever_a_process_is_stopped_or_killed(clock: Clock, unlocked: None, deaths: int) -> None:
    """Eight clients in a set of seven words whose buckets fill while others look: 300 orders of all accesses."""
    for seed in range(300):
        draw = random.Random(seed)
        table = RateLimitTable(clock)
        table._locked = False
        fast, slow = Bucket(2, 0.01, 2), Bucket(2, 3600.0, 2)
        for number in range(5):  # some that are soon free again
            table.charge(key(number), fast)
        rate_limits.integers = interleaving = Interleaving(draw)  # type: ignore[assignment]
        counts = {100: 0, 101: 0, 102: 0}
        full: list[int] = []

        def work(
            number: int, draw: random.Random = draw, table: RateLimitTable = table,
            fast: Bucket = fast, slow: Bucket = slow, counts: dict[int, int] = counts, full: list[int] = full,
        ) -> None:  # fmt: skip
            for _ in range(3):
                clock.now += draw.choice((0, 1_000_000, 5_000_000))
                table.charge(key(draw.randrange(5)), fast)
                done = table.charge(key(number), slow)
                counts[number] += done > 0
                full.extend([number] * (done == NO_ROOM))

        interleaving.run([greenlet(partial(work, number)) for number in (100, 100, 101, 101, 102)], deaths)
        rate_limits.integers = integers  # type: ignore[misc]
        cells = table._cells[: WAYS + 1].tolist()
        owners = [word >> 40 for word in cells[1:] if word]
        assert len(owners) == len(set(owners)), f"seed {seed}: a client is in the table twice"
        for number, count in counts.items():
            assert count <= 2, f"seed {seed}: client {number} was let in {count} times"
            if not deaths and number not in full:
                assert count == 2


def test_what_a_killed_process_has_announced_is_carried_out(table: RateLimitTable, unlocked: None) -> None:
    bucket = Bucket(1, 3600.0, 1)

    class Killed(Exception):
        pass

    def exchange(*args: int) -> bool:
        done = integers.compare_exchange(*args)  # type: ignore[arg-type]
        raise Killed(done)

    parts = {name: getattr(integers, name) for name in ("load", "load_ordered")}
    rate_limits.integers = SimpleNamespace(**parts, compare_exchange=exchange)  # type: ignore[assignment]
    with pytest.raises(Killed, match="True"):
        table.charge(key(1), bucket)
    rate_limits.integers = integers  # type: ignore[misc]
    assert table._cells[0] & 7 == 1 and table._cells[1] == 0
    table._complete(0, table._cells[0])
    assert table._cells[0] & 7 == 0 and table._cells[1] >> 44 == 2
    assert admitted(table, key(1), bucket, 2) == 1
    assert admitted(table, key(2), bucket, 2) == 1
    assert [word >> 44 for word in table._cells[1:4]] == [2, 3, 0]


ANNOUNCED = 1 << 42 | 0xABCD << 26 | 77 << 7 | 1
"""A header: who has 77 as its tag is to be put in the first place of a set, where a word ends in ABCD."""


@pytest.mark.parametrize(
    ("word", "passed_on", "put_in"),
    [(0xABCD, False, True), (0xABCE, False, False), (0xABCD, True, False)],
    ids=["as announced", "the word has changed", "another announcement came before the word was read"],
)
def test_an_announcement_is_for_one_word(
    table: RateLimitTable, unlocked: None, word: int, passed_on: bool, put_in: bool
) -> None:
    cells = table._cells
    cells[0], cells[1] = ANNOUNCED, 5 << 44 | word

    def load_ordered(view: memoryview, at: int) -> int:
        if at and passed_on:
            cells[0] = 2 << 42
        return integers.load_ordered(view, at)

    parts = {name: getattr(integers, name) for name in ("load", "compare_exchange")}
    rate_limits.integers = SimpleNamespace(**parts, load_ordered=load_ordered)  # type: ignore[assignment]
    table._complete(0, ANNOUNCED)
    assert cells[0] == (2 << 42 if passed_on else 1 << 42)
    assert (cells[1] >> 44 == 77) == put_in


def test_a_seed_is_not_another_ones() -> None:
    assert RateLimitTable().seed != RateLimitTable().seed


def test_the_clock_is_that_of_the_machine() -> None:
    table = RateLimitTable()
    bucket = Bucket(100, 1.0, 1)
    assert table.charge(1, bucket) > 0
    before = time.monotonic()
    while table.charge(1, bucket) < 0:
        assert time.monotonic() < before + 5
