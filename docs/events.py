"""Prints the names of events of ``l7/telemetry/eventnames.py`` as reStructuredText; ``make generated`` writes it."""

from __future__ import annotations

from l7.telemetry.eventnames import NAMES

HEAD = """\
.. Generated from l7/telemetry/eventnames.py by docs/events.py: change the table there and run "make generated".

.. list-table::
   :header-rows: 1
   :widths: 20 25 55

   * - name
     - facts
     - when
"""


def table() -> str:
    """The whole table."""
    rows = []
    for name, (facts, words) in NAMES.items():
        rows.append(
            f"   * - ``{name}``\n     - {', '.join(f'``{fact}``' for fact in facts)}".rstrip() + f"\n     - {words}\n"
        )
    return HEAD + "".join(rows)


if __name__ == "__main__":
    print(table(), end="")
