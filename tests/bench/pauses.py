"""What a worker does beside requests, for how long and how often: each keeps the requests that come meanwhile waiting.

``python -m tests.bench.pauses FILE ARGUMENT...`` is l7 with these arguments, whose workers note when each of their
periodic tasks, each collection of garbage and each batch of the log began and how long it took, and write that to FILE
when they end. Everything is the real worker's, at its own times, under whatever load it has, but for two: the sweep is
a second one beside its own, which cannot be watched from outside, and all objects are looked at for garbage once a
second, which else would happen too seldom to be seen.

A task of the loop keeps all requests of its worker waiting, at most for its own length; so does a collection. A batch
of the log is written by a thread beside the loop: its CPU time is noted, which is taken from requests where both have
one core.
"""

from __future__ import annotations

import gc
import json
import os
import sys
import time
from array import array
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from tests.bench.figures import Sample

TITLES = {
    "beat": "heartbeat: counts and lag on the scoreboard",
    "tick": "tick: lines of the log to its thread, counts on the scoreboard",
    "board": "look at what other processes found out about servers",
    "sweep": "sweep: the deadlines of all connections",
    "trim": "pipes that large bodies went through closed",
    "other": "other tasks at fixed intervals",
    "gc-0": "collection of garbage, youngest objects",
    "gc-1": "collection of garbage, those that one outlived",
    "gc-2": "collection of garbage, all objects, asked for each second",
    "log": "batch of the log, by the thread beside the loop",
}
"""Key and title, in the order of the report."""
IDLE_CONNECTIONS = 1000
"""Opened and kept beside the load, so that there is something to sweep and to collect."""
COLLECT_ALL = 1.0
"""Seconds between two collections of all garbage."""


@dataclass(frozen=True)
class Event:
    """Something that took its time; when it began by the monotonic clock, and how long it lasted, in seconds."""

    key: str
    began: float
    lasted: float


def command(path: Path, l7: list[str]) -> list[str]:
    """How l7 is started so that its workers write their events to a file, from how it is started else."""
    python, _, _, *arguments = l7
    return [python, "-m", "tests.bench.pauses", str(path), *arguments]


def samples_of(events: list[Event], begun: float, ended: float, job: str, contestant: str, number: int) -> list[Sample]:
    """What happened between two moments, one sample a kind."""
    samples = []
    for key in TITLES:
        lasted = sorted(one.lasted for one in events if one.key == key and begun <= one.began < ended)
        if lasted:
            figures = {
                "each_us": lasted[len(lasted) // 2] * 1e6,
                "longest_us": lasted[-1] * 1e6,
                "per_second": len(lasted) / (ended - begun),
                "share_percent": sum(lasted) / (ended - begun) * 100,
            }
            samples.append(Sample(job, f"{contestant} {key}", number, figures))
    return samples


def read(path: Path) -> list[Event]:
    """The events that workers have written to a file."""
    return [Event(*json.loads(line)) for line in path.read_text().splitlines()] if path.exists() else []


class Notes:
    """What happened in one process so far: two numbers each, so that noting costs little and makes no garbage."""

    def __init__(self) -> None:
        self._of: dict[str, array[float]] = {key: array("d") for key in TITLES}
        self._collection = 0.0
        self._written = 0.0

    def timed(self, key: str, call: Callable[[], None]) -> Callable[[], None]:
        """The same call, noted."""

        def noted() -> None:
            began = time.monotonic()
            call()
            self.note(key, began, time.monotonic() - began)

        return noted

    def note(self, key: str, began: float, lasted: float) -> None:
        """Note what took so long."""
        self._of[key].extend((began, lasted))

    def collecting(self, phase: str, info: dict[str, int]) -> None:
        """Note a collection: called by the interpreter when one begins and when it ends."""
        if phase == "start":
            self._collection = time.monotonic()
        else:
            self.note(f"gc-{info['generation']}", self._collection, time.monotonic() - self._collection)

    def batch(self) -> None:
        """Note the CPU time of this thread since the last batch: called by the log's thread at the end of one."""
        spent = time.thread_time()
        self.note("log", time.monotonic(), spent - self._written)
        self._written = spent

    def write(self, path: Path) -> None:
        """Append all to a file, a line an event."""
        lines = [
            json.dumps([key, values[place], values[place + 1]])
            for key, values in self._of.items()
            for place in range(0, len(values), 2)
        ]
        with path.open("a") as file:
            file.write("".join(f"{line}\n" for line in lines))


def observe(path: Path) -> None:
    """Have the workers that are started from now on note what they do."""
    from l7.telemetry.shared_output import SharedOutput
    from l7.workers import process
    from l7.workers.runtime.child_process import LoopTimers

    notes = Notes()
    keys = {"beat": "beat", "_tick": "tick", "trim": "trim", "sweep": "sweep"}
    write_all = SharedOutput.write

    def collect() -> None:
        gc.collect()

    def write(*arguments):
        result = write_all(*arguments)
        notes.batch()
        return result

    class ObservedTimers(LoopTimers):
        def every(self, seconds: float, call: Callable[[], None]) -> None:
            super().every(seconds, call if call is collect else notes.timed(keys.get(call.__name__, "other"), call))

    class ObservedWorker(process.Worker):
        def run(self) -> int:
            gc.callbacks.append(notes.collecting)
            self._timers = ObservedTimers()
            self._timers.every(self._sweeper.interval, self._sweeper.sweep)
            self._timers.every(COLLECT_ALL, collect)
            status = super().run()
            notes.write(path)
            return status

        def _look_at_servers(self) -> None:
            if not self._look.active:
                self._look.start(notes.timed("board", self._proxy.upstreams.tick))

    SharedOutput.write = write
    process.Worker = ObservedWorker


if __name__ == "__main__":
    observe(Path(os.path.abspath(sys.argv.pop(1))))
    from l7.__main__ import main

    sys.exit(main())
