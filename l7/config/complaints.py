"""What the schema found wrong, in words for the user: where, which setting, what, and what was probably meant."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from l7.config.names import Path, show_path
from l7.config.section import SchemaError
from l7.errors import Problem


@dataclass(frozen=True)
class Where:
    """Where a value stands, for a message: ``config.yml:3`` with its path, or ``--port``, which says it all."""

    place: str
    show_path: bool


def complaints(error: SchemaError, where: Callable[[Path], Where]) -> list[Problem]:
    """Return the problems in ``error``."""
    found = []
    for path, what in error.mistakes:
        at = where(path)
        found.append(Problem(at.place, show_path(path) if at.show_path else "", what))
    return found


def in_order(problems: list[Problem], file: str) -> list[Problem]:
    """Return the problems of flags and variables as they came, then those of the file by line."""

    def line(problem: Problem) -> int:
        number = problem.where.removeprefix(f"{file}:")
        return int(number) if number.isdigit() and number != problem.where else -1

    return sorted(problems, key=line)
