"""What people are told of servers: their state, why, and the chance of each to get the next request."""

from __future__ import annotations

from typing import Any

import pytest

from l7.balancing import ejection, health
from l7.balancing.dns_records import ResolvedEndpoint
from l7.balancing.ejection import EjectionReason
from l7.balancing.server_view import SharedView, server_view
from l7.balancing.sticky import token
from l7.config.schema import Config
from l7.explain.asked import Question
from l7.explain.explanation import explain
from l7.sharedmem import layout
from l7.sharedmem.memory import FIRST_WORKER, MASTER, MONITOR, SharedMemory

S = 1_000_000_000
NOW = 100 * S
ONE, TWO, THREE = "127.0.0.1:81", "127.0.0.1:82", "127.0.0.1:83"
KEY = b"k" * 32


class House:
    """A backend, and what is known of its servers: ``a`` is its route, its first server is in row 3."""

    def __init__(self, servers: list[Any], **settings: Any) -> None:
        self.config = Config.model_validate({"backends": {"a": {"servers": servers, **settings}}})
        self.shared_memory = SharedMemory()
        self.shared_memory.open(FIRST_WORKER)
        self.rows: dict[tuple[str, ...], int] = {("a",): 2}
        for server in self.config.backends["a"].servers:
            self.rows.setdefault(("a", str(server.address)), len(self.rows) + 2)
        self.resolved: dict[tuple[str, str], list[ResolvedEndpoint]] = {}

    def know(self, label: str, writer: int, **values: int) -> None:
        for name, value in values.items():
            self.shared_memory.writer(writer).put(
                layout.place(self.rows["a", label], getattr(layout, name.upper())), value
            )

    def look(self, url: str = "a/", headers: tuple[str, ...] = ()) -> dict[str, Any]:
        found = explain(self.config, Question(url, headers))
        assert found.backend is not None and found.head is not None
        writer = self.shared_memory.writer(MASTER)
        return server_view("a", found.backend, found.head, SharedView(writer, self.rows, self.resolved, KEY), NOW)

    def chances(self, *url: Any) -> list[float]:
        return [one["chance"] for one in self.look(*url)["servers"]]


def test_turns_are_exact() -> None:
    house = House([{"address": ONE, "weight": 5}, {"address": TWO, "weight": 3}, {"address": THREE, "weight": 1}])
    assert house.chances() == [0.5556, 0.3333, 0.1111]


def test_a_server_that_is_written_twice_has_both_weights() -> None:
    assert House([ONE, TWO, ONE]).chances() == [0.6667, 0.3333]


def test_who_is_least_busy_is_next() -> None:
    house = House([ONE, TWO, THREE], balance="least-requests")
    house.know(ONE, FIRST_WORKER, in_flight=2)
    house.know(TWO, FIRST_WORKER, in_flight=1)
    house.know(THREE, FIRST_WORKER, in_flight=1)
    look = house.look()["servers"]
    assert look[0]["chance"] == 0
    assert look[1]["chance"] + look[2]["chance"] == pytest.approx(1, abs=0.001)
    assert [one["in-flight"] for one in look] == [2, 1, 1]


def test_two_choices_favour_the_less_busy() -> None:
    house = House([ONE, TWO], balance="two-choices")
    house.know(ONE, FIRST_WORKER, in_flight=1)
    assert house.chances() == [0, 1]


def test_first_is_first_until_it_is_full() -> None:
    house = House([{"address": ONE, "max-connections": 2}, TWO], balance="first")
    assert house.chances() == [1, 0]
    house.know(ONE, FIRST_WORKER, in_flight=2)
    assert house.chances() == [0, 1]
    assert house.look()["servers"][0]["limit"] == 2


def test_a_hash_key_that_is_known_decides() -> None:
    house = House([ONE, TWO, THREE], balance="hash", **{"hash-key": "header:x-user"})
    assert sorted(house.chances("a/", ("X-User: me",))) == [0, 0, 1]
    assert {tuple(house.chances("a/", (f"X-User: {n}",))) for n in range(50)} == {(1, 0, 0), (0, 1, 0), (0, 0, 1)}


def test_a_client_is_not_known() -> None:
    chances = House([ONE, TWO, THREE], balance="hash").chances()
    assert sum(chances) == pytest.approx(1, abs=0.01)
    assert all(0.2 < chance < 0.5 for chance in chances)


