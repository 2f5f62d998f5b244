"""How the servers of a route were at a past moment, by the changes that are kept, and what a story makes of it."""

from __future__ import annotations

from dataclasses import replace
from typing import cast

import pytest

from l7.config.schema import Config
from l7.errors import BODY_TIMEOUT, CLIENT_GONE_DATA, NO_SERVER, UNAUTHORIZED, Kind
from l7.sharedmem import layout
from l7.sharedmem.counters import CounterWriter
from l7.sharedmem.memory import FIRST_ROW, MASTER, SharedMemory
from l7.sharedmem.server_history import BY_MASTER, BY_MONITOR, SHOWN, StateChange
from l7.telemetry.recorder.records import Attempt, RequestRecord
from l7.telemetry.servers.changes import ServerChange
from l7.telemetry.servers.past_states import MOST_SERVERS, PastStates, states_at
from l7.telemetry.servers.shared_servers import SharedServers
from l7.telemetry.stories.request_story import story, told
from l7.telemetry.stories.situations import moments_of, situations

ONE, TWO = "10.0.0.1:80", "10.0.0.2:80"
SECOND = 1_000_000_000
REFUSED = layout.pack(1, 111, 3)
MONITORED = (ServerChange.READY, ServerChange.DRAIN, ServerChange.MAINT, ServerChange.WEIGHT)


class Servers:
    """Servers of the route ``a``, and a history of theirs that a test writes."""

    def __init__(self, *servers: str, **settings: object) -> None:
        config = Config.model_validate({"backends": {"a": {"servers": list(servers) or [ONE, TWO], **settings}}})
        self.backend = config.backends["a"]
        self.memory = SharedMemory()
        labels = [str(one.address) for one in self.backend.servers]
        self.rows = {("a",): FIRST_ROW, **{("a", one): FIRST_ROW + 1 + at for at, one in enumerate(labels)}}
        self.known = SharedServers(self.memory, self.memory.writer(MASTER), self.rows, {}, {})

    def change(self, server: str, at: float, event: ServerChange, amount: int = 0, evidence: int = 0) -> None:
        writer = BY_MASTER if event in MONITORED else BY_MONITOR
        row, history = self.rows["a", server], self.memory.history
        history.append(row, StateChange(int(at * SECOND), event, evidence, amount), history.head(row, writer), writer)

    def at(self, moment: float, server: str = ONE) -> tuple[str, float | None, str]:
        (found,) = states_at("a", self.backend, self.known, [moment])
        one = next(one for one in found["servers"] if one["address"] == server)
        return one["state"], one["since"], one["why"]

    def states(self, generation: int) -> PastStates:
        return PastStates({"a": self.backend}, generation, self.known)


def test_servers_that_never_changed_were_up() -> None:
    assert Servers().at(5.0) == ("up", None, "")


class Untouchable:
    """Stands for cells that take memory as soon as they are read."""

    def __getattr__(self, name: str) -> object:
        raise AssertionError(f"{name} of a row that nobody has written to")


def test_cells_that_nobody_has_written_to_are_not_read() -> None:
    servers = Servers()
    servers.memory.reserve(2000)
    rows = {key: row + 1000 for key, row in servers.rows.items()}  # the first ones share a page with what is written
    servers.known = replace(servers.known, rows=rows, writer=cast("CounterWriter", Untouchable()))
    assert servers.at(5.0) == ("up", None, "")


def test_an_ejection_is_told_from_its_beginning_to_its_proof() -> None:
    servers = Servers()
    servers.change(ONE, 10.0, ServerChange.EJECTED, 2_000_000, REFUSED)
    servers.change(ONE, 12.0, ServerChange.TERM_OVER, 2_000_000)
    servers.change(ONE, 13.0, ServerChange.PROVEN)
    assert servers.at(9.999) == ("up", None, "")
    assert servers.at(11.0) == ("ejected", 10.0, "failed requests: connect refused ×3; for 2s")
    assert servers.at(12.5)[0] == "up" and "one request at a time" in servers.at(12.5)[2]
    assert servers.at(14.0) == ("up", None, "")
    assert servers.at(11.0, TWO) == ("up", None, "")


def test_an_ejection_whose_time_is_over_is_one_no_more_before_that_was_noted() -> None:
    servers = Servers()
    servers.change(ONE, 10.0, ServerChange.EJECTED, 2_000_000, REFUSED)
    assert servers.at(11.9)[0] == "ejected"
    assert servers.at(12.1)[0] == "up"


