"""The recorder's memory: what is read is what was written, whoever was killed or began anew in between."""

from __future__ import annotations

import errno
import os
import signal
import time

import pytest

from l7.config.generation import Generation
from l7.errors import (
    CLIENT_GONE_HEAD,
    CLOSED_EARLY,
    CONNECT_REFUSED,
    FAILURES,
    NO_ROUTE,
    RESPONSE_TIMEOUT,
    UNAUTHORIZED,
    ProxyError,
)
from l7.telemetry.recorder import layout
from l7.telemetry.recorder.memory import OtherLayoutError, RecorderView
from l7.telemetry.recorder.opening import recorder_of
from l7.telemetry.recorder.reader import RecorderReader
from l7.telemetry.recorder.request_filter import RequestFilter
from l7.telemetry.recorder.writer import Recorder
from tests.harness import TIMEOUT
from tests.harness.children import forked
from tests.telemetry.recorder.recording import config, exchange, memory, reader, record, writer


def test_all_that_is_known_of_a_request_is_kept() -> None:
    where = memory()
    one = writer(where, generation=7)
    made = exchange("abc", b"POST /x HTTP/1.1", port=8443, connection=5 << 23 | 3)
    before = time.time()
    one.begin(made)
    made.route, made.queue_time, made.attempts = "a.com", 0.25, 1
    one.attempt(made, "10.0.0.1:80", layout.STICKY | layout.BACKUP, 2, 3)
    one.failed(made, ProxyError(CONNECT_REFUSED))
    one.attempt(made, "10.0.0.2:80", layout.RETRY, 1, 3)
    made.received, made.sent, made.status, made.total_time = 10, 1 << 40, 201, 1.5
    made.connect_time, made.response_time = 0.0, 0.125
    one.finish(made)
    (found,) = reader(where).finished()
    assert before - 1 <= found.started <= time.time() + 1
    assert (found.request_id, found.client, found.host, found.method, found.target) == (
        "abc", "192.0.2.1", "a.com", "POST", "/x",
    )  # fmt: skip
    assert (found.route, found.policy, found.port, found.tls) == ("a.com", "hash of header:x-user", 8443, "")
    assert (found.queue, found.total, found.received, found.sent) == (0.25, 1.5, 10, 1 << 40)
    assert (found.status, found.code, found.failure, found.reason) == (201, "--", "", "")
    assert (found.worker, found.generation, found.connection, found.nth, found.tried) == (1, 7, 5, 3, 2)
    first, second = found.attempts
    assert first.reasons == ("sticky cookie", "after a wait", "backup server")
    assert (first.server, first.available, first.members, first.connect) == ("10.0.0.1:80", 2, 3, None)
    assert first.failure == "connection refused" and first.failed_at is not None
    assert first.began <= first.failed_at <= second.began
    assert second.reasons == ("hash of header:x-user", "retry", "after a wait")
    assert (second.connect, second.first_byte, second.failure, second.failed_at) == (0.0, 0.125, "", None)
    assert not found.under_way and not found.died


@pytest.mark.parametrize(
    ("sent", "sending"),
    [(0.0, None), (0.1, 0.0), (0.13, 0.029952), (2.1, 2.0), (90_000.1, (layout.UNSENT - 1) * layout.SENT_UNIT / 1e6)],
)
def test_how_long_a_request_was_sent_is_kept(sent: float, sending: float | None) -> None:
    where = memory()
    one, made = writer(where), exchange()
    one.begin(made)
    one.attempt(made, "10.0.0.1:80", 0, 1, 1)
    made.connect_time, made.response_time = 0.1, 0.5
    made.sent_at = made.started + sent if sent else 0.0
    one.finish(made)
    (attempt,) = reader(where).finished()[0].attempts
    assert (attempt.connect, attempt.first_byte) == (0.1, 0.5) and attempt.began < 1.5
    if sending is None or not sending:
        assert attempt.sending == sending
    else:  # it is from the connection on, which was begun a moment after the request
        assert attempt.sending == pytest.approx(sending, abs=attempt.began + 0.0001)


@pytest.mark.parametrize("kind", FAILURES, ids=lambda kind: kind.name)
def test_each_failure_is_named(kind: object) -> None:
    where = memory()
    record(writer(where), exchange(), kind=kind, detail="x" * 1000)  # type: ignore[arg-type]
    (found,) = reader(where).finished()
    assert (found.failure, found.code, found.status) == (kind.name, kind.code, kind.logged)  # type: ignore[attr-defined]
    assert len(found.reason) == layout.LONGEST_REASON
    assert found.attempts[0].failure == kind.name  # type: ignore[attr-defined]


