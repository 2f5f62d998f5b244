"""The results: a line as each sample comes, tables at the end, and the same as reStructuredText and JSON."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass

from tests.bench import pauses
from tests.bench.figures import Sample, Spread, of, ratios, spread
from tests.bench.jobs import PAUSES, Contestant, Job
from tests.bench.proxies import PROXIES
from tests.bench.trial import IDLE_TIME

COLUMNS = {
    "cpu_us": "CPU µs/request",
    "user_us": "user",
    "system_us": "system",
    "cpu_ms_gib": "CPU ms/GiB",
    "user_ms_gib": "user",
    "system_ms_gib": "system",
    "mib_s": "MiB/s",
    "rate": "requests/s",
    "p50_ms": "p50 ms",
    "p99_ms": "p99 ms",
    "p999_ms": "p99.9 ms",
    "lag_p99_ms": "load's own lag, p99 ms",
    "lag_p999_ms": "load's own lag, p99.9 ms",
    "unanswered": "unanswered",
    "kb_each": "KB/connection",
    "rss_kb_each": "by RSS",
    "idle_cpu_ms": f"CPU ms in {IDLE_TIME:g} s",
    "each_us": "µs (median)",
    "longest_us": "µs at most",
    "per_second": "a second",
    "share_percent": "% of the time",
    "start_s": "s to the first answer",
    "start_cpu_s": "CPU s of the start",
    "reload_s": "s a reload",
    "reload_cpu_s": "CPU s of it",
    "rss_mib": "RSS MiB",
    "pss_mib": "PSS MiB",
    "master_mib": "master",
    "opener_mib": "opener",
    "worker_mib": "each worker",
    "monitor_mib": "monitor",
    "busy": "core busy",
}
"""Figure and heading, in the order of the columns."""

MISSES = "Where l7 costs more than the most that was aimed at:"
DISTURBED = 0.05
"""So much of the proxy's core taken by others is worth a word."""


@dataclass(frozen=True)
class Table:
    """A title, headings and rows of text."""

    title: str
    head: list[str]
    rows: list[list[str]]


@dataclass(frozen=True)
class Results:
    """All that was measured, and how."""

    jobs: list[Job]
    proxies: list[str]
    samples: list[Sample]
    machine: dict[str, str]
    date: str
    settings: str
    notes: list[str]


def number(value: float) -> str:
    """A figure with three digits that say something."""
    if abs(value) >= 100:
        return f"{value:,.0f}"
    return f"{value:.1f}" if abs(value) >= 10 else f"{value:.2f}"


def ranged(value: Spread | None) -> str:
    """A median with its range."""
    if value is None:
        return "-"
    middle = number(value.median)
    return middle if value.count == 1 else f"{middle} ({number(value.low)} to {number(value.high)})"


def title_of(contestant: Contestant) -> str:
    """What a contestant is called in tables."""
    more = contestant.label.removeprefix(contestant.proxy)
    return PROXIES[contestant.proxy].title + (f",{more.replace('10000', '10,000')}" if more else "")


def line(sample: Sample, rounds: int) -> str:
    """One sample, as it comes."""
    start = f"{sample.round}/{rounds}  {sample.job:<15}{sample.contestant:<27}"
    if sample.void:
        return f"{start}VOID: {sample.void}"
    words = [f"{COLUMNS[key]} {number(value)}" for key, value in sample.figures.items() if key in COLUMNS]
    return start + "  ".join(words[:7])


def pauses_table(results: Results, job: Job) -> Table:
    """What a worker does beside requests: medians over the rounds, but for the longest of all."""
    keys = ("each_us", "longest_us", "per_second", "share_percent")
    rows = []
    for key, title in pauses.TITLES.items():
        values = [spread(of(results.samples, job.name, f"l7 {key}", figure).values()) for figure in keys]
        if all(values):
            shown = [v.high if f == "longest_us" else v.median for f, v in zip(keys, values, strict=True) if v]
            rows.append([title, *map(number, shown)])
    return Table(job.title, ["", *(COLUMNS[key] for key in keys)], rows)


def job_table(results: Results, job: Job) -> Table:
    """Every contestant's figures at one job, as medians."""
    if job.kind == PAUSES:
        return pauses_table(results, job)
    contestants = job.contestants(results.proxies)
    keys = [key for key in COLUMNS if any(of(results.samples, job.name, each.label, key) for each in contestants)]
    bases = [each for each in contestants if not each.label.startswith("l7")] or contestants[:1]
    head = ["", *(COLUMNS[key] for key in keys), *(f"to {title_of(base)}" for base in bases)]
    rows = []
    for each in contestants:
        medians = [spread(of(results.samples, job.name, each.label, key).values()) for key in keys]
        cells = [number(median.median) if median else "-" for median in medians]
        compared = [
            ranged(ratios(results.samples, job.name, each.label, base.label, job.key)) if each != base else "1"
            for base in bases
        ]
        rows.append([title_of(each), *cells, *compared])
    return Table(job.title, head, rows)


