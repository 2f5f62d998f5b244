"""Prints figures of ``l7/telemetry/catalogue.py`` as reStructuredText; ``make generated`` writes ``metrics.inc``."""

from __future__ import annotations

from l7.telemetry.catalogue import FIGURES, MetricFamily

HEAD = """\
.. Generated from l7/telemetry/catalogue.py by docs/metrics.py: change the list there and run "make generated".

.. list-table::
   :header-rows: 1
   :widths: 40 12 48

   * - name and labels
     - type
     - meaning
"""


def row(figure: MetricFamily) -> str:
    """One figure as a row."""
    labels = f" {{{', '.join(figure.labels)}}}" if figure.labels else ""
    meaning = figure.help.replace("`", "``")
    return f"   * - ``{figure.name}``{labels}\n     - {figure.kind}\n     - {meaning}\n"


def table() -> str:
    """The whole table."""
    return HEAD + "".join(map(row, FIGURES))


if __name__ == "__main__":
    print(table(), end="")
