"""What must be passed on, and how."""

from __future__ import annotations

from tests.corpus.cases import Case, Exchange
from tests.corpus.valid import bodies, heads, hops, pipelines, responses

VALID_REQUESTS: list[Case] = [*heads.CASES, *bodies.CASES, *hops.CASES, *pipelines.CASES]
VALID_RESPONSES: list[Exchange] = responses.CASES