def test_an_order_goes_before_what_was_found_out() -> None:
    servers = Servers(health={"path": "/"})
    servers.change(ONE, 10.0, ServerChange.CHECKED_UP)
    servers.change(ONE, 20.0, ServerChange.CHECKED_DOWN, 10_000_000, layout.pack(8, 503, 2))
    servers.change(ONE, 25.0, ServerChange.DRAIN)
    servers.change(ONE, 30.0, ServerChange.READY)
    assert servers.at(5.0) == ("down" if servers.backend.health.start == "down" else "up", None, "not checked yet")  # type: ignore[union-attr]
    assert servers.at(15.0) == ("up", None, "")
    assert servers.at(22.0) == ("down", 20.0, "health checks: status 503 ×2")
    assert servers.at(26.0) == ("drain", 25.0, "as an administrator wants")
    assert servers.at(31.0)[0] == "down"


def test_one_out_of_reach_and_one_without_weight() -> None:
    servers = Servers()
    servers.change(ONE, 10.0, ServerChange.UNREACHABLE, 0, REFUSED)
    servers.change(ONE, 12.0, ServerChange.REACHABLE, 2_000_000)
    servers.change(TWO, 10.0, ServerChange.WEIGHT, 1)
    assert servers.at(11.0) == ("unreachable", 10.0, "connect refused")
    assert servers.at(12.0) == ("up", None, "")
    assert servers.at(11.0, TWO) == ("up", 10.0, "its weight is 0, as an administrator wants")


def test_what_is_older_than_what_is_kept_is_not_known() -> None:
    servers = Servers()
    for number in range(SHOWN + 20):
        event = ServerChange.EJECTED if number % 2 else ServerChange.TERM_OVER
        servers.change(ONE, 100.0 + number, event, 1_000_000, REFUSED)
    assert servers.at(101.0) == ("unknown", None, "more has changed since than is kept")
    assert servers.at(219.5)[0] == "ejected"


def test_an_order_from_before_an_upgrade_is_known_by_its_cell() -> None:
    servers = Servers()
    writer = servers.known.writer
    writer.add(layout.place(servers.rows["a", ONE], layout.ADMIN), layout.MAINT)
    assert servers.at(5.0) == ("maint", None, "as an administrator wants")


def test_of_very_many_servers_those_that_were_not_up_are_told_first() -> None:
    names = [f"10.0.1.{number}:80" for number in range(100)]
    servers = Servers(*names)
    servers.change(names[77], 10.0, ServerChange.EJECTED, 0, REFUSED)
    (found,) = states_at("a", servers.backend, servers.known, [11.0])
    assert len(found["servers"]) == MOST_SERVERS and found["servers"][0]["address"] == names[77]
    assert (found["left-out"], found["left-out-up"]) == (0, 100 - MOST_SERVERS)


# --- what a story makes of it ----------------------------------------------------------------------------------------

RECORD = RequestRecord(
    request_id="ab" * 16, started=1000.0, client="192.0.2.1", host="a", method="GET", target="/", version="HTTP/1.1",
    route="a", policy="least-requests", port=80, tls="", queue=0.0, total=1.0, received=0, sent=1, status=200,
    code="--", failure="", reason="", worker=1, generation=3, connection=1, nth=1,
    attempts=(Attempt(TWO, ("least-requests",), 1, 2, 0.0, 0.0, 0.0, 0.5, None, ""),), tried=1, died=False,
    under_way=False,
)  # fmt: skip


def other(number: int, server: str, **known: object) -> RequestRecord:
    attempt = replace(RECORD.attempts[0], server=server)
    return replace(RECORD, connection=10 + number, started=999.5, attempts=(attempt,), **known)  # type: ignore[arg-type]


def told_of(record: RequestRecord, others: list[RequestRecord], servers: Servers, generation: int = 3) -> str:
    answer = servers.states(generation).answer("a", moments_of(record, 0.0))
    return "\n".join(story(record, 0.0, situations(record, answer, others, 0.0)))


def test_a_story_has_the_others_and_how_busy_they_were() -> None:
    servers = Servers()
    servers.change(ONE, 990.0, ServerChange.EJECTED, 0, REFUSED)
    others = [other(1, TWO), other(2, TWO), other(3, ONE), other(4, TWO, total=0.4), other(5, ONE, route="b"), RECORD]
    text = told_of(RECORD, others, servers)
    assert "and requests that they had (of those recorded):" in text
    assert f"  > {TWO}  2  up\n" in text
    assert f"    {ONE}  1  ejected since " in text and "(10.0 s before); failed requests: connect refused ×3" in text


