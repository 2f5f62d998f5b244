"""One measurement: a proxy started afresh, its answer checked, warmed up, put to work, measured, ended."""

from __future__ import annotations

import dataclasses
import http.client
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from tests.bench import idle, meter, wrk
from tests.bench.jobs import CLOSED, IDLE, MESSAGES, PACED, TUNNEL, Contestant, Job
from tests.bench.machine import Cores
from tests.bench.processes import BenchError, running, tail
from tests.bench.proxies import PROXIES, site_for, started
from tests.bench.requests import HOST, Request
from tests.bench.upstream import Upstream

WARM_UP = 1
"""Seconds of the job's own load before it is measured."""
PACED_LONGER = 3
"""So many times as long is latency measured: one request in a hundred is soon held up by something else."""
IDLE_TIME = 5.0
"""Seconds for which the CPU time of idle connections is measured."""
GIB = 2**30
MIB = 2**20

Figures = dict[str, float]


class VoidError(Exception):
    """The measurement does not count, and why."""


@dataclass(frozen=True)
class Stage:
    """What all measurements share."""

    upstream: Upstream
    cores: Cores
    directory: Path
    seconds: int
    rate: float = 0.0
    """Requests per second of the paced jobs."""


@dataclass(frozen=True)
class Trial:
    """A running proxy at its job."""

    stage: Stage
    job: Job
    request: Request
    port: int
    pid: int
    cores: list[int]
    directory: Path

    def load(self, seconds: int, connections: int = 0) -> wrk.Load:
        """Closed-loop load.

        :raises VoidError: an answer was wrong or a connection failed.
        """
        load = wrk.run(
            self.port,
            self.request,
            connections or self.job.connections,
            seconds,
            self.stage.cores.load,
            self.directory,
        )
        if fault := load.fault(self.request):
            raise VoidError(fault)
        return load


def measure(stage: Stage, job: Job, contestant: Contestant) -> Figures:
    """Measure one contestant at one job.

    :raises VoidError: it did not work as it should, so that what it cost means nothing.
    """
    proxy = PROXIES[contestant.proxy]
    request = dataclasses.replace(job.request, hosts=contestant.hosts)
    port = stage.upstream.sink if job.reads_body else stage.upstream.answers
    port = stage.upstream.frames if job.kind == TUNNEL else port
    site = site_for(port, hosts=contestant.hosts, login=request.login, workers=contestant.workers)
    cores = stage.cores.proxy if contestant.workers == 1 else stage.cores.pair
    with tempfile.TemporaryDirectory(prefix="trial-", dir=stage.directory) as name:
        directory = Path(name)
        try:
            with started(proxy, site, directory, cores) as pid:
                if job.kind != TUNNEL:
                    check(site.port, request)
                return MEASURES[job.kind](Trial(stage, job, request, site.port, pid, cores, directory))
        except (BenchError, OSError) as error:
            raise VoidError(f"{error} {tail(directory / 'stderr', 500)}".strip()) from None


def check(port: int, request: Request) -> None:
    """Ask once and look at the answer closely.

    :raises VoidError: it is not what it should be.
    """
    status, body = _ask(port, request.bytes(0))
    if status != 200 or len(body) != request.size:
        raise VoidError(f"answered {status} with {len(body)} bytes instead of {request.size}: {body[:100]!r}")
    if request.login:
        status, _ = _ask(port, dataclasses.replace(request, login=False).bytes(0))
        if status != 401:
            raise VoidError(f"answered {status} without a login")


def _ask(port: int, raw: bytes) -> tuple[int, bytes]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=15)
    connection.connect()
    assert connection.sock is not None
    try:
        connection.sock.sendall(raw)
        with http.client.HTTPResponse(connection.sock, method=raw.split(b" ", 1)[0].decode()) as response:
            response.begin()
            return response.status, response.read()
    except http.client.HTTPException as error:
        raise VoidError(f"no proper answer: {error!r}") from None
    finally:
        connection.close()


def closed_loop(trial: Trial) -> Figures:
    """CPU per request, or per GiB, at full speed."""
    trial.load(WARM_UP)
    watch = meter.Stopwatch(trial.pid, trial.cores)
    load = trial.load(trial.stage.seconds)
    spent = watch.read()
    memory = meter.memory(trial.pid)
    return {
        **_cost(spent, trial.job, load),
        "rate": load.requests / load.duration,
        "p50_ms": load.p50 * 1e3,
        "p99_ms": load.p99 * 1e3,
        **_company(spent, len(trial.cores)),
        **_sizes(memory),
    }


