"""Lines are lost when they must be, and said to be; the loop never waits."""

from __future__ import annotations

import os
import select
import stat
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from l7.clock import monotonic
from l7.exchange import Exchange
from l7.telemetry.access_log import BACKLOG, BATCH, AccessLog, NullAccessLog, open_log, to_stderr
from tests.harness import descriptors

PATCHED = """
import gevent.monkey
gevent.monkey.patch_all()
import gevent, sys, threading
from gevent.monkey import get_original
from l7.exchange import Exchange
from l7.telemetry.access_log import AccessLog
from l7.telemetry.shared_output import NativeThreading, make_lock
originals = [("_thread", "start_new_thread"), ("select", "poll"), ("time", "sleep")]
native = NativeThreading(*[get_original(*name) for name in originals])
log = AccessLog("-", 1, "combined", lock=make_lock(), native=native)
for number in range(3):
    log.log(Exchange("c%d" % number, 0.0))
    log.tick()
    gevent.sleep(0.01)
assert log.close(5)
"""


def opened(path: str, form: str = "l7", report: Callable[[str], None] = to_stderr) -> AccessLog:
    return AccessLog(path, open_log(path), form, report=report)


def make_exchange(number: int = 0, agent: bytes = b"-") -> Exchange:
    exchange = Exchange(f"client-{number}", 0.0)
    exchange.status = 200
    exchange.user_agent = agent
    return exchange


def await_that(condition: Callable[[], bool], poll: Callable[[], None] | None = None) -> None:
    """Wait for the thread beside us, a millisecond at a time and bounded."""
    end = monotonic() + 10
    while not condition():
        if poll is not None:
            poll()
        assert monotonic() < end, "not within 10 s"
        select.select([], [], [], 0.001)


@pytest.fixture
def events() -> list[str]:
    return []


@pytest.fixture
def fifo(tmp_path: Path) -> Iterator[tuple[str, int]]:
    """A named pipe and the descriptor of its reader."""
    path = tmp_path / "pipe"
    os.mkfifo(path)
    reader = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    yield str(path), reader
    try:
        os.close(reader)
    except OSError:
        pass


def drain(reader: int) -> bytes:
    try:
        return os.read(reader, 1 << 20)
    except BlockingIOError:
        return b""


def test_lines_reach_the_file_in_order(tmp_path: Path) -> None:
    path = tmp_path / "access.log"
    path.write_text("before\n")
    log = opened(str(path), "combined")
    for number in range(1000):
        log.log(make_exchange(number))
        if number % 100 == 0:
            log.tick()
    assert log.close(10)
    lines = path.read_text().splitlines()
    assert lines[0] == "before"
    assert [line.split()[0] for line in lines[1:]] == [f"client-{number}" for number in range(1000)]
    assert log.lost == 0


def test_a_new_file_is_not_for_everybody(tmp_path: Path) -> None:
    path = tmp_path / "access.log"
    assert opened(str(path)).close()
    assert stat.S_IMODE(path.stat().st_mode) & 0o137 == 0


def test_a_tick_writes_what_there_is(tmp_path: Path) -> None:
    path = tmp_path / "access.log"
    log = opened(str(path))
    log.log(make_exchange())
    assert path.read_bytes() == b""
    log.tick()
    await_that(lambda: path.read_bytes().endswith(b"\n"))
    assert log.close()


