"""Request ids: which request of which worker it is, and then what tells it from all others."""

from __future__ import annotations

from l7.http.grammar import REQUEST_ID
from l7.workers.request_ids import RequestIds


def test_an_id_says_worker_and_number_and_ends_at_random() -> None:
    ids = RequestIds(0x1002)
    found = [ids.of(number) for number in range(1, 2001)]
    assert all(REQUEST_ID.fullmatch(one.encode()) and len(one) == 32 for one in found)
    assert [one[:12] for one in found] == [f"002{number:09x}" for number in range(1, 2001)]
    assert len({one[12:] for one in found}) == 2000
    assert len({one[-6:] for one in found}) > 1990


def test_ids_of_a_worker_that_begins_anew_are_others() -> None:
    one, two = RequestIds(2), RequestIds(2)
    assert {one.of(number)[12:] for number in range(500)}.isdisjoint({two.of(number)[12:] for number in range(500)})


def test_a_number_is_asked_for_in_any_order() -> None:
    ids = RequestIds(3)
    assert ids.of(5000)[:12] == f"003{5000:09x}"
    assert ids.of(1)[:12] == "003000000001"
    assert ids.of(1 << 36)[:12] == "003000000000"
