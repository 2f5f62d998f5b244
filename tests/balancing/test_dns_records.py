"""What is known of a name, and when it is asked for again."""

from __future__ import annotations

import pytest

from l7.balancing.dns_records import LONGEST_PAUSE, MOST, FoundAddress, NameAnswer, NameRecord, SrvRecord, scale

ONE, TWO = FoundAddress("10.0.0.1", 80), FoundAddress("10.0.0.2", 80)


def test_an_answer_replaces_the_one_before() -> None:
    known = NameRecord(5, 300)
    assert known.note(NameAnswer((ONE,), 60))
    assert not known.note(NameAnswer((ONE,), 60))
    assert known.note(NameAnswer((TWO, ONE), 60))
    assert known.found == (ONE, TWO)
    assert not known.note(NameAnswer((ONE, TWO, ONE), 60)), "the same in another order"


@pytest.mark.parametrize("failure", [NameAnswer((), why="no such name"), NameAnswer((), 60)])
def test_the_last_good_answer_stays(failure: NameAnswer) -> None:
    known = NameRecord(5, 300)
    known.note(NameAnswer((ONE,), 60))
    assert known.note(failure), "that it fails is news"
    assert known.found == (ONE,)
    assert known.why
    assert not known.note(failure), "that it still does is none"
    assert known.note(NameAnswer((ONE,), 60)), "that it works again is"
    assert not known.why


@pytest.mark.parametrize(("ttl", "seconds"), [(0, 5), (4.9, 5), (60, 60), (301, 300), (86400, 300)])
def test_the_time_to_live_is_kept_within_its_bounds(ttl: float, seconds: float) -> None:
    known = NameRecord(5, 300)
    known.note(NameAnswer((ONE,), ttl))
    assert known.next_look(ttl, 0.0) == seconds
    assert seconds < known.next_look(ttl, 1.0) <= seconds * 1.2


def test_after_failures_it_is_asked_for_ever_less_often() -> None:
    known = NameRecord(60, 300)
    pauses = []
    for _ in range(7):
        known.note(NameAnswer((), why="no answer"))
        pauses.append(known.next_look(0, 0.0))
    assert pauses == [1, 2, 4, 8, 16, LONGEST_PAUSE, LONGEST_PAUSE]
    known.note(NameAnswer((ONE,), 60))
    known.note(NameAnswer((), why="no answer"))
    assert known.next_look(0, 0.0) == 1


def test_a_name_with_very_many_addresses_gives_some_of_them() -> None:
    known = NameRecord(5, 300)
    known.note(NameAnswer(tuple(FoundAddress(f"10.0.{n // 256}.{n % 256}", 80) for n in range(2000)), 60))
    assert len(known.found) == MOST


def test_a_reserve_that_is_listed_among_the_others_is_none() -> None:
    known = NameRecord(5, 300)
    known.note(
        NameAnswer(
            (
                FoundAddress("10.0.0.1", 80, 1, True),
                FoundAddress("10.0.0.1", 80, 5),
                FoundAddress("10.0.0.2", 80, 9, True),
            ),
            60,
        )
    )
    assert known.found == (FoundAddress("10.0.0.1", 80, 5), FoundAddress("10.0.0.2", 80, 9, True))


def test_weights_are_scaled_within_their_priority() -> None:
    services = (SrvRecord(10, 5, 80, "a"), SrvRecord(10, 3, 80, "b"), SrvRecord(20, 65535, 80, "c"))
    assert [service.weight for service in scale(services, 256)] == [5, 3, 256]


@pytest.mark.parametrize(
    ("weights", "scaled"),
    [([60, 40], [60, 40]), ([0, 0], [1, 1]), ([0, 10], [1, 10]), ([65535, 32767, 0], [256, 128, 1]), ([], [])],
)
def test_weights_of_services_keep_their_proportions(weights: list[int], scaled: list[int]) -> None:
    services = tuple(SrvRecord(10, weight, 80, "a.example") for weight in weights)
    assert [service.weight for service in scale(services, 256)] == scaled