def test_good_requests_do_not_wash_failures_away() -> None:
    where = memory()
    one = writer(where, requests=100, failures=50)
    for number in range(10):
        record(one, exchange(f"bad{number}"), kind=CLOSED_EARLY)
        record(one, exchange(f"refused{number}"), kind=UNAUTHORIZED)
        record(one, exchange(f"unrouted{number}"), kind=NO_ROUTE)
        record(one, exchange(f"server{number}"), status=500)
        record(one, exchange(f"left{number}"), kind=CLIENT_GONE_HEAD)
    for number in range(1000):
        record(one, exchange(f"good{number}"))
    names = [found.request_id for found in reader(where).finished()]
    assert len(names) == len(set(names))
    for kept in ("bad", "unrouted", "server", "left"):
        assert {f"{kept}{number}" for number in range(10)} == {name for name in names if name.startswith(kept)}
    assert not [name for name in names if name.startswith("refused")]
    # Those that end within one microsecond may stand in any order.
    assert {f"good{number}" for number in range(900, 1000)} <= set(names)


@pytest.mark.parametrize("workers", [1, 2, 3, 16, 64])
def test_all_lanes_together_hold_what_is_wanted(workers: int) -> None:
    where = memory(workers)
    writers = [writer(where, lane, workers, requests=320) for lane in range(workers)]
    for number in range(2000):
        record(writers[number % workers], exchange(f"r{number}"))
    found = [one.request_id for one in reader(where).finished()]
    assert {f"r{number}" for number in range(1680, 2000)} <= set(found)
    size = sum(cells * (layout.CELL + 1) * 8 for cells in [layout.ring_cells(320, workers, 10**5, 2)] * workers)
    assert (
        size <= max(1280 + 4 * workers, 64 * workers) * 264
    )  # four cells a request at most, or the least that a lane has


def test_the_newest_are_found_first() -> None:
    where = memory(2)
    lanes = [writer(where, lane, requests=400, failures=50) for lane in (0, 1)]
    for number in range(300):
        record(
            lanes[number % 2], exchange(f"id{number:03}", b"GET /x HTTP/1.1"), status=503 if number % 100 == 99 else 200
        )
    turns: list[None] = []
    one = RecorderReader(RecorderView(where.descriptor), lambda: turns.append(None))
    found = one.newest(RequestFilter(), 20)
    assert found == sorted(found, key=lambda record: record.ended, reverse=True)
    assert {record.request_id for record in found} <= {f"id{number:03}" for number in range(260, 300)}
    assert len(found) == 20
    failed = {"id099", "id199", "id299"}
    assert {record.request_id for record in one.newest(RequestFilter(), 500, failed=True)} == failed
    turns.clear()
    assert {record.request_id for record in one.newest(RequestFilter(status=((500, 599),)), 500)} == failed
    assert len(one.newest(RequestFilter(host="A.com", target="/x", client="192.0.2.1", slower=0.005), 500)) == 300
    assert turns, "others have a turn while all of it is read"
    for none in ({"host": "a.co"}, {"target": "x"}, {"client": "1"}, {"slower": 0.0051}, {"status": ((500, 502),)}):
        assert one.newest(RequestFilter(**none), 500) == [], none


def test_requests_under_way_are_seen_with_their_server() -> None:
    where = memory()
    one, read = writer(where), reader(where)
    made, other = exchange("first"), exchange("second")
    one.begin(made)
    one.begin(other)
    made.route, made.queue_time = "a.com/api", 0.0
    one.attempt(made, "10.0.0.9:80", 0, 1, 1)
    first, second = read.under_way()
    assert (first.request_id, first.server, first.under_way, first.status) == ("first", "10.0.0.9:80", True, 0)
    assert (second.request_id, second.server, second.route) == ("second", "", "")
    assert [one.request_id for one in read.find("irst")] == ["first"]
    one.finish(made)
    assert [one.request_id for one in read.under_way()] == ["second"]
    assert [(one.request_id, one.under_way) for one in read.find("irst")] == [("first", False)]
    third = exchange("third")
    one.begin(third)  # in the slot of the first
    assert {one.request_id for one in read.under_way()} == {"second", "third"}


