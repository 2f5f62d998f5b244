"""Answers that are good for a second: who asks the same meanwhile gets the same, and nothing is done twice."""

from __future__ import annotations

from collections.abc import Callable, Hashable

from gevent.event import AsyncResult

from l7.clock import monotonic
from l7.http.messages import LocalResponse

GOOD_FOR = 1.0
"""Seconds."""
KEPT = 16
"""Answers to different questions."""


class SharedAnswers:
    """The answers of the last second, by what was asked."""

    def __init__(self) -> None:
        self._made: dict[Hashable, tuple[float, AsyncResult[LocalResponse]]] = {}

    def get(self, question: Hashable, make: Callable[[], LocalResponse]) -> LocalResponse:
        """The answer to a question, made by ``make`` unless there is one, or waited for while another one makes it."""
        found = self._made.get(question)
        if found is None or (found[1].ready() and monotonic() - found[0] > GOOD_FOR):
            return self._make(question, make)
        answer: LocalResponse = found[1].get()
        return answer

    def _make(self, question: Hashable, make: Callable[[], LocalResponse]) -> LocalResponse:
        result: AsyncResult[LocalResponse] = AsyncResult()
        self._made.pop(question, None)
        self._made[question] = monotonic(), result
        try:
            answer = make()
        except BaseException as failure:
            self._made.pop(question, None)
            result.set_exception(failure)
            raise
        result.set(answer)
        self._forget()
        return answer

    def _forget(self) -> None:
        """Let go of answers that are too old, or too many."""
        done = [(key, at) for key, (at, result) in self._made.items() if result.ready()]
        oldest = monotonic() - GOOD_FOR
        for number, (key, at) in enumerate(done, KEPT - len(done)):
            if at < oldest or number < 0:
                del self._made[key]
