"""``python -m tests.bench``: read the options, measure, print."""

from __future__ import annotations

import argparse
import os
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Iterable
from pathlib import Path
from types import FrameType

from tests.bench import campaign, certificate, idle, machine, packages, report, upstream
from tests.bench.jobs import IDLE, JOBS, Job
from tests.bench.machine import Cores
from tests.bench.processes import BenchError
from tests.bench.proxies import PROXIES
from tests.bench.report import Results
from tests.bench.trial import Stage

ROUNDS, SECONDS = 5, 3
LEAST_SECONDS = 0.5
SPARE_FILES = 500


def options(words: list[str] | None = None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench", description="l7 beside nginx, HAProxy and Caddy.")
    parser.add_argument("--rounds", type=int, help=f"how often everything is measured (default: {ROUNDS})")
    parser.add_argument("--seconds", type=float, help=f"how long each measurement takes (default: {SECONDS})")
    parser.add_argument("--quick", action="store_true", help="one round of one second each: to see that it works")
    parser.add_argument("--jobs", type=_names(JOBS), default=list(JOBS), metavar="NAME,...", help=", ".join(JOBS))
    parser.add_argument("--proxies", type=_names(PROXIES), metavar="NAME,...", help=", ".join(PROXIES))
    parser.add_argument("--json", type=Path, metavar="FILE", help="write every sample there")
    parser.add_argument("--rst", type=Path, metavar="FILE", help="write the tables there, for the documentation")
    parsed = parser.parse_args(words)
    parsed.rounds = parsed.rounds or (1 if parsed.quick else ROUNDS)
    parsed.seconds = parsed.seconds or (1 if parsed.quick else SECONDS)
    if parsed.rounds < 1 or parsed.seconds < LEAST_SECONDS:
        parser.error(f"--rounds is at least 1, --seconds at least {LEAST_SECONDS:g}")
    for path in (parsed.json, parsed.rst):
        if path and not path.parent.is_dir():
            parser.error(f"{path}: there is no such directory")
    return parsed


def _names(known: Iterable[str]):
    def read(text: str) -> list[str]:
        names = [name.strip() for name in text.split(",")]
        if unknown := [name for name in names if name not in known]:
            raise argparse.ArgumentTypeError(f"{', '.join(unknown)}: not one of {', '.join(known)}")
        return names

    return read


def choose(asked: list[str] | None, compiled: bool, caddy: bool) -> tuple[list[str], list[str]]:
    """The proxies to measure, and what to say about those that are not.

    :raises BenchError: one was asked for by name and is not there.
    """
    absent = {}
    if not compiled:
        absent["l7"] = "l7 is not compiled here: build it, or ask for l7-pure"
    if not caddy:
        absent["caddy"] = "Caddy is not installed here: on Debian, apt-get install caddy"
    if wanted := [words for name, words in absent.items() if asked and name in asked]:
        raise BenchError("; ".join(wanted))
    return [name for name in asked or PROXIES if name not in absent], [] if asked else list(absent.values())


def feasible(jobs: list[Job], cores: Cores, files: int) -> tuple[list[Job], list[str]]:
    """The jobs that can be done on this machine, and what to say about the others."""
    notes = []
    done = []
    for job in jobs:
        if job.kind == IDLE and files < job.connections + SPARE_FILES:
            notes.append(f"{job.title}: left out, only {files} files may be open (ulimit -Hn)")
            continue
        if job.workers > 1 and not cores.apart:
            notes.append(f"{job.title}: left out, the second worker would share its core with the load")
            continue
        done.append(job)
    return done, notes


def run(parsed: argparse.Namespace) -> Results:
    """Measure what was asked for.

    :raises BenchError: it cannot be done here.
    """
    packages.require()
    cores, described = machine.cores(), machine.description()
    proxies, notes = choose(parsed.proxies, machine.l7_is_compiled(), shutil.which("caddy") is not None)
    jobs, more = feasible([JOBS[name] for name in parsed.jobs], cores, idle.raise_file_limit())
    seconds = campaign.estimate(jobs, proxies, parsed.rounds, parsed.seconds)
    print(f"{len(jobs)} jobs, {parsed.rounds} times: about {seconds / 60:.0f} minutes", flush=True)
    samples = []
    directory = Path(tempfile.mkdtemp(prefix="l7-bench-"))
    try:
        os.sched_setaffinity(0, cores.load)
        with upstream.serving(directory, cores.load) as servers:
            stage = Stage(servers, cores, directory, parsed.seconds, certificate.make(directory))
            for sample in campaign.run(stage, jobs, proxies, parsed.rounds):
                samples.append(sample)
                print(report.line(sample, parsed.rounds), flush=True)
    finally:
        shutil.rmtree(directory, ignore_errors=True)
    settings = (
        f"{parsed.rounds} round{'s' * (parsed.rounds > 1)} of {parsed.seconds:g} s; "
        f"proxies on core {_list(cores.proxy)}, load and servers on {_list(cores.load)}."
    )
    return Results(jobs, proxies, samples, described, campaign.now(), settings, [*notes, *more])


def _list(cores: list[int]) -> str:
    return ", ".join(map(str, cores))


def _stop(number: int, frame: FrameType | None) -> None:
    raise SystemExit(128 + number)


def main() -> int:
    """Measure and print; 1 when it could not be done or a measurement is void."""
    parsed = options()
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, _stop)
    begun = time.monotonic()
    try:
        results = run(parsed)
    except BenchError as error:
        print(f"bench: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    print(f"\n{report.text(results)}\n{(time.monotonic() - begun) / 60:.1f} minutes")
    if parsed.json:
        parsed.json.write_text(report.as_json(results))
    if parsed.rst:
        parsed.rst.write_text(report.rst(results))
    return int(any(sample.void for sample in results.samples))


if __name__ == "__main__":
    sys.exit(main())
