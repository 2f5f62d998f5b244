"""OTLP over HTTP, in JSON: what is sent to a collector, and what its answer means. Without sockets.

https://opentelemetry.io/docs/specs/otlp/#otlphttp; the spans themselves are made by `l7.telemetry.tracing.spans`.
"""

from __future__ import annotations

import json
import time
from collections.abc import Mapping, Sequence
from datetime import timezone
from email.utils import parsedate_to_datetime
from enum import Enum
from typing import NamedTuple

from l7 import __version__

CONTENT_TYPE = "application/json"
RETRIED = frozenset((429, 502, 503, 504))
"""Statuses after which the same spans may be sent again; after any other one they must not."""
LONGEST_PAUSE = 300.0
"""Seconds of a Retry-After that are waited at most."""


class ExportOutcome(Enum):
    """What has become of a batch."""

    TAKEN = "taken"
    """By the collector; some spans of it may be refused."""
    RETRY = "retry"
    REFUSED = "refused"


class ExportAnswer(NamedTuple):
    """What the answer of a collector means."""

    outcome: ExportOutcome
    refused: int = 0
    """Spans that it has refused of a batch that it took."""
    pause: float | None = None
    """Seconds until it may be asked again, where it says so."""
    why: str = ""


def body_of(spans: Sequence[bytes], resource: Mapping[str, str]) -> bytes:
    """An export request: ``spans`` are JSON objects, one or several with commas between, of one ``resource``."""
    attributes = [{"key": key, "value": {"stringValue": value}} for key, value in resource.items()]
    about = json.dumps({"attributes": attributes}, separators=(",", ":"))
    scope = json.dumps({"name": "l7", "version": __version__}, separators=(",", ":"))
    return (
        f'{{"resourceSpans":[{{"resource":{about},"scopeSpans":[{{"scope":{scope},"spans":['.encode("ascii")
        + b",".join(spans)
        + b"]}]}]}"
    )


def answer_of(status: int, retry_after: str, content: bytes) -> ExportAnswer:
    """What an answer means: its status, its ``Retry-After``, empty for none, and its body."""
    if status in RETRIED:
        return ExportAnswer(ExportOutcome.RETRY, pause=_seconds(retry_after), why=f"it answers {status}")
    if not 200 <= status < 300:
        return ExportAnswer(ExportOutcome.REFUSED, why=f"it answers {status}")
    try:
        partial = json.loads(content)["partialSuccess"]
        refused = max(0, int(partial.get("rejectedSpans", 0)))
        why = str(partial.get("errorMessage", "")) if refused else ""
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
        return ExportAnswer(ExportOutcome.TAKEN)  # it has taken them, whatever it says in another form
    return ExportAnswer(ExportOutcome.TAKEN, refused, why=why)


def _seconds(retry_after: str) -> float | None:
    """RFC 9110, 10.2.3: seconds, or a date; None where it is neither."""
    text = retry_after.strip()
    if text.isascii() and text.isdigit():
        return min(float(text[:9]), LONGEST_PAUSE)
    try:
        moment = parsedate_to_datetime(text)
    except (ValueError, TypeError):
        return None
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=timezone.utc)
    return min(max(moment.timestamp() - time.time(), 0.0), LONGEST_PAUSE)
