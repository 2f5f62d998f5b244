"""Networks that ``allow`` names and ``deny`` keeps out all the same, since that goes first: hardly anybody means it."""

from __future__ import annotations

from collections.abc import Iterator

from l7.balancing.routing import Match, Routes
from l7.config.generation import Loaded, Path, problem_at
from l7.config.values.names import printable
from l7.errors import Problem
from l7.networks import NetworkSet
from l7.rules.inheritance import RouteSettings

_SHOWN = 4
"""Networks that are named; of more there is a number."""


def shut_out(loaded: Loaded) -> Iterator[Problem]:
    """Yield a warning for each ``allow`` with networks that the ``deny`` beside it, or around it, keeps out.

    A ``deny`` that is nearer to a route than its ``allow`` says who is taken out of that, which is what it is for.
    """
    config = loaded.config
    if not config.deny and not any(backend.deny for backend in config.backends.values()):
        return
    routes = Routes(config.backends)
    told: set[tuple[Path, Path]] = set()
    denied: dict[Path, NetworkSet] = {}  # thousands of routes may have one list of thousands around them
    for match in (None, *routes.rules):
        around = () if match is None else routes.enclosing(match)
        settings = RouteSettings(config, match, around)
        (allow, place), (deny, above) = settings.inherited("allow"), settings.inherited("deny")
        levels = _levels(match, around)
        if not allow or not deny or (place, above) in told or levels.index(place[:-1]) > levels.index(above[:-1]):
            continue
        told.add((place, above))
        if above not in denied:
            denied[above] = NetworkSet(deny)
        words = _words([str(one) for one in allow if denied[above].covers(one)], len(allow))
        if words:
            where, way_out = _where(place[:-1], above[:-1])
            yield problem_at(loaded, place, f"deny {where} goes first, and {words}{way_out}")


def _levels(match: Match | None, around: list[Match] | tuple[()]) -> list[Path]:
    """Where the settings of a route may stand, the nearest first."""
    nearer: list[Path] = [] if match is None else [("backends", one.key) for one in (match, *around)]
    return [*nearer, ()]


def _where(place: Path, above: Path) -> tuple[str, str]:
    """Where a ``deny`` stands, and what to do where that is not beside the ``allow``."""
    if place == above:
        return "beside it", ""
    return f"of {printable(str(above[1]))}" if above else "at the top", "; deny: off beside it ends that"


def _words(shut: list[str], count: int) -> str:
    if len(shut) == count:
        return "has all of these: nobody is let in"
    more = f" and {len(shut) - _SHOWN} more" if len(shut) > _SHOWN else ""
    return f"keeps out {', '.join(shut[:_SHOWN])}{more}" if shut else ""
