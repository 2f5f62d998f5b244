"""What stands below ``tracing``: which requests are traced, and who is told."""

from __future__ import annotations

from typing import Annotated, Any
from urllib.parse import urlsplit

from l7.config.model import BeforeValidator, Field
from l7.config.section import Section, Share
from l7.config.values import jsontypes
from l7.config.values.backend import show_unless_off, unless_off
from l7.config.values.scalars import Form, text_of
from l7.units import quoted

TRACES = "/v1/traces"
"""Where a collector takes spans (OTLP/HTTP)."""
HELP = "write it as in http://127.0.0.1:4318"


def _endpoint(value: Any) -> str:
    """Parse the URL of a collector; returns it with the path that spans are sent to."""
    text = text_of(value, f"write the URL of a collector, as in {HELP.rpartition(' ')[2]}")
    try:
        url = urlsplit(text)
        port = url.port
    except ValueError:
        url, port = urlsplit(""), None
    if "@" in url.netloc:  # not repeated: it may hold a password
        raise ValueError("a login cannot stand in the URL of a collector; let one on this machine send spans on")
    if url.scheme not in ("http", "https") or not url.hostname or port == 0 or not _is_plain(text):
        raise ValueError(f"{quoted(text)} is not the URL of a collector; {HELP}")
    if url.query or url.fragment:
        raise ValueError(f"{quoted(text)}: a query or a fragment cannot stand in the URL of a collector; {HELP}")
    path = url.path.rstrip("/")
    return f"{url.scheme}://{url.netloc}{path if path.endswith(TRACES) else path + TRACES}"


def _is_plain(text: str) -> bool:
    return text.isascii() and text.isprintable() and " " not in text


OtlpUrl = Annotated[str, BeforeValidator(_endpoint), Form("URL", schema=jsontypes.OTLP_URL)]


class Tracing(Section):
    """Spans of requests, told to a collector of OpenTelemetry by OTLP over HTTP."""

    otlp: OtlpUrl = Field(
        description="The collector, `http://HOST:PORT` or `https://HOST:PORT`, which takes spans in JSON; `/v1/traces` "
        "is added where the path does not end so. Without it nothing is traced.",
        examples=["'http://127.0.0.1:4318'"],
    )
    sample: Share = Field(
        default=0.01,
        description="The share of requests that are traced, where no trusted proxy has decided about it in "
        "`traceparent`.",
        examples=["10%"],
    )


TracingOrOff = Annotated[Tracing | None, BeforeValidator(unless_off), Form("section or `off`", show_unless_off)]