def _cost(spent: meter.Spent, job: Job, load: wrk.Load) -> Figures:
    if not job.volume:
        each = 1e6 / load.requests
        return {"cpu_us": spent.cpu * each, "user_us": spent.user * each, "system_us": spent.system * each}
    # wrk counts the bytes that it received, also of answers that were not complete at the end, but not what it sent.
    moved = load.requests * job.volume if job.request.body else load.bytes
    each = 1e3 * GIB / moved
    figures = {"cpu_ms_gib": spent.cpu * each, "user_ms_gib": spent.user * each, "system_ms_gib": spent.system * each}
    return {**figures, "mib_s": moved / MIB / load.duration}


def _company(spent: meter.Spent, cores: int) -> Figures:
    return {"busy": spent.cpu / spent.wall / cores, "foreign": spent.foreign / spent.wall / cores}


def _sizes(memory: meter.Memory) -> Figures:
    return {"rss_mib": memory.rss / MIB, "pss_mib": memory.pss / MIB}


def open_loop(trial: Trial) -> Figures:
    """Latency at a given rate."""
    trial.load(WARM_UP)
    options = {
        "port": trial.port,
        "rate": trial.stage.rate,
        "seconds": PACED_LONGER * trial.stage.seconds,
        "connections": trial.job.connections,
        "start": trial.request.start,
        "rest": trial.request.rest(HOST),
    }
    watch = meter.Stopwatch(trial.pid, trial.cores)
    result = output(trial, "tests.bench.pacer", json.dumps(options))
    spent = watch.read()
    if result["errors"]:
        raise VoidError(f"{result['errors']:.0f} errors")
    times = {f"{name}_ms": result[name] * 1e3 for name in ("p50", "p99", "lag_p50", "lag_p99")}
    return {
        "cpu_us": spent.cpu * 1e6 / max(1.0, result["requests"]),
        "rate": trial.stage.rate,
        **times,
        "unanswered": result["unanswered"],
        **_company(spent, len(trial.cores)),
        **_sizes(meter.memory(trial.pid)),
    }


def tunnels(trial: Trial) -> Figures:
    """CPU a message and its echo through upgraded connections."""
    options = {"port": trial.port, "connections": trial.job.connections, "rate": MESSAGES, "seconds": WARM_UP}
    output(trial, "tests.bench.frames", "load", json.dumps(options))
    watch = meter.Stopwatch(trial.pid, trial.cores)
    result = output(trial, "tests.bench.frames", "load", json.dumps({**options, "seconds": trial.stage.seconds}))
    spent = watch.read()
    if result["missing"] or not result["messages"]:
        raise VoidError(f"{result['missing']:.0f} of {result['messages']:.0f} messages are missing")
    each = 1e6 / result["messages"]
    return {
        "cpu_us": spent.cpu * each,
        "user_us": spent.user * each,
        "system_us": spent.system * each,
        "rate": result["messages"] / result["duration"],
        **_company(spent, len(trial.cores)),
        **_sizes(meter.memory(trial.pid)),
    }


def output(trial: Trial, *words: str) -> Figures:
    """What a module of ours that makes load prints, run with these words.

    :raises BenchError: it failed or did not end.
    """
    command = [sys.executable, "-m", *words]
    log = trial.directory / "load.log"
    printed = trial.directory / "load.json"
    with printed.open("wb") as stdout, running(command, trial.stage.cores.load, log, stdout=stdout) as child:
        try:
            status = child.wait(120)
        except subprocess.TimeoutExpired:
            raise BenchError(f"{words[0]} did not end") from None
    if status:
        raise BenchError(f"{words[0]} failed:\n{tail(log)}")
    result: Figures = json.loads(printed.read_text())
    return result


def idle_connections(trial: Trial) -> Figures:
    """Memory that each idle connection adds, and the CPU time of them all."""
    count = trial.job.connections
    trial.load(WARM_UP, connections=64)
    before = meter.memory(trial.pid)
    with idle.held(trial.port, count, trial.request) as sockets:
        time.sleep(0.5)  # whatever an answer leaves to be done later
        after = meter.memory(trial.pid)
        watch = meter.Stopwatch(trial.pid, trial.cores)
        time.sleep(IDLE_TIME)
        spent = watch.read()
        if gone := idle.closed(sockets):
            raise VoidError(f"{gone} of {count} idle connections were closed")
    return {
        "kb_each": (after.pss - before.pss) / count / 1024,
        "rss_kb_each": (after.rss - before.rss) / count / 1024,
        "idle_cpu_ms": spent.cpu * 1e3,
        "foreign": spent.foreign / spent.wall / len(trial.cores),
        **_sizes(after),
    }


MEASURES: dict[str, Callable[[Trial], Figures]] = {
    CLOSED: closed_loop, PACED: open_loop, TUNNEL: tunnels, IDLE: idle_connections,
}  # fmt: skip