def test_who_checks_find_down_gets_nothing_and_says_why() -> None:
    house = House([ONE, TWO], health={"path": "/"})
    found = health.HealthStatus(2, 3)
    for _ in range(3):
        found.note(health.finding(health.Fault.REFUSED))
    house.know(ONE, MONITOR, health=layout.DOWN, health_since=NOW - 5 * S, health_why=found.why, falls=1)
    one, two = house.look()["servers"]
    assert (one["state"], one["why"], one["since"], one["chance"]) == ("down", "connect refused ×3", 5.0, 0)
    assert (two["state"], two["why"], two["since"], two["chance"]) == ("up", "", None, 1)


def test_who_was_ejected_says_for_how_long() -> None:
    house = House([ONE, TWO])
    why = ejection.why(EjectionReason.LOST, count=3)
    house.know(ONE, FIRST_WORKER, ejected_at=NOW - S, ejected_until=NOW + 4 * S, ejected_why=why, ejected_times=1)
    one = house.look()["servers"][0]
    assert (one["state"], one["why"], one["since"], one["until"]) == ("ejected", "connection lost ×3", 1.0, 4.0)
    assert one["chance"] == 0


@pytest.mark.parametrize(("state", "name"), [(layout.DRAIN, "drain"), (layout.MAINT, "maint")])
def test_an_administrators_word(state: int, name: str) -> None:
    house = House([ONE, TWO])
    house.know(ONE, MASTER, admin=state, admin_since=NOW - 2 * S)
    one = house.look()["servers"][0]
    assert (one["state"], one["why"], one["since"], one["chance"]) == (name, "as an administrator wants", 2.0, 0)


def test_a_backup_is_not_needed_until_it_is() -> None:
    house = House([ONE, {"address": TWO, "backup": True}])
    assert (house.look()["servers"][1]["why"], house.chances()) == ("not needed", [1, 0])
    house.know(ONE, MASTER, admin=layout.MAINT, admin_since=1)
    assert (house.look()["servers"][1]["why"], house.chances()) == ("", [0, 1])


def test_too_few_that_are_up_are_told_of() -> None:
    house = House([ONE, TWO, THREE], health={}, panic="50%")
    for label in (ONE, TWO):
        house.know(label, MONITOR, health=layout.DOWN, health_since=1, falls=1)
    assert house.look()["note"] == "too few are up: those that are out are used as well"
    assert house.chances() == [0.3333, 0.3333, 0.3333]


def test_none_that_can_be_used() -> None:
    house = House([ONE])
    house.know(ONE, MASTER, admin=layout.MAINT, admin_since=1)
    look = house.look()
    assert look["note"] == "no server can be used: answered 503"
    assert look["servers"][0]["chance"] == 0


def test_those_who_wait_are_counted() -> None:
    house = House([{"address": ONE, "max-connections": 1}])
    house.shared_memory.writer(FIRST_WORKER).put(layout.place(2, layout.QUEUED), 3)
    house.know(ONE, FIRST_WORKER, in_flight=1)
    assert house.look()["note"] == "3 requests wait for a place"


def test_a_name_has_a_line_for_each_address() -> None:
    house = House([{"address": "app.test:80", "weight": 2}, ONE])
    house.resolved["a", "app.test:80"] = [ResolvedEndpoint("10.0.0.1", 80, 10), ResolvedEndpoint("10.0.0.2", 80, 11, 4)]
    assert [(one["server"], one["address"], one["weight"]) for one in house.look()["servers"]] == [
        ("app.test:80", "10.0.0.1:80", 2),
        ("app.test:80", "10.0.0.2:80", 4),
        (ONE, ONE, 1),
    ]


def test_a_cookie_sticks() -> None:
    house = House([ONE, TWO], sticky={"cookie": "l7"})
    value = token(KEY, "a", TWO).decode()
    look = house.look("a/", (f"Cookie: x=1; l7={value}",))
    assert [one["chance"] for one in look["servers"]] == [0, 1]
    assert look["note"] == "its cookie sticks to a server"
    assert house.chances("a/", ("Cookie: l7=forged",)) == [0.5, 0.5]


def test_who_comes_back_slowly_shows_its_share() -> None:
    house = House([ONE, TWO], **{"slow-start": "10s"})
    house.know(ONE, FIRST_WORKER, ejected_at=NOW - 9 * S, ejected_until=NOW - 5 * S, ejected_times=1)
    house.know(ONE, FIRST_WORKER, good=1)
    one = house.look()["servers"][0]
    assert (one["state"], one["share"], one["chance"]) == ("up", 0.5, 0.3333)
