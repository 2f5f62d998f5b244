"""What the README says of the results, which are the documentation's: ``python -m tests.bench.summary RESULTS README``.

It is the small request, and beside it the row in which l7 does best and the one in which it does worst.
"""

from __future__ import annotations

import re
import sys
import textwrap
from pathlib import Path

from tests.bench.jobs import JOBS
from tests.bench.processes import BenchError

WIDTH = 120
LEFT_OUT = {JOBS["login"].title}
"""That a login is remembered says nothing about what a request costs."""
_PARAGRAPH = re.compile(r"^- \*\*It is cheap\.\*\*.*?(?=^- \*\*)", re.MULTILINE | re.DOTALL)


def ratios(results: str) -> dict[str, float]:
    """CPU to nginx of compiled l7, by the title of the job: from the overview of the results.

    :raises BenchError: there is none.
    """
    overview = results.partition("\nOverview\n^^^^^^^^\n")[2].partition("\n^^^")[0]
    rows = [
        [cell.strip() for cell in re.split(r"^     -", row, flags=re.MULTILINE)]
        for row in re.split(r"^   \* -", overview, flags=re.MULTILINE)[1:]
    ]
    if not rows:
        raise BenchError("there is no overview in these results")
    place = {name: number for number, name in enumerate(rows[0])}
    found = {}
    for row in rows[1:]:
        if row[1] == "l7" and row[place["to"]] == "nginx" and row[place["compared"]].startswith("CPU "):
            value = row[place["ratio"]].split()[0]
            if value != "-" and row[0] not in LEFT_OUT:
                found[row[0]] = float(value)
    return found


def paragraph(results: str) -> str:
    """The README's paragraph about these results, as it stands in its list.

    :raises BenchError: the small request was not measured.
    """
    found = ratios(results)
    small, tls = JOBS["small-get"].title, JOBS["tls-get"].title
    if small not in found:
        raise BenchError(f"{small}: not in these results")
    best, worst = min(found, key=found.__getitem__), max(found, key=found.__getitem__)
    words = f"- **It is cheap.** CPU to nginx, in one run on one machine: a small request {found[small]:.2f}"
    words += f", over TLS {found[tls]:.2f}" if tls in found else ""
    words += f". At best it is {found[best]:.2f} ({best}), at worst {found[worst]:.2f} ({worst})"
    words += ". ``docs/performance.rst`` has every figure, also to HAProxy and Caddy; ``make bench`` measures anew."
    return "\n".join(textwrap.wrap(words, WIDTH, subsequent_indent="  ", break_on_hyphens=False)) + "\n"


def main(results: Path, readme: Path) -> None:
    """Write the paragraph into the README."""
    text = readme.read_text()
    if not _PARAGRAPH.search(text):
        raise BenchError(f"{readme}: there is no paragraph that says that it is cheap")
    readme.write_text(_PARAGRAPH.sub(lambda _: paragraph(results.read_text()), text, count=1))


if __name__ == "__main__":
    try:
        main(*map(Path, sys.argv[1:]))
    except BenchError as error:
        sys.exit(f"summary: {error}")
