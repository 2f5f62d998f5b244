"""What must be refused, and how; and what is bad only in the eyes of a limit."""

from __future__ import annotations

from tests.corpus.cases import Case, Exchange
from tests.corpus.invalid import bodies, heads, limits, responses

INVALID_REQUESTS: list[Case] = [*heads.CASES, *bodies.CASES, *limits.CASES]
INVALID_RESPONSES: list[Exchange] = responses.CASES
