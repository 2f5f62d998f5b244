"""Prints the table of ten wishes in four proxies as reStructuredText; ``make generated`` writes ``comparison.inc``.

The files in ``docs/comparison/`` are counted: a line ``# 4`` says that what follows is there for the fourth wish, and
``# 0`` for no wish, but for having a proxy at all. Comments, empty lines, indentation and the password's hash, which is
as long everywhere, do not count. tests/e2e/test_comparison.py runs the same files.
"""

from __future__ import annotations

import re
from pathlib import Path

HERE = Path(__file__).resolve().parent / "comparison"

FILES = {
    "nginx": ("nginx.conf", "htpasswd"),
    "Caddy": ("Caddyfile",),
    "Traefik": ("traefik.yml", "dynamic.yml"),
    "l7": ("l7.yml",),
}

WISHES = (
    "the proxy: one host, one server",
    "https with a certificate of one's own; http leads to it",
    "the old host leads to the new one, paths stay (308)",
    "``/api`` is another server, which knows of no ``/api``; its ``Location`` gets it back",
    "at most 100 requests at once of a client for ``/api``, then 10 a second (429)",
    "``/admin`` is for the internal network, and for a login",
    "security fields on every answer, also where the proxy refuses",
    "servers get ``X-Env``, clients do not get ``X-Powered-By``",
    "``/robots.txt`` without a server",
    "a page of one's own where no server answers (502, 503, 504)",
    "text and JSON are compressed",
)

MISSING = {
    ("Caddy", 4): "a module to build in",
    ("Traefik", 8): "a server for it",
}
"""What a proxy has no word for, as its packages are, and what it takes instead."""

PARTS = {
    ("nginx", 10): "gzip alone",
    ("Traefik", 3): "``Location`` stays as it came",
    ("Traefik", 6): "not where no router matched",
    ("Traefik", 9): "and a server that has the page",
}
"""Where a wish is granted in part."""

_WISH = re.compile(r"# (\d+)")
_HASH = re.compile(r"\$2[aby]\$[^'\s]{56}|JDJ[A-Za-z0-9+/=]{70,}")

HEAD = """\
.. Generated from docs/comparison/ by docs/comparison.py: change the files there and run "make generated".

.. list-table::
   :header-rows: 1
   :widths: 40 15 15 15 15

   * - wish
"""


Size = tuple[int, int]
"""Lines and characters."""


def count(proxy: str) -> dict[int, Size]:
    """How much each wish takes in the files of a proxy."""
    sizes: dict[int, Size] = {}
    for name in FILES[proxy]:
        wish = 0
        for line in (HERE / name).read_text("utf-8").splitlines():
            text = line.strip()
            if found := _WISH.fullmatch(text):
                wish = int(found[1])
            elif text and not text.startswith("#"):
                lines, characters = sizes.get(wish, (0, 0))
                sizes[wish] = (lines + 1, characters + len(_HASH.sub("", text)))
    return sizes


def cell(proxy: str, wish: int, size: Size | None) -> str:
    """What the table says of a wish in one proxy."""
    if size is None:
        return f"no: {MISSING[proxy, wish]}"
    part = PARTS.get((proxy, wish))
    return f"{size[0]} / {size[1]}" + (f" ({part})" if part else "")


def table() -> str:
    """The whole table."""
    counted = {proxy: count(proxy) for proxy in FILES}
    rows = [HEAD + "".join(f"     - {proxy}\n" for proxy in FILES)]
    for wish, words in enumerate(WISHES):
        cells = [cell(proxy, wish, sizes.get(wish)) for proxy, sizes in counted.items()]
        rows.append(f"   * - {f'{wish}. ' if wish else ''}{words}\n" + "".join(f"     - {one}\n" for one in cells))
    sums = [" / ".join(str(sum(size[i] for size in sizes.values())) for i in (0, 1)) for sizes in counted.values()]
    rows.append("   * - **together**\n" + "".join(f"     - **{one}**\n" for one in sums))
    return "".join(rows)


if __name__ == "__main__":
    print(table(), end="")