def test_a_wait_is_told_with_who_had_the_servers_when_it_began() -> None:
    began = replace(RECORD.attempts[0], began=0.5, reasons=("least-requests", "after a wait"))
    text = told_of(replace(RECORD, attempts=(began,), queue=0.4), [other(1, ONE, total=0.7)], Servers())
    assert "the servers when it began to wait, at " in text and f"    {ONE}  1  up\n" in text
    assert text.count("and requests that they had") == 2 and f"  > {TWO}  0  up" in text


def test_a_retry_repeats_nothing_that_is_the_same() -> None:
    twice = (replace(RECORD.attempts[0], failed_at=0.1, failure="connection refused"), RECORD.attempts[0])
    retried = replace(RECORD, attempts=(twice[0], replace(twice[1], server=ONE, began=0.1)), tried=2)
    assert told_of(retried, [], Servers()).count("and requests that they had") == 1
    changed = Servers()
    changed.change(TWO, 1000.05, ServerChange.EJECTED, 0, REFUSED)
    assert told_of(retried, [], changed).count("and requests that they had") == 2


def test_a_request_without_a_server_is_told_with_all_of_them() -> None:
    record = replace(RECORD, attempts=(), tried=0, status=503, code="SC", failure=NO_SERVER.name)
    text = told_of(record, [], Servers())
    assert "why no server\n  the servers at " in text and f"    {ONE}  0  up" in text


@pytest.mark.parametrize("kind", [UNAUTHORIZED, BODY_TIMEOUT, CLIENT_GONE_DATA], ids=lambda kind: kind.name)
def test_a_request_that_came_to_no_pick_is_told_without_servers(kind: Kind) -> None:
    record = replace(RECORD, attempts=(), tried=0, status=kind.logged, code=kind.code, failure=kind.name)
    assert moments_of(record, 0.0) == () and moments_of(replace(record, under_way=True), 7.0) == (7.0,)
    assert moments_of(replace(record, route="", under_way=True), 7.0) == ()


def test_a_pick_of_a_server_that_was_not_up_is_explained() -> None:
    why = "servers could be picked, though none was up: they are asked all the same"
    servers = Servers()
    servers.change(TWO, 990.0, ServerChange.EJECTED, 0, REFUSED)
    assert why not in told_of(RECORD, [], servers)
    servers.change(ONE, 990.0, ServerChange.EJECTED, 0, REFUSED)
    assert why in told_of(RECORD, [], servers)


def test_another_generation_and_a_route_that_is_gone_are_said() -> None:
    assert "servers as generation 4 has them; 3 is served no more" in told_of(RECORD, [], Servers(), 4)
    answer = Servers().states(4).answer("b", [1000.0])
    assert answer == {"ok": False, "reasons": ["the route is in the configuration no more"]}
    assert situations(RECORD, answer, [], 0.0) == []


@pytest.mark.parametrize(
    ("reason", "generation", "words"),
    [
        ("sticky cookie", 3, "the client's sticky cookie SRV;"),
        ("sticky cookie", 4, "sticky cookie;"),
        ("last resort", 3, "last resort, as the others had failed it;"),
        ("hash of client", 3, "hash of the client's address;"),
        ("hash of header:x-user", 3, "hash of the field x-user, or without one of the client's address;"),
        ("hash of target", 3, "hash of the path;"),
        ("hash of cookie:id", 3, "hash of the cookie id, or without one of the client's address;"),
    ],
)
def test_what_a_server_was_picked_by(reason: str, generation: int, words: str) -> None:
    record = replace(RECORD, attempts=(replace(RECORD.attempts[0], reasons=(reason,)),))
    assert f"1. {TWO}: {words}" in told_of(record, [], Servers(sticky={"cookie": "SRV"}), generation)


def test_json_has_it_too() -> None:
    servers = Servers()
    answer = servers.states(3).answer("a", moments_of(RECORD, 0.0))
    (found,) = told(RECORD, 0.0, situations(RECORD, answer, [other(1, ONE)], 0.0))["situations"]
    first = {"server": ONE, "address": ONE, "state": "up", "since": None, "why": "", "backup": False}
    assert found["servers"][0] == {**first, "under-way": 1, "picked": False}
    assert found["servers"][1]["picked"] and (found["left-out"], found["note"]) == (0, "")
