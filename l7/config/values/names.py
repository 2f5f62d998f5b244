"""The names of settings: how a path is shown, and what somebody may have meant by a name that is none."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable

from l7.units import one_line


def show_path(path: tuple[str | int, ...]) -> str:
    """Show a path as ``backends.example.com.servers[0].address``.

    Except for routes, what follows a colon is left out: ``{admin:secret}`` without a space is one key in YAML. So is
    ``{admin secret}``, below ``users``.
    """
    shown = ""
    for depth, part in enumerate(path):
        if isinstance(part, int):
            shown += f"[{part}]"
            continue
        if path[0] == "backends" and depth == 1:
            text = part
        else:
            end = r"([:\s]).*" if path[depth - 1] == "users" and depth else r"(:).*"
            text = re.sub(end, r"\1***", part, flags=re.DOTALL)
        shown += ("." if shown else "") + printable(text)
    return shown


def printable(text: str, longest: int = 100) -> str:
    """Return ``text`` fit for one line of output: control characters escaped, cut where it is long."""
    return one_line(text if len(text) <= longest else text[:longest] + "...")


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """Return ``; did you mean 'x'?`` for the nearest of the known names; nothing when none is near."""
    by_folded = {candidate.lower().replace("_", "-"): candidate for candidate in known}
    near = difflib.get_close_matches(name.lower().replace("_", "-"), by_folded, n=1, cutoff=0.7)
    return f"; did you mean {by_folded[near[0]]!r}?" if near else ""
