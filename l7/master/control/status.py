"""The answer to ``l7 status``: every worker and the running configuration, as a JSON object."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from datetime import datetime, timezone
from typing import Any

from l7.clock import monotonic
from l7.config.schema import Config
from l7.master.children.handle import ChildProcess
from l7.master.state.shared_state import SharedMemoryOwner
from l7.master.supervision.state import ChildRecord, SupervisorState
from l7.sharedmem.counters import CounterWriter
from l7.sharedmem.layout import REFUSED, RULES, place
from l7.sharedmem.master_gauges import IDLE_CLOSED, WAITED
from l7.sharedmem.memory import OF_MASTER, UNROUTED
from l7.sharedmem.scoreboard import (
    BEAT,
    BEAT_INTERVAL,
    CONNECTIONS,
    IN_FLIGHT,
    LAG,
    PLACES,
    RATE,
    RELAYED,
    REQUESTS,
    Scoreboard,
)


def workers(
    state: SupervisorState, handles: Mapping[int, ChildProcess], scoreboard: Scoreboard
) -> list[dict[str, Any]]:
    """One entry for each worker, draining ones too; a worker's counts are at most 0.25 s old."""
    order = sorted(state.workers, key=lambda worker: (-worker.generation, worker.index, worker.slot))
    return [_entry(one, handles[one.slot], scoreboard.slot(one.slot)) for one in order if one.slot in handles]


def _entry(worker: ChildRecord, handle: ChildProcess, cells: memoryview) -> dict[str, Any]:
    now = monotonic()
    silence = now - cells[BEAT] / 1e9 - BEAT_INTERVAL if cells[BEAT] else 0.0
    return {
        "worker": worker.index + 1,
        "pid": handle.pid,
        "generation": worker.generation,
        "age": round(now - handle.started, 1),
        "state": worker.state.value,
        "connections": cells[CONNECTIONS],
        "relayed": cells[RELAYED],
        "in-flight": cells[IN_FLIGHT],
        "requests": cells[REQUESTS],
        "requests-per-second": cells[RATE] / 1000,
        "lag": round(max(cells[LAG] / 1e6, silence, 0.0), 4),
        "memory": memory(handle.pid),
    }


def connections(scoreboard: Scoreboard, writer: CounterWriter) -> dict[str, int]:
    """Client connections: how many there are, may be, were closed for new ones, and had to wait."""
    return {
        "open": sum(scoreboard.column(CONNECTIONS)),
        "limit": sum(scoreboard.column(PLACES)),
        "idle-closed": writer.total(place(OF_MASTER, IDLE_CLOSED)),
        "waited": writer.total(place(OF_MASTER, WAITED)),
    }


def refused(config: Config, shared_state: SharedMemoryOwner) -> Iterator[dict[str, Any] | None]:
    """Yield an entry for each rule that has refused requests; the backend ``-`` stands for those that have none.

    None is yielded, too, after each backend: other things may be done then.
    """
    writer, written = shared_state.writer, shared_state.shared_memory.written()
    rows = {route: shared_state.rows[route,] for route in config.backends} | {"-": UNROUTED}
    for route, row in rows.items():
        if row not in written:
            continue
        for number, rule in enumerate(RULES):
            count = writer.total(place(row, REFUSED + number))
            if count:
                yield {"backend": route, "rule": rule, "requests": count}
        yield None


def memory(pid: int) -> int | None:
    """Resident bytes of a process, shared ones too; None when it is gone."""
    try:
        with open(f"/proc/{pid}/statm", encoding="utf-8") as file:
            return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except (OSError, ValueError, IndexError):
        return None


def moment(seconds: float) -> str:
    """A time as ISO 8601."""
    return datetime.fromtimestamp(seconds, timezone.utc).isoformat(timespec="seconds").replace("+00:00", "Z")