def test_more_than_can_be_seen_under_way_are_recorded_at_their_end(monkeypatch: pytest.MonkeyPatch) -> None:
    where = memory()
    one, read = writer(where, requests=10_000), reader(where)
    waiting = [exchange(f"w{number}") for number in range(layout.MOST_UNDER_WAY + 10)]
    for made in waiting:
        one.begin(made)
    assert len(read.under_way()) == layout.MOST_UNDER_WAY - 1
    for made in waiting:
        one.attempt(made, "10.0.0.1:80", 0, 1, 1)
        one.finish(made)
    assert not read.under_way()
    assert {found.request_id for found in read.finished()} == {made.request_id for made in waiting}


def test_the_last_attempt_of_very_many_is_kept() -> None:
    where = memory()
    one, made = writer(where), exchange()
    one.begin(made)
    for number in range(30):
        one.attempt(made, f"10.0.0.{number}:80", 0, 30, 30)
        one.failed(made, ProxyError(CONNECT_REFUSED))
    made.failure = ProxyError(CONNECT_REFUSED)
    made.status, made.code = 502, "SC"
    one.finish(made)
    (found,) = reader(where).finished()
    assert found.tried == 30
    kept = [f"10.0.0.{number}:80" for number in (*range(layout.MOST_ATTEMPTS - 1), 29)]
    assert [attempt.server for attempt in found.attempts] == kept


def test_a_failure_without_an_attempt_is_recorded_all_the_same() -> None:
    where = memory()
    one, made = writer(where), exchange("none")
    one.begin(made)
    one.failed(made, ProxyError(CONNECT_REFUSED))
    made.failure, made.status, made.code = ProxyError(NO_ROUTE), 404, "LR"
    one.finish(made)
    (found,) = reader(where).finished()
    assert (found.request_id, found.failure, found.attempts, found.client) == ("none", NO_ROUTE.name, (), "192.0.2.1")


# --- ends and beginnings ----------------------------------------------------------------------------------------------


def test_a_killed_worker_leaves_what_it_has_recorded_and_what_was_under_way() -> None:
    where = memory()

    def work() -> None:
        one = writer(where)
        record(one, exchange("done"))
        made = exchange("cut")
        one.begin(made)
        one.attempt(made, "10.0.0.1:80", 0, 1, 1)
        os.kill(os.getpid(), signal.SIGKILL)

    os.waitpid(forked(work), 0)
    read = reader(where)
    found = {one.request_id: one for one in read.finished()}
    assert set(found) == {"done", "cut"} and not read.under_way() and not read.is_written()
    assert (found["cut"].died, found["cut"].code, found["cut"].server) == (True, "IH", "10.0.0.1:80")
    record(writer(where, generation=2), exchange("next"))
    found = {one.request_id: one for one in read.finished()}
    assert set(found) == {"done", "cut", "next"}
    assert found["cut"].died and found["done"].generation == 1 and found["next"].generation == 2
    assert found["done"].route == found["next"].route == "a.com/api"


def test_other_sizes_begin_a_lane_anew() -> None:
    where = memory()
    read = reader(where)
    record(writer(where, requests=100), exchange("old"))
    assert [one.request_id for one in read.finished()] == ["old"]
    one = writer(where, requests=200)
    assert read.finished() == []
    record(one, exchange("new"))
    assert [(found.request_id, found.route) for found in read.finished()] == [("new", "a.com/api")]


def test_a_full_table_of_names_loses_names_and_nothing_else() -> None:
    where = memory()
    one = writer(where)
    for number in range(5000):
        made = exchange(f"r{number}")
        one.begin(made)
        one.attempt(made, f"{number:0290}:80", 0, 1, 1)
        one.finish(made)
    read = reader(where)
    found = read.finished()
    assert len(found) == 5000
    assert found[0].server == f"{0:0290}:80" and found[-1].server == ""
    record(writer(where), exchange("anew"))
    assert [(found.request_id, found.server) for found in read.finished()] == [("anew", "10.0.0.1:80")]


