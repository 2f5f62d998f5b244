"""Prints the failure table of ``l7/errors.py`` as reStructuredText; ``make generated`` writes ``failures.inc``."""

from __future__ import annotations

from l7.errors import FAILURES, Kind, Side

HEAD = """\
.. Generated from l7/errors.py by docs/failures.py: change the table there and run "make generated".

.. list-table::
   :header-rows: 1
   :widths: 30 10 9 8 10 12 21

   * - what happened
     - whose side
     - status
     - code
     - logged
     - connection
     - another server is tried
"""

SIDES = {Side.DOWNSTREAM: "client", Side.US: "l7", Side.UPSTREAM: "server"}


def row(kind: Kind) -> str:
    """One failure as a row."""
    status = str(kind.status) if kind.status else "none"
    logged = str(kind.logged) if kind.logged else "as sent"
    connection = "lives on" if kind.keep else "closes"
    cells = [kind.name, SIDES[kind.side], status, f"``{kind.code}``", logged, connection, kind.retry.value]
    return "".join(f"   {' ' if i else '*'} - {cell}\n" for i, cell in enumerate(cells))


def table() -> str:
    """The whole table."""
    return HEAD + "".join(row(kind) for kind in FAILURES)


if __name__ == "__main__":
    print(table(), end="")
