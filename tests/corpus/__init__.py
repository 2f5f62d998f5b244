"""Raw messages and what must become of them: one table, read by the parser tests and by the end-to-end tests.

``valid/`` holds what must be passed on, exactly so; ``invalid/`` what must be refused. A module is a list of families;
a family is a list of cases; a case is raw bytes with the outcome of each message in them. The rules behind the
outcomes, where RFC 9110 and 9112 leave a choice, are listed in ``docs/http.rst``.

- `REQUESTS`: what a client sends; read by ``tests/http/test_corpus.py`` (whole, by line, by byte, in random slices)
  and by ``tests/e2e/test_http_requests.py`` (through the real program, with a recording origin behind it).
- `RESPONSES`: what a server answers; read by the same two and by ``tests/e2e/test_http_responses.py``.
"""

from __future__ import annotations

from tests.corpus.cases import Case, Exchange
from tests.corpus.invalid import INVALID_REQUESTS, INVALID_RESPONSES
from tests.corpus.valid import VALID_REQUESTS, VALID_RESPONSES

REQUESTS: list[Case] = [*VALID_REQUESTS, *INVALID_REQUESTS]
RESPONSES: list[Exchange] = [*VALID_RESPONSES, *INVALID_RESPONSES]
