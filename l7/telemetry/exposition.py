"""Metrics in the text format of Prometheus, version 0.0.4.

Not by the library ``prometheus-client``, with which the tests read it back: that takes more than a second for a
thousand backends, costs the importing process 12 MB, and hooks into its garbage collector.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

from l7.telemetry.metrics import FamilySamples

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
LINES = 500
"""Lines between two calls of ``pause``."""


def expose(families: Iterable[FamilySamples], pause: Callable[[], None]) -> bytes:
    """The text; ``pause`` is called every few milliseconds, so that other greenlets may run."""
    pieces: list[str] = []
    for figure, samples in families:
        # TYPE and HELP name a counter with its `_total`, as Prometheus itself and its older parsers expect.
        pieces.append(f"# HELP {figure.name} {_escape(figure.help)}\n# TYPE {figure.name} {figure.kind}\n")
        for count, (suffix, labels, value) in enumerate(samples, 1):
            braced = f"{{{labels}}}" if labels else ""
            pieces.append(f"{figure.name}{suffix}{braced} {value}\n")
            if count % LINES == 0:
                pause()
    return "".join(pieces).encode()


def _escape(text: str) -> str:
    return text.replace("\\", "\\\\").replace("\n", "\\n")
