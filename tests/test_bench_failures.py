"""The bench of failing servers: its servers fail as they say, its clients see it, its clock is read right."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from types import SimpleNamespace

import pytest

from tests.bench import failures
from tests.bench.actors import Actor, Attempt, Mode, Sniffer
from tests.bench.callers import Callers, Outcome
from tests.bench.failures import NEVER, Result
from tests.bench.rivals import RIVALS


def attempts(*moments: float, number: int = -1) -> list[Attempt]:
    return [Attempt(moment, number) for moment in moments]


def test_traffic_has_left_after_its_last_burst() -> None:
    burst = attempts(10.0, 10.1, 10.2, 10.3, 10.4)
    assert failures.left(burst, 10.0, 14.0) == pytest.approx(0.4)
    assert failures.left([], 10.0, 14.0) == 0


def test_checks_and_single_tries_are_no_traffic() -> None:
    burst = attempts(10.0, 10.1, 10.2, 10.3)
    checks = attempts(10.9, 11.4, 12.0, 12.5, 13.0, 13.5)
    assert failures.left(burst + checks, 10.0, 14.0) == pytest.approx(0.3)


def test_traffic_that_goes_on_to_the_end_has_never_left() -> None:
    assert failures.left(attempts(*(10 + place / 10 for place in range(40))), 10.0, 14.0) == NEVER


def test_traffic_is_back_with_the_first_request_that_is_answered() -> None:
    came = [*attempts(13.0, 14.2), *attempts(14.7, 15.0, number=5)]
    assert failures.back(came, 14.0) == pytest.approx(0.7)
    assert failures.back(came, 16.0) == NEVER


def test_what_clients_see_is_counted_by_method() -> None:
    actors = [SimpleNamespace(attempts=attempts(1.0, number=2)), SimpleNamespace(attempts=attempts(2.0, number=2))]
    result = Result(RIVALS["nginx"], False)
    outcomes = [
        Outcome("GET", 1, 0.0, 0.1),
        Outcome("POST", 2, 0.0, 1.1, "504"),
        Outcome("GET", 3, 0.0, 0.2, "damaged, and looked whole", fooled=True),
    ]
    failures.tally(result, outcomes, actors)
    assert (result.sent, result.gets, result.posts, result.fooled, result.twice) == (3, 1, 1, 1, 1)
    assert result.longest == 1.1
    assert result.reasons == {"POST 504": 1, "GET damaged, and looked whole": 1}


def test_times_are_shown_by_their_middle() -> None:
    assert failures.seconds([0.1, 5.0, 0.3], "never") == "0.3 s"
    assert failures.seconds([NEVER, NEVER, 0.3], "never") == "never"
    assert failures.seconds([None], "never") == "–"


@contextlib.asynccontextmanager
async def acting(mode: Mode) -> AsyncIterator[Actor]:
    actor = Actor()
    actor.become(Mode.GOOD)
    actor.become(mode)
    try:
        yield actor
    finally:
        await actor.close()


async def call(mode: Mode) -> tuple[list[Outcome], Actor]:
    """What clients see that talk to a server without any proxy."""
    async with acting(mode) as actor:
        callers = Callers(actor.port, patience=0.3 if mode is Mode.SILENT else 30.0)
        await callers.call(0.2)
        return callers.outcomes, actor


@pytest.mark.parametrize(
    ("mode", "whys"),
    [
        (Mode.GOOD, {""}),
        (Mode.GONE, {"connection lost"}),
        (Mode.SILENT, {"no answer within 0.3 s"}),
        (Mode.RESET, {"connection lost"}),
        (Mode.ERROR, {"500"}),
    ],
)
def test_a_server_fails_as_it_says(mode: Mode, whys: set[str]) -> None:
    outcomes, actor = asyncio.run(call(mode))
    assert {outcome.why for outcome in outcomes} == whys
    assert {outcome.method for outcome in outcomes} == {"GET", "POST"}
    assert not actor.peers


def test_a_black_hole_does_not_even_refuse() -> None:
    async def scene() -> None:
        async with acting(Mode.HOLE) as actor:
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(asyncio.open_connection("127.0.0.1", actor.port), 0.3)
            actor.become(Mode.GOOD)
            _, writer = await asyncio.wait_for(asyncio.open_connection("127.0.0.1", actor.port), 5)
            writer.close()

    asyncio.run(scene())


def test_refused_connections_are_seen() -> None:
    async def scene() -> None:
        async with acting(Mode.GONE) as actor:
            sniffer = Sniffer(actor)
            with contextlib.closing(sniffer):
                for _ in range(3):
                    with pytest.raises(ConnectionRefusedError):
                        await asyncio.open_connection("127.0.0.1", actor.port)
                while sniffer.sees and len(actor.attempts) < 3:
                    await asyncio.sleep(0.01)

    asyncio.run(asyncio.wait_for(scene(), 10))


def test_a_proxy_is_played_through_a_scene() -> None:
    result = failures.measure(failures.SCENES["reset"], RIVALS["l7"], checks=False, scale=0.3)
    assert result.sent > 20
    assert result.fooled == 0
    assert result.twice == 0
    assert sum(result.reasons.values()) == result.gets + result.posts > 0, "before it is ejected it is met"
    assert result.left[0] != NEVER
    text = failures.rst({"reset": [result]}, "a command")
    assert "One server resets in mid-response" in text
    assert "     - 0\n" in text
