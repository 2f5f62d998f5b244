"""What the tests of the recorder have in common: a memory, its writers, and requests to be recorded."""

from __future__ import annotations

from typing import Any

from l7.clock import monotonic
from l7.config.schema import Config
from l7.errors import Kind, ProxyError
from l7.exchange import Exchange
from l7.telemetry.recorder.memory import RecorderMemory, RecorderView
from l7.telemetry.recorder.reader import RecorderReader
from l7.telemetry.recorder.writer import Recorder


def memory(lanes: int = 1) -> RecorderMemory:
    """A memory with so many lanes."""
    made = RecorderMemory()
    made.open(lanes - 1)
    return made


def config(**settings: Any) -> Config:
    """A configuration with these settings of the recorder, and a few routes."""
    backends = {
        "a.com": {"servers": ["10.0.0.1:80"], "balance": "hash", "hash-key": "header:x-user"},
        "a.com/api": {"servers": ["10.0.0.1:80"]},
    }
    return Config.model_validate({"recorder": settings, "backends": backends})


def writer(where: RecorderMemory, lane: int = 0, workers: int = 1, generation: int = 1, **settings: Any) -> Recorder:
    """What writes a lane."""
    made = config(**settings)
    assert made.recorder is not None
    return Recorder(where.lane(lane), made.recorder, made.backends, generation, lane + 1, workers)


def reader(where: RecorderMemory) -> RecorderReader:
    """What reads all of it."""
    return RecorderReader(RecorderView(where.descriptor))


def exchange(request_id: str = "1" * 32, line: bytes = b"GET / HTTP/1.1", **known: Any) -> Exchange:
    """A request that begins now."""
    made = Exchange(known.pop("client", "192.0.2.1"), monotonic())
    made.request_id = request_id
    made.request_line = line
    made.host = "a.com"
    for name, value in known.items():
        setattr(made, name, value)
    return made


def record(to: Recorder, made: Exchange, status: int = 200, kind: Kind | None = None, detail: str = "") -> Exchange:
    """Record a request from its beginning to its end, with one attempt."""
    to.begin(made)
    made.route, made.queue_time = "a.com/api", 0.0
    made.attempts = 1
    to.attempt(made, "10.0.0.1:80", 0, 1, 1)
    made.connect_time, made.response_time, made.total_time, made.status = 0.001, 0.002, 0.005, status
    if kind is not None:
        made.failure = ProxyError(kind, detail)
        made.status, made.code = kind.logged, kind.code
    to.finish(made)
    return made
