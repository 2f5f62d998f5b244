"""The overview is made once for all who ask; who is slow, or has left, holds nobody up and leaves nothing open."""

from __future__ import annotations

import json
import os
import socket
from collections.abc import Callable

import gevent
import pytest
from gevent import socket as green

from l7.config.schema import Config
from l7.sharedmem.master_gauges import MasterGauges
from l7.sharedmem.memory import MONITOR, SharedMemory
from l7.sharedmem.scoreboard import Scoreboard
from l7.telemetry.servers.shared_servers import SharedServers
from l7.workers.monitor.overview import answering, document
from l7.workers.monitor.overview.answering import OverviewAnswers
from l7.workers.monitor.overview.document import Overview, OverviewError, OverviewSources
from l7.workers.monitor.overview.failures import LastFailures
from l7.workers.monitor.overview.route_figures import RouteFigures
from l7.workers.monitor.overview.server_figures import ServerFigures
from l7.workers.monitor.overview.traffic_sampler import TrafficSampler
from l7.workers.monitor.recorder_source import RecorderSource

SERVERS = [f"127.0.0.1:{port}" for port in range(1, 4)]


def overview_of(visit: Callable[[], green.socket], routes: int = 2, memory: SharedMemory | None = None) -> Overview:
    """An overview of routes without traffic."""
    memory = memory or SharedMemory()
    config = Config.model_validate({"backends": {f"h{one}": {"servers": SERVERS} for one in range(routes)}})
    keys = [key for route in config.backends for key in ((route,), *((route, server) for server in SERVERS))]
    rows = {key: row for row, key in enumerate(keys, 4)}
    memory.reserve(len(rows) + 4)
    writer = memory.writer(MONITOR)
    sampler = TrafficSampler(writer, memory.traffic, memory.written, lambda _: ("",))
    known = SharedServers(memory, writer, rows, {}, {})
    sources = OverviewSources(
        sampler,
        RouteFigures(config, writer, rows, sampler, lambda: None),
        ServerFigures(config, known, sampler, lambda: None),
        LastFailures(RecorderSource(None)),
        MasterGauges(writer),
        Scoreboard(1),
    )
    return Overview(sources, visit)


class Master:
    """Answers each visit."""

    def __init__(self, answer: object) -> None:
        self.visits = 0
        self._answer = answer

    def visit(self) -> green.socket:
        self.visits += 1
        ours, theirs = green.socketpair()
        gevent.spawn(self._reply, theirs)
        return ours

    def _reply(self, sock: green.socket) -> None:
        with sock:
            sock.recv(1000)
            gevent.sleep(0.01)
            sock.sendall(json.dumps(self._answer).encode())


@pytest.fixture
def master() -> Master:
    return Master({"ok": True, "version": "7", "reloads": [{"ok": False}]})


def test_it_is_made_once_for_all_who_ask(master: Master, monkeypatch: pytest.MonkeyPatch) -> None:
    overview = overview_of(master.visit)
    asking = [gevent.spawn(overview.json) for _ in range(50)]
    gevent.joinall(asking, timeout=10)
    assert {one.value for one in asking} == {asking[0].value}
    assert overview.json() == asking[0].value
    assert master.visits == 1
    found = json.loads(asking[0].value)
    assert (found["version"], found["reloads"], found["recorder"]) == ("7", [{"ok": False}], False)
    monkeypatch.setattr(document, "AGE", 0.0)
    monkeypatch.setattr(document, "TIMES_MADE", 0)
    overview = overview_of(master.visit)
    overview.json()
    overview.json()
    assert master.visits == 3


def test_no_more_is_shown_than_there_is_room_for(master: Master, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(document, "MOST_ROUTES", 5)
    monkeypatch.setattr(document, "MOST_SERVERS", 7)
    found = json.loads(overview_of(master.visit, routes=20).json())
    assert (len(found["routes"]), found["routes-left-out"]) == (5, 15)
    assert (len(found["servers"]), found["servers-left-out"]) == (7, 53)


def test_servers_that_nobody_has_written_of_are_counted_without_a_look(master: Master) -> None:
    memory = SharedMemory()
    found = json.loads(overview_of(master.visit, 2000, memory).json())
    assert found["routes-left-out"] == 2000 - document.MOST_ROUTES
    assert found["servers-left-out"] == 3 * 2000 - document.MOST_SERVERS
    assert {(one["servers"], one["up"]) for one in found["routes"]} == {(3, 3)}
    # A page that is read is taken.
    assert len(list(memory.written())) <= 8


@pytest.mark.parametrize("answer", [{"ok": False, "reasons": ["it stops"]}, [], "nonsense"])
def test_a_master_that_does_not_tell(answer: object) -> None:
    with pytest.raises(OverviewError):
        overview_of(Master(answer).visit).json()


def test_a_master_that_is_gone() -> None:
    def visit() -> green.socket:
        raise ConnectionRefusedError

    with pytest.raises(OverviewError, match="the master does not answer"):
        overview_of(visit).json()


class Fixed:
    """An overview that is always the same."""

    def __init__(self, text: bytes, within: float = 0.0) -> None:
        self._text = text
        self._within = within

    def json(self) -> bytes:
        gevent.sleep(self._within)
        if not self._text:
            raise OverviewError("there is none")
        return self._text


def ask(answers: OverviewAnswers) -> socket.socket:
    ours, theirs = socket.socketpair()
    ours.settimeout(5)
    answers.take(theirs.detach())
    return ours


def read(sock: socket.socket) -> bytes:
    with sock:
        gevent.sleep(0.1)
        return b"".join(iter(lambda: sock.recv(65536), b""))


def open_descriptors() -> int:
    return len(os.listdir("/proc/self/fd"))


def test_who_asks_gets_a_line_or_why_there_is_none() -> None:
    assert read(ask(OverviewAnswers(Fixed(b"{}")))) == b"{}\n"  # type: ignore[arg-type]
    found = json.loads(read(ask(OverviewAnswers(Fixed(b"")))))  # type: ignore[arg-type]
    assert found == {"ok": False, "reasons": ["there is none"]}


def test_who_reads_nothing_or_has_left_holds_nobody_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(answering, "WITHIN", 0.3)
    monkeypatch.setattr(answering, "MOST_ASKING", 3)
    answers, before = OverviewAnswers(Fixed(b"x" * (4 << 20))), open_descriptors()  # type: ignore[arg-type]
    slow = [ask(answers) for _ in range(2)]
    ask(answers).close()
    too_many = ask(answers)
    assert b"ask again" in read(too_many)
    gevent.sleep(0.1)
    with ask(answers) as another:  # the place of who has left
        gevent.sleep(0.4)
        assert another.recv(10) == b"x" * 10
    for one in slow:
        one.close()
    assert open_descriptors() == before


def test_those_that_ask_as_the_process_ends_are_answered(monkeypatch: pytest.MonkeyPatch) -> None:
    answers = OverviewAnswers(Fixed(b"{}", within=0.2))  # type: ignore[arg-type]
    answers.close()
    with ask(answers) as one, ask(answers) as another:
        answers.close()
        for sock in (one, another):
            sock.setblocking(False)
            assert sock.recv(10) == b"{}\n"
    monkeypatch.setattr(answering, "FINISH_WITHIN", 0.1)
    slow = OverviewAnswers(Fixed(b"{}", within=5.0))  # type: ignore[arg-type]
    with ask(slow), gevent.Timeout(2):
        slow.close()
