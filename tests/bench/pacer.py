"""Open-loop load: requests at times that were fixed beforehand, whatever becomes of the earlier ones.

The times are those of a Poisson process with a fixed seed, the same for each proxy. A request's latency counts from the
time when it was due, so one that had to wait for a free connection, or for a proxy that was stuck, pays for the wait:
nothing is omitted where the proxy slows its clients down. ``lag`` is how late the load itself noticed that a request
was due: latencies below it mean little.

`pacer.c` sends the requests, and is the server behind the proxy, too.
"""

from __future__ import annotations

import contextlib
import random
import subprocess
from array import array
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from tests.bench.processes import BenchError, free_port, running, tail

SOURCE = Path(__file__).with_suffix(".c")
SEED = 4711
PATIENCE = 5.0
"""Seconds after the last request is due within which answers still count."""
SETTLE = 0.5
"""Seconds at the beginning that are not recorded: connections, caches, processor clocks."""
UNANSWERED = -1.0
FAILED = -2.0


def schedule(rate: float, seconds: float) -> list[float]:
    """When requests are due, in seconds from the start: exponential gaps, always the same ones for a rate."""
    draw = random.Random(SEED).expovariate
    due = []
    now = draw(rate)
    while now < seconds:
        due.append(now)
        now += draw(rate)
    return due


def percentile(ordered: Sequence[float], share: float) -> float:
    """The value below which so large a share of the values lies."""
    return ordered[min(len(ordered) - 1, int(len(ordered) * share))] if ordered else 0.0


def built(directory: Path) -> Path:
    """The program, compiled when it is not there yet.

    :raises BenchError: there is no compiler, or it fails.
    """
    program = directory / "pacer"
    if not program.exists():
        command = ["cc", "-O2", "-Wall", "-Wextra", "-Werror", "-o", str(program), str(SOURCE)]
        try:
            subprocess.run(command, capture_output=True, text=True, check=True, timeout=60)
        except FileNotFoundError:
            raise BenchError("the bench needs a C compiler; on Debian: apt-get install gcc libc6-dev") from None
        except subprocess.CalledProcessError as error:
            raise BenchError(f"{SOURCE.name} does not compile:\n{error.stderr}") from None
    return program


@dataclass(frozen=True)
class Outcome:
    """What became of the requests of one load; times in seconds, in ascending order."""

    latencies: list[float]
    """Of those after `SETTLE`; those without an answer took at least until the end of patience."""
    lags: list[float]
    asked: int
    unanswered: int
    errors: int
    """Requests without a proper answer, and connections that were closed between two."""

    @property
    def answered(self) -> int:
        """How many had a proper answer."""
        return self.asked - self.unanswered - self.errors


def read(data: bytes, due: Sequence[float]) -> Outcome:
    """What the program has written about the requests that were due at these times."""
    values = array("d", data)
    count = len(due)
    latencies, lags, closed = values[:count], values[count : 2 * count], int(values[-1])
    longest = due[-1] + PATIENCE if due else 0.0
    recorded = [
        longest - when if latency < 0 else latency
        for when, latency in zip(due, latencies, strict=True)
        if when >= SETTLE
    ]
    failed = sum(latency == FAILED for latency in latencies)
    return Outcome(sorted(recorded), sorted(lags), count, latencies.count(UNANSWERED), failed + closed)


@dataclass
class Pacer:
    """The program, waiting to be let go: until then it only answers what it is asked on `port`."""

    port: int
    child: subprocess.Popen[bytes]
    due: list[float]
    result: Path
    log: Path
    seconds: float = field(init=False)

    def __post_init__(self) -> None:
        self.seconds = (self.due[-1] if self.due else 0.0) + PATIENCE

    def run(self) -> Outcome:
        """Let it send its requests, and wait for the end.

        :raises BenchError: it failed or did not end.
        """
        assert self.child.stdin is not None
        try:
            self.child.stdin.write(b"\n")
            self.child.stdin.close()
            status = self.child.wait(self.seconds + 30)
        except (OSError, subprocess.TimeoutExpired):
            raise BenchError(f"the open-loop load did not end:\n{tail(self.log)}") from None
        if status:
            raise BenchError(f"the open-loop load failed:\n{tail(self.log)}")
        return read(self.result.read_bytes(), self.due)


@contextlib.contextmanager
def waiting(
    program: Path, proxy: int, connections: int, start: str, rest: str, due: list[float], directory: Path,
    cores: Sequence[int],
) -> Iterator[Pacer]:  # fmt: skip
    """The program on these cores, before the proxy at a port.

    :param start: a request up to the number that makes its URL unique.
    :param rest: the request from there on.
    :raises BenchError: it did not start.
    """
    port, log, result = free_port(), directory / "pacer.log", directory / "latencies"
    request, times = directory / "request", directory / "due"
    request.write_bytes(start.encode() + b"\0" + rest.encode())
    times.write_bytes(array("d", due).tobytes())
    words = [program, port, proxy, connections, request, times, result]
    with running(list(map(str, words)), cores, log, port=port, stdin=subprocess.PIPE) as child:
        assert child.stdin is not None
        with child.stdin:
            yield Pacer(port, child, due, result, log)
