"""``l7 explain`` on the running l7: the route of a request and the servers as they are now."""

from __future__ import annotations

import os
import time

from l7.balancing.server_view import SharedView, server_view
from l7.explain.asked import Question
from l7.explain.explanation import explain
from l7.ipc.requests import Answer, ExplainRequest
from l7.master.state.generations import Generations


def insight(generations: Generations, request: ExplainRequest) -> Answer:
    """Explain where a request would go."""
    generation, shared_state = generations.current.generation, generations.shared_state
    question = Question(request.url, request.headers, request.method, request.client)
    found = explain(generation.config, question, dict(generation.sources.items()))
    answer: Answer = {"ok": True, **found.plain()}
    if found.request and found.backend is not None and found.head is not None:
        known = SharedView(
            shared_state.writer, shared_state.rows.taken(), shared_state.resolved, shared_state.cookie_key
        )
        now = server_view(found.route, found.backend, found.head, known, time.monotonic_ns())
        answer["now"] = {"generation": generation.number, "pid": os.getpid(), **now}
    return answer
