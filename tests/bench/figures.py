"""Samples and what is made of them: medians with their range, and ratios taken within a round."""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Sample:
    """One measurement of one contestant in one round; ``void`` says why it does not count."""

    job: str
    contestant: str
    round: int
    figures: dict[str, float] = field(default_factory=dict)
    void: str = ""


@dataclass(frozen=True)
class Spread:
    """A median and the range around it."""

    median: float
    low: float
    high: float
    count: int


def spread(values: Iterable[float]) -> Spread | None:
    """The median and the range of some values; None when there are none."""
    listed = list(values)
    if not listed:
        return None
    return Spread(statistics.median(listed), min(listed), max(listed), len(listed))


def of(samples: Sequence[Sample], job: str, contestant: str, key: str) -> dict[int, float]:
    """One figure of one contestant at one job, by round; void rounds and missing figures are left out."""
    return {
        sample.round: sample.figures[key]
        for sample in samples
        if (sample.job, sample.contestant) == (job, contestant) and not sample.void and key in sample.figures
    }


def ratios(samples: Sequence[Sample], job: str, contestant: str, base: str, key: str) -> Spread | None:
    """A contestant's figure over that of another in the same round, over all rounds in which both count."""
    ours = of(samples, job, contestant, key)
    theirs = of(samples, job, base, key)
    return spread(ours[number] / theirs[number] for number in ours if theirs.get(number))