def test_a_reader_is_never_shown_half_a_record() -> None:
    """A writer is killed again and again while it writes records of all sizes, and readers look on."""
    where = memory()
    read = reader(where)
    deadline = time.monotonic() + TIMEOUT
    looks = 0

    def work() -> None:
        one = writer(where, requests=200, failures=100)
        number = 0
        while True:
            number += 1
            size = number * 37 % 500
            text = f"{number:x}-".encode() * (size // 8 + 1)
            made = exchange(f"{number:x}", b"GET /" + text + b" HTTP/1.1", client=f"c{number:x}", port=number & 0xFFFF)
            record(one, made, kind=CLOSED_EARLY if number % 5 == 0 else None, detail=f"d{number:x}")

    for _ in range(12):
        pid = forked(work)
        until = time.monotonic() + 0.05
        while time.monotonic() < until:
            for one in (*read.finished(), *read.under_way()):
                looks += 1
                assert one.client == f"c{one.request_id}"
                assert one.port == int(one.request_id, 16) & 0xFFFF
                assert (
                    set(one.target.strip("/…").strip("-").split("-")) <= {one.request_id, ""} or one.target[-1] == "…"
                )
                if one.reason:
                    assert one.reason.endswith(f"d{one.request_id}")
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
    assert looks > 1000 and time.monotonic() < deadline


# --- readers ----------------------------------------------------------------------------------------------------------


def test_news_are_told_once_and_what_was_missed_is_counted() -> None:
    where = memory(2)
    one, two = (writer(where, lane, 2, requests=100) for lane in range(2))
    record(one, exchange("before"))
    read = reader(where)
    read.skip()
    for number in range(10):
        record((one, two)[number % 2], exchange(f"r{number}"))
    news = read.news()
    assert sorted(found.request_id for found in news.records) == [f"r{number}" for number in range(10)]
    assert news.missed == 0
    assert read.news().records == []
    for number in range(1000):
        record(one, exchange(f"s{number}"))
    news = read.news()
    assert len(news.records) + news.missed == 1000
    assert news.records[-1].request_id == "s999" and len(news.records) >= 100


def test_a_lane_that_is_opened_later_is_read() -> None:
    where = memory()
    read = reader(where)
    record(writer(where), exchange("one"))
    assert len(read.finished()) == 1
    where.open(4)
    record(writer(where, 4), exchange("two"))
    assert sorted(one.request_id for one in read.finished()) == ["one", "two"]
    assert sorted(one.request_id for one in read.news().records) == ["one", "two"]


def test_a_worker_without_memory_serves_unrecorded_and_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(number: int) -> memoryview:
        raise OSError(errno.ENOMEM, "Cannot allocate memory")

    where, said = memory(), list[str]()
    generation = Generation(1, config(), "")
    assert isinstance(recorder_of(where, 0, generation, (0, 1), said.append), Recorder)
    assert not said
    monkeypatch.setattr(where, "lane", refuse)
    assert not isinstance(recorder_of(where, 0, generation, (0, 1), said.append), Recorder)
    assert said == ["recorder: no memory for this worker's requests, which are not recorded: Cannot allocate memory"]
    assert not isinstance(recorder_of(None, 0, generation, (0, 1), said.append), Recorder)


def test_readers_can_change_nothing() -> None:
    where = memory()
    view = RecorderView(where.descriptor)
    (lane,) = view.lanes()
    with pytest.raises(TypeError):
        lane[0] = 1
    with pytest.raises(OSError, match=r"Bad file descriptor|not permitted"):
        os.write(where.descriptor, b"x")


def test_another_layout_is_not_read(tmp_path: object) -> None:
    descriptor = os.memfd_create("other")
    try:
        with pytest.raises(OtherLayoutError):
            RecorderView(descriptor)
        os.write(descriptor, bytes(8192))
        with pytest.raises(OtherLayoutError):
            RecorderView(descriptor)
    finally:
        os.close(descriptor)


def test_the_words_of_a_response_that_timed_out() -> None:
    where = memory()
    record(writer(where), exchange(), kind=RESPONSE_TIMEOUT)
    (found,) = reader(where).finished()
    assert found.attempts[0].connect == 0.001


def test_requests_that_were_there_at_a_moment_are_found() -> None:
    where = memory()
    to = writer(where)
    early, late, under_way = exchange("1" * 32), exchange("2" * 32), exchange("3" * 32)
    early.started -= 10
    record(to, early, status=502)
    record(to, late)
    to.begin(under_way)
    found = reader(where)
    first, second = found.finished()

    def during(begin: float, end: float) -> list[str]:
        return sorted(one.request_id[0] for one in found.during(begin, end))

    assert during(first.started + 0.002, first.started + 0.003) == ["1"], "it took 5 ms, and is in both rings"
    assert during(first.started + 1, first.started + 2) == []
    assert during(second.started + 0.004, second.started + 60) == ["2", "3"]
    assert during(second.started + 1, second.started + 60) == ["3"]
