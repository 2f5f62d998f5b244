"""Quantiles of a histogram: how long the slowest of so many requests took, as far as its buckets tell."""

from __future__ import annotations

from collections.abc import Sequence


def quantile(share: float, counts: Sequence[int], bounds: Sequence[float]) -> float | None:
    """The value below which ``share`` (0 to 1) of all counts are; None where there are none.

    It is interpolated within a bucket, as Prometheus' ``histogram_quantile`` does. What is above the last bound is
    known only to be above it, so the bound itself is returned.

    :param counts: how many there are in each bucket, not cumulative: one more than there are bounds.
    :param bounds: the upper bounds, in ascending order; the lowest bucket begins at 0.
    """
    total = sum(counts)
    if total <= 0:
        return None
    rank, below, lower = share * total, 0, 0.0
    for count, upper in zip(counts, bounds, strict=False):
        if count > 0 and below + count >= rank:
            return lower + (upper - lower) * max(rank - below, 0.0) / count
        below += count
        lower = upper
    return lower
