"""Quantiles of a histogram, beside what is right by definition."""

from __future__ import annotations

import random

import pytest

from l7.telemetry.quantiles import quantile

BOUNDS = (1.0, 2.0, 4.0, 8.0)


@pytest.mark.parametrize(
    ("counts", "share", "value"),
    [
        ((0, 0, 0, 0, 0), 0.5, None),
        ((10, 0, 0, 0, 0), 0.5, 0.5),
        ((0, 10, 0, 0, 0), 0.5, 1.5),
        ((5, 5, 0, 0, 0), 0.5, 1.0),
        ((1, 0, 0, 1, 0), 0.99, 7.92),
        ((0, 0, 1, 0, 0), 1.0, 4.0),
        ((0, 0, 1, 0, 0), 0.0, 2.0),
        ((0, 0, 0, 0, 7), 0.5, 8.0),  # above the last bound nothing is known but that
    ],
)
def test_values_within_a_bucket_are_interpolated(counts: tuple[int, ...], share: float, value: float | None) -> None:
    assert quantile(share, counts, BOUNDS) == (None if value is None else pytest.approx(value))


def test_it_lies_in_the_bucket_of_the_true_quantile() -> None:
    chance = random.Random(7)
    for _ in range(300):
        values = sorted(chance.uniform(0, 8) for _ in range(chance.randint(1, 40)))
        counts = [sum(low < value <= high for value in values) for low, high in zip((0, *BOUNDS), BOUNDS, strict=False)]
        share = chance.random()
        found = quantile(share, [*counts, 0], BOUNDS)
        true = values[max(0, -int(-share * len(values) // 1) - 1)]
        upper = next(bound for bound in BOUNDS if true <= bound)
        assert found is not None
        assert upper / 2 * (upper > 1) <= found <= upper
