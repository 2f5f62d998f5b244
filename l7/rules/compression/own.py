"""Compressing what l7 answers itself: error pages, fixed answers, refusals. They are whole, and mostly the same."""

from __future__ import annotations

from l7.http.messages import LocalResponse, ResponseHead, StatusLine
from l7.rules.compression.encoders import encoder
from l7.rules.compression.plan import Asked

LONGEST = 128 * 1024
"""Bytes of a body that is compressed: more would hold up the loop for too long where each is another one."""
KEPT = 8
"""Compressed bodies that are kept, in each coding: a route has few of them."""


class OwnAnswers:
    """The compressed answers of one route."""

    __slots__ = ("_kept",)

    def __init__(self) -> None:
        self._kept: dict[tuple[bytes, bytes], bytes] = {}

    def coded(self, asked: Asked, answer: LocalResponse) -> LocalResponse:
        """An answer as the client takes it."""
        if len(answer.body) > LONGEST:
            return answer
        head = ResponseHead(StatusLine(b"", answer.status, b"", 1))
        head.length = head.declared = len(answer.body)
        head.runs = [field.encode("latin-1", "replace") for field in answer.fields]
        if answer.media_type:
            head.runs.append(b"Content-Type: " + answer.media_type.encode("latin-1", "replace"))
        plan = asked.plan(head)
        if plan is None:
            return answer
        runs, body = plan.plain, answer.body
        if plan.coding is not None:
            smaller = self._compressed(plan.coding, body)
            if len(smaller) < len(body):
                runs, body = plan.runs, smaller
        fields = b"\r\n".join(runs).decode("latin-1").split("\r\n")
        return answer._replace(body=body, fields=tuple(field for field in fields if not _is_type(field)))

    def _compressed(self, coding: bytes, body: bytes) -> bytes:
        found = self._kept.get((coding, body))
        if found is None:
            stream = encoder(coding, len(body))
            found = stream.compress(body) + stream.finish()
            if len(self._kept) >= KEPT * 3:
                self._kept.clear()
            self._kept[coding, body] = found
        return found


def _is_type(field: str) -> bool:
    """Whether it is the line that was added for the plan: the answer writes it itself."""
    return field.lower().startswith("content-type:")
