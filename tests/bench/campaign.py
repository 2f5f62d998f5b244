"""Rounds of measurements: in each, every contestant of every job once, in another order every time."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Iterator, Sequence

from tests.bench.figures import Sample, of, spread
from tests.bench.jobs import FOOTPRINT, IDLE, JOBS, ONCE, PACED, PAUSES, Contestant, Job
from tests.bench.processes import BenchError
from tests.bench.trial import IDLE_TIME, PACED_LONGER, WARM_UP, Stage, VoidError, measure, pauses_of

PEAK = JOBS["small-get"]


def run(stage: Stage, jobs: Sequence[Job], proxies: list[str], rounds: int) -> Iterator[Sample]:
    """Measure, and give each sample as it comes. What is paced needs nginx's peak rate: it is measured where unknown.

    :raises BenchError: that rate could not be measured.
    """
    samples: list[Sample] = []
    for number in range(1, rounds + 1):
        for job in [job for job in jobs if job.kind not in ONCE or number == 1]:
            if job.kind == PACED and not stage.peak:
                stage = dataclasses.replace(stage, peak=peak(stage, samples))
            for contestant in in_turn(job.contestants(proxies), number):
                some = sampled(stage, job, contestant, number)
                samples += some
                yield from some


def in_turn(contestants: list[Contestant], number: int) -> list[Contestant]:
    """The contestants, beginning with another one in each round."""
    if not contestants:
        return []
    first = (number - 1) % len(contestants)
    return contestants[first:] + contestants[:first]


def sampled(stage: Stage, job: Job, contestant: Contestant, number: int) -> list[Sample]:
    """What one measurement gives, which is void where it failed."""
    try:
        if job.kind == PAUSES:
            return pauses_of(stage, job, contestant, number)
        return [Sample(job.name, contestant.label, number, measure(stage, job, contestant))]
    except VoidError as error:
        return [Sample(job.name, contestant.label, number, void=str(error))]


def peak(stage: Stage, samples: Sequence[Sample]) -> float:
    """nginx's requests per second at full speed: of the samples, or measured now.

    :raises BenchError: it could not be measured.
    """
    known = spread(of(samples, PEAK.name, "nginx", "rate").values())
    if known:
        return known.median
    (sample,) = sampled(stage, PEAK, Contestant("nginx"), 0)
    if sample.void:
        raise BenchError(f"nginx's peak rate could not be measured: {sample.void}")
    return sample.figures["rate"]


def estimate(jobs: Sequence[Job], proxies: list[str], rounds: int, seconds: float) -> float:
    """About how long it will take, in seconds."""
    lasts = {IDLE: IDLE_TIME + 3, PACED: PACED_LONGER * seconds, FOOTPRINT: 4}
    around = WARM_UP + 0.7  # starting, checking and ending a proxy
    each = {job: len(job.contestants(proxies)) * (lasts.get(job.kind, seconds) + around) for job in jobs}
    return sum(taken * (1 if job.kind in ONCE else rounds) for job, taken in each.items())


def now() -> str:
    """The date, for the record."""
    return time.strftime("%Y-%m-%d")
