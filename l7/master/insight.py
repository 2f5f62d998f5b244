"""What the master answers when it is asked where a request would go: by what is served, as the servers are now."""

from __future__ import annotations

import os
import time

from l7.balancing.cells import ROW
from l7.balancing.explanation import explain
from l7.balancing.lane import Lane
from l7.balancing.outlook import Books, outlook
from l7.ipc.requests import Answer, ExplainRequest
from l7.master.generations import Generations
from l7.telemetry.ledger import MASTER


def insight(generations: Generations, request: ExplainRequest) -> Answer:
    """Explain where a request would go."""
    generation, books = generations.current.generation, generations.books
    found = explain(generation.config, request.url, request.headers)
    answer: Answer = {"ok": True, **found.plain()}
    if found.backend is not None and found.head is not None:
        lane = Lane(books.ledger.cells, books.ledger.rows * ROW, MASTER)
        known = Books(lane, books.rows.taken(), books.resolved, books.cookie_key)
        now = outlook(found.route, found.backend, found.head, known, time.monotonic_ns())
        answer["now"] = {"generation": generation.number, "pid": os.getpid(), **now}
    return answer
