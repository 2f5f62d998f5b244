"""What is remembered is bounded, and what is used stays."""

from __future__ import annotations

import random

import pytest

from l7.workers.bounded_cache import BoundedCache


def test_what_was_set_is_found():
    cache: BoundedCache[str, int] = BoundedCache(4)
    assert cache.get("a") is None
    cache["a"] = 1
    cache["a"] = 2
    assert (cache.get("a"), len(cache)) == (2, 1)


@pytest.mark.parametrize("most", [1, 2, 3, 100])
def test_there_are_never_more_than_the_bound(most):
    cache: BoundedCache[int, int] = BoundedCache(most)
    chance = random.Random(most)
    for _ in range(5000):
        key = chance.randrange(3 * most)
        if chance.random() < 0.5:
            cache[key] = key
        else:
            assert cache.get(key) in (key, None)
        assert len(cache) <= max(2, most)


def test_what_is_used_stays_while_others_come_and_go():
    cache: BoundedCache[str, int] = BoundedCache(100)
    cache["used"] = 1
    for number in range(10_000):
        cache[f"once {number}"] = number
        if number % 40 == 0:
            assert cache.get("used") == 1
    assert cache.get("once 0") is None


def test_the_last_half_of_the_bound_is_there():
    cache: BoundedCache[int, int] = BoundedCache(100)
    for number in range(1234):
        cache[number] = number
        for back in range(min(number + 1, 50)):
            assert len(cache) <= 100
            assert number - back in cache._young or number - back in cache._old
