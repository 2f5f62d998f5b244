"""Figures in the text format of Prometheus, version 0.0.4.

Not by the library ``prometheus-client``, which the tests read it back with: that writes the figures of a thousand
backends in more than a second, costs the process that imports it 12 MB, and hooks into its garbage collector.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

from l7.telemetry.metrics import FamilySamples

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
LINES = 500
"""Lines that are written at a time."""


def expose(families: Iterable[FamilySamples], pause: Callable[[], None]) -> bytes:
    """The text; ``pause`` is called every few milliseconds, so that others may have their turn."""
    pieces: list[str] = []
    for figure, samples in families:
        # The name of a counter is here with its `_total`, as Prometheus itself and its older parsers have it.
        pieces.append(f"# HELP {figure.name} {_escape(figure.help)}\n# TYPE {figure.name} {figure.kind}\n")
        for count, (suffix, labels, value) in enumerate(samples, 1):
            braced = f"{{{labels}}}" if labels else ""
            pieces.append(f"{figure.name}{suffix}{braced} {value}\n")
            if count % LINES == 0:
                pause()
    return "".join(pieces).encode()


def _escape(text: str) -> str:
    return text.replace("\\", "\\\\").replace("\n", "\\n")