def overview(results: Results) -> Table:
    """l7 at every job: what is compared, beside what is wanted."""
    rows = []
    for job in [job for job in results.jobs if job.kind != PAUSES]:
        contestants = job.contestants(results.proxies)
        for each in contestants:
            if each.proxy.startswith("l7") and (each != contestants[0] or job.absolute):
                rows.append(_overview_row(results, job, each, contestants[0]))
    rivals = [PROXIES[name].title for name in _rivals(results)]
    head = ["job", "", "compared", "to", "ratio", *(f"to {rival}" for rival in rivals), "goal", "least"]
    return Table("Overview", head, rows)


def shortfalls(results: Results) -> list[str]:
    """The jobs at which l7 costs more than the most that was aimed at, by the median."""
    said = []
    for job in results.jobs:
        contestants = job.contestants(results.proxies)
        for each in contestants:
            value = _compared(results, job, each, contestants[0])
            _, least = _bounds(job, each)
            if least is not None and value and value.median > least:
                unit = COLUMNS[job.key] if job.absolute else f"of {title_of(contestants[0])}"
                said.append(f"{job.title}: {ranged(value)} {unit}, at most {number(least)}")
    return said


def _compared(results: Results, job: Job, each: Contestant, base: Contestant) -> Spread | None:
    """The figure that is compared: a ratio to *base*, unless it is absolute."""
    if job.absolute:
        return spread(of(results.samples, job.name, each.label, job.key).values())
    return ratios(results.samples, job.name, each.label, base.label, job.key) if each != base else None


def _overview_row(results: Results, job: Job, each: Contestant, base: Contestant) -> list[str]:
    against = "" if job.absolute else title_of(base)
    value = _compared(results, job, each, base)
    rivals = [ratios(results.samples, job.name, each.label, rival, job.key) for rival in _rivals(results)]
    wanted = [number(bound) if bound is not None else "" for bound in _bounds(job, each)]
    return [job.title, title_of(each), COLUMNS[job.key], against, ranged(value), *map(ranged, rivals), *wanted]


def _bounds(job: Job, each: Contestant) -> tuple[float | None, float | None]:
    ours = each.proxy == "l7" and not (job.absolute and each != Contestant("l7"))
    return (job.goal, job.least) if ours else (None, None)


def _rivals(results: Results) -> list[str]:
    return [name for name in ("haproxy", "caddy") if name in results.proxies]


def remarks(results: Results) -> list[str]:
    """What a reader has to know of these rounds."""
    said = list(results.notes)
    voids = [sample for sample in results.samples if sample.void]
    said += [f"void: {v.job}, {v.contestant}, round {v.round}: {' '.join(v.void.split())[:300]}" for v in voids]
    disturbed = spread(sample.figures["foreign"] for sample in results.samples if "foreign" in sample.figures)
    if disturbed and disturbed.high > DISTURBED:
        said.append(
            f"other processes took {disturbed.median:.0%} of the proxy's cores (median), {disturbed.high:.0%} at worst"
        )
    return said


def tables(results: Results) -> list[Table]:
    """The overview and one table a job."""
    return [overview(results), *(job_table(results, job) for job in results.jobs if job.contestants(results.proxies))]


def text(results: Results) -> str:
    """Everything, for a terminal."""
    lines = [f"{name}: {value}" for name, value in results.machine.items()]
    lines += [f"date: {results.date}", results.settings, *remarks(results)]
    lines += ["", MISSES, *(shortfalls(results) or ["none"])]
    for table in tables(results):
        lines += ["", table.title, *_columns([table.head, *table.rows])]
    return "\n".join(lines) + "\n"


def _columns(rows: list[list[str]]) -> list[str]:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]


def rst(results: Results) -> str:
    """Everything, for the documentation."""
    lines = [".. Written by the bench: run `make bench` to write it anew, do not edit it.", ""]
    lines += [f":{name}: {value}" for name, value in (*results.machine.items(), ("date", results.date))]
    lines += ["", results.settings, ""]
    lines += [f"- {remark}" for remark in remarks(results)]
    lines += ["", MISSES, "", *(f"- {one}" for one in shortfalls(results) or ["none"])]
    for table in tables(results):
        lines += ["", table.title, "^" * len(table.title), "", ".. list-table::", "   :header-rows: 1", ""]
        for row in (table.head, *table.rows):
            lines += [f"   {'-' if index else '* -'} {cell}".rstrip() for index, cell in enumerate(row)]
            lines[-len(row) + 1 :] = ["  " + one for one in lines[-len(row) + 1 :]]
    return "\n".join(lines) + "\n"


def as_json(results: Results) -> str:
    """Every sample, for programs."""
    return json.dumps(
        {
            "machine": results.machine,
            "date": results.date,
            "settings": results.settings,
            "remarks": remarks(results),
            "samples": [asdict(sample) for sample in results.samples],
        },
        indent=1,
    )