def test_a_full_batch_does_not_wait_for_the_tick(tmp_path: Path) -> None:
    path = tmp_path / "access.log"
    log = opened(str(path))
    for _ in range(BATCH // 1000 + 1):
        log.log(make_exchange(agent=b"x" * 1000))
    await_that(lambda: path.stat().st_size >= BATCH)
    assert log.close()


def test_a_log_that_cannot_be_opened_is_an_error(tmp_path: Path) -> None:
    for name in (tmp_path, tmp_path / "no" / "where"):
        with pytest.raises(OSError, match=str(name)):
            opened(str(name))


def test_a_pipe_without_a_reader_is_an_error(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(OSError, match="pipe"):
        opened(str(tmp_path / "pipe"))


def target_of(name: str) -> str:
    try:
        return os.readlink(f"/proc/self/fd/{name}")
    except OSError:  # the descriptor of the listing itself
        return ""


def test_a_full_disk_costs_lines_and_two_events(events: list[str]) -> None:
    log = opened("/dev/full", report=events.append)
    for count in (3, 6):
        for _ in range(3):
            log.log(make_exchange())
        log.tick()
        await_that(lambda count=count: log.lost == count)  # type: ignore[misc]
        log.tick()
        log.tick()
    assert events == ["access log /dev/full: No space left on device: lines are being lost"]
    (full,) = (int(name) for name in os.listdir("/proc/self/fd") if target_of(name) == "/dev/full")
    with open(os.devnull, "wb") as nowhere:
        os.dup2(nowhere.fileno(), full, inheritable=False)  # as if there were room again
    log.log(make_exchange())
    await_that(lambda: len(events) == 2, log.tick)
    assert events[1:] == ["access log /dev/full: writing again; lines lost: 6"]
    assert log.close()
    assert len(events) == 2


def test_a_closed_pipe_costs_lines(fifo: tuple[str, int], events: list[str]) -> None:
    path, reader = fifo
    log = opened(path, report=events.append)
    os.close(reader)
    log.log(make_exchange())
    log.tick()
    await_that(lambda: log.lost == 1)
    log.tick()
    assert events == [f"access log {path}: Broken pipe: lines are being lost"]
    assert log.close()
    assert events[1:] == [f"access log {path}: closed; lines lost: 1"]


def test_a_stalled_pipe_costs_bounded_memory_and_lines(fifo: tuple[str, int], events: list[str]) -> None:
    path, reader = fifo
    log = opened(path, report=events.append)
    exchange = make_exchange(agent=b"x" * 900)
    total = 2 * BACKLOG // 900
    for _ in range(total):
        log.log(exchange)
    log.tick()
    log.tick()
    assert 0 < log.lost < total
    assert events == [f"access log {path}: writing stalls: lines are being lost"]
    received = bytearray()

    def read() -> None:
        received.extend(drain(reader))
        log.tick()

    await_that(lambda: len(events) == 2, read)
    assert events[1:] == [f"access log {path}: writing again; lines lost: {log.lost}"]
    lost = log.lost
    assert log.close()
    received.extend(drain(reader))
    assert received.count(b"\n") == total - lost
    assert {len(line) for line in received.splitlines()} == {len(bytes(received).partition(b"\n")[0])}


def test_closing_does_not_wait_for_a_stalled_pipe(fifo: tuple[str, int], events: list[str]) -> None:
    path, _ = fifo
    log = opened(path, report=events.append)
    for _ in range(300):
        log.log(make_exchange(agent=b"x" * 900))
    begin = monotonic()
    assert log.close(0.1)
    assert monotonic() - begin < 5
    assert log.lost > 100
    assert events == [f"access log {path}: closed; lines lost: {log.lost}"]
    assert log.close()


def test_what_comes_after_closing_is_lost_within_bounds(tmp_path: Path) -> None:
    log = opened(str(tmp_path / "access.log"))
    assert log.close()
    log.log(make_exchange())
    log.tick()
    assert log.lost == 1


def test_no_descriptor_is_left(tmp_path: Path) -> None:
    before = descriptors()
    log = opened(str(tmp_path / "access.log"))
    assert log.close()
    assert not descriptors() - before


def test_off_does_nothing() -> None:
    log = NullAccessLog()
    log.log(make_exchange())
    log.tick()
    assert log.close()
    assert log.lost == 0


def test_events_survive_a_closed_standard_error(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(fd: int, data: bytes) -> int:
        raise BrokenPipeError

    monkeypatch.setattr("l7.telemetry.access_log.os.write", refuse)
    to_stderr("words")


def test_it_works_in_a_patched_process() -> None:
    done = subprocess.run([sys.executable, "-c", PATCHED], capture_output=True, text=True, timeout=30)
    assert done.stderr == ""
    assert [line.split()[0] for line in done.stdout.splitlines()] == ["c0", "c1", "c2"]
    assert done.returncode == 0
