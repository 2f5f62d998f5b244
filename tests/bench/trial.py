"""One measurement: a proxy started afresh, its answer checked, warmed up, put to work, measured, ended."""

from __future__ import annotations

import contextlib
import dataclasses
import http.client
import json
import socket
import ssl
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.bench import certificate, footprint, idle, meter, pacer, pauses, rules, wrk
from tests.bench.figures import Sample
from tests.bench.jobs import CLOSED, FOOTPRINT, HANDSHAKE, IDLE, MESSAGES, PACED, TUNNEL, Contestant, Job
from tests.bench.machine import Cores
from tests.bench.processes import BenchError, free_port, running, tail
from tests.bench.proxies import PROXIES, Proxy, Site, started
from tests.bench.requests import HOST, Request
from tests.bench.upstream import Upstream

WARM_UP = 0.5
"""Seconds of the job's own load before it is measured."""
PACED_LONGER = 3
"""So many times as long is latency measured: one request in a hundred is soon held up by something else."""
IDLE_TIME = 2.0
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
    seconds: float
    certificate: Path
    """Of the proxies, with its key."""
    peak: float = 0.0
    """Requests per second that nginx can answer; unknown until it was measured."""


@dataclass(frozen=True)
class Trial:
    """A running proxy at its job."""

    stage: Stage
    job: Job
    request: Request
    site: Site
    pid: int
    cores: list[int]
    directory: Path
    pacer: pacer.Pacer | None = None
    """The server behind the proxy, and its load, where requests are paced."""
    answered_after: float = 0.0
    """Seconds between the start of the proxy and its first answer."""

    @property
    def port(self) -> int:
        """Where the proxy listens."""
        return self.site.port

    @property
    def context(self) -> ssl.SSLContext | None:
        """How clients trust the proxy, where they speak TLS."""
        return certificate.trusting(self.stage.certificate) if self.job.tls else None

    def load(self, seconds: float, connections: int = 0) -> wrk.Load:
        """Closed-loop load.

        :raises VoidError: an answer was wrong or a connection failed.
        """
        load = wrk.run(
            self.site.scheme,
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
    with (
        tempfile.TemporaryDirectory(prefix="trial-", dir=stage.directory) as name,
        running_trial(stage, job, contestant, PROXIES[contestant.proxy], Path(name)) as trial,
    ):
        return MEASURES[job.kind](trial)


@contextlib.contextmanager
def running_trial(stage: Stage, job: Job, contestant: Contestant, proxy: Proxy, directory: Path) -> Iterator[Trial]:
    """A proxy, started and checked, before the server that its job needs.

    :raises VoidError: it, or what is done with it, fails.
    """
    request = dataclasses.replace(job.request, hosts=contestant.hosts)
    cores = stage.cores.proxy if contestant.workers == 1 else stage.cores.pair
    with contextlib.ExitStack() as stack:
        try:
            port, load = free_port(), None
            if job.kind == PACED:
                due = pacer.schedule(stage.peak * job.share, pacer.SETTLE + PACED_LONGER * stage.seconds)
                load = stack.enter_context(
                    pacer.waiting(
                        pacer.built(stage.directory), port, job.connections, request.start, request.rest(HOST), due,
                        directory, stage.cores.load,
                    )
                )  # fmt: skip
            site = Site(
                load.port if load else _server(stage, job),
                port,
                contestant.hosts,
                request.login,
                contestant.workers,
                stage.certificate if job.tls else None,
                drops_root=job.kind == FOOTPRINT,
                rules=job.rules,
                records=contestant.records,
            )
            begun = time.monotonic()
            pid = stack.enter_context(started(proxy, site, directory, cores))
            trial = Trial(stage, job, request, site, pid, cores, directory, load)
            if job.kind != TUNNEL:
                check(trial)
            yield dataclasses.replace(trial, answered_after=time.monotonic() - begun)
        except (BenchError, OSError) as error:
            raise VoidError(f"{error} {tail(directory / 'stderr', 500)}".strip()) from None


def _server(stage: Stage, job: Job) -> int:
    if job.kind == TUNNEL:
        return stage.upstream.frames
    return stage.upstream.sink if job.reads_body else stage.upstream.answers


def check(trial: Trial) -> None:
    """Ask once and look at the answer closely.

    :raises VoidError: it is not what it should be.
    """
    request = trial.request
    status, body, head = _ask(trial, request.bytes(0))
    if status != 200 or len(body) != request.size:
        raise VoidError(f"answered {status} with {len(body)} bytes instead of {request.size}: {body[:100]!r}")
    if trial.job.rules and rules.SECURITY not in head:
        raise VoidError(f"answered without {rules.SECURITY}")
    if request.login:
        status, *_ = _ask(trial, dataclasses.replace(request, login=False).bytes(0))
        if status != 401:
            raise VoidError(f"answered {status} without a login")


def _ask(trial: Trial, raw: bytes) -> tuple[int, bytes, str]:
    """The status of an answer, its body, and the fields of its head, a line each."""
    plain = socket.create_connection(("127.0.0.1", trial.port), timeout=15)
    with trial.context.wrap_socket(plain, server_hostname=HOST) if trial.context else plain as sock:
        sock.sendall(raw)
        try:
            with http.client.HTTPResponse(sock, method=raw.split(b" ", 1)[0].decode()) as response:
                response.begin()
                return response.status, response.read(), str(response.headers)
        except http.client.HTTPException as error:
            raise VoidError(f"no proper answer: {error!r}") from None


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
    assert trial.pacer is not None
    watch = meter.Stopwatch(trial.pid, trial.cores)
    outcome = trial.pacer.run()
    spent = watch.read()
    if outcome.errors:
        raise VoidError(f"{outcome.errors} errors")
    return {
        "cpu_us": spent.cpu * 1e6 / max(1, outcome.answered),
        "rate": trial.stage.peak * trial.job.share,
        "p50_ms": pacer.percentile(outcome.latencies, 0.5) * 1e3,
        "p99_ms": pacer.percentile(outcome.latencies, 0.99) * 1e3,
        "p999_ms": pacer.percentile(outcome.latencies, 0.999) * 1e3,
        "lag_p99_ms": pacer.percentile(outcome.lags, 0.99) * 1e3,
        "lag_p999_ms": pacer.percentile(outcome.lags, 0.999) * 1e3,
        "unanswered": outcome.unanswered,
        **_company(spent, len(trial.cores)),
        **_sizes(meter.memory(trial.pid)),
    }


def handshakes(trial: Trial) -> Figures:
    """CPU a TLS connection with one request."""
    options = {
        "port": trial.port,
        "connections": trial.job.connections,
        "certificate": str(trial.stage.certificate),
        "start": trial.request.start,
        "rest": trial.request.rest(HOST),
        "resumes": trial.job.resumes,
    }
    output(trial, "tests.bench.handshakes", json.dumps({**options, "seconds": WARM_UP}))
    watch = meter.Stopwatch(trial.pid, trial.cores)
    result = output(trial, "tests.bench.handshakes", json.dumps({**options, "seconds": trial.stage.seconds}))
    spent = watch.read()
    count = result["requests"]
    if result["fault"] or not count:
        raise VoidError(result["fault"] or "no request was answered")
    # A thread that resumes sessions begins with a full handshake, which gives it the first one.
    if result["resumed"] != (count - result["first"] if trial.job.resumes else 0):
        raise VoidError(f"{result['resumed']} of {count} sessions were resumed")
    each = 1e6 / count
    return {
        "cpu_us": spent.cpu * each,
        "user_us": spent.user * each,
        "system_us": spent.system * each,
        "rate": count / result["duration"],
        **_company(spent, len(trial.cores)),
        **_sizes(meter.memory(trial.pid)),
    }


def pauses_of(stage: Stage, job: Job, contestant: Contestant, number: int) -> list[Sample]:
    """What a worker of l7 does beside requests, at full speed and with some idle connections: a sample a kind.

    :raises VoidError: it did not work as it should.
    """
    with tempfile.TemporaryDirectory(prefix="trial-", dir=stage.directory) as name:
        notes = Path(name) / "notes"
        l7 = PROXIES[contestant.proxy]
        observed = dataclasses.replace(l7, command=lambda where: pauses.command(notes, l7.command(where)))
        with running_trial(stage, job, contestant, observed, Path(name)) as trial:
            trial.load(WARM_UP)
            begun = time.monotonic()
            with idle.held(trial.port, pauses.IDLE_CONNECTIONS, trial.request):
                trial.load(stage.seconds)
                ended = time.monotonic()
        samples = pauses.samples_of(pauses.read(notes), begun, ended, job.name, contestant.label, number)
        if not samples:
            raise VoidError("the worker has noted nothing")
        return samples


def at_rest(trial: Trial) -> Figures:
    """Memory without traffic, and what the start cost, and a reload of l7."""
    l7 = (trial.directory / "l7.yml").exists()
    return footprint.measure(trial.pid, trial.answered_after, trial.directory, reloads=l7)


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


def output(trial: Trial, *words: str) -> dict[str, Any]:
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
    result: dict[str, Any] = json.loads(printed.read_text())
    return result


def idle_connections(trial: Trial) -> Figures:
    """Memory that each idle connection adds, and the CPU time of them all."""
    count = trial.job.connections
    trial.load(WARM_UP, connections=64)
    before = meter.memory(trial.pid)
    with idle.held(trial.port, count, trial.request, trial.context) as sockets:
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
    CLOSED: closed_loop, PACED: open_loop, HANDSHAKE: handshakes, TUNNEL: tunnels, IDLE: idle_connections,
    FOOTPRINT: at_rest,
}  # fmt: skip
