"""What the schema found wrong, in words for the user: where, which setting, what, and what was probably meant."""

from __future__ import annotations

import types
import typing
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel, ValidationError

from l7.config.generation import Path
from l7.config.reading.inheritance import DEFAULTS
from l7.config.schema import Backend, Config
from l7.config.values.names import did_you_mean, printable, show_path
from l7.errors import Problem
from l7.units import quoted


@dataclass(frozen=True)
class Where:
    """Where a value stands, for a message: ``config.yml:3`` with its path, or ``--port``, which says it all."""

    place: str
    show_path: bool


def complaints(error: ValidationError, where: Callable[[Path], Where | None]) -> list[Problem]:
    """Return the problems in ``error``, but for those of which ``where`` says that they are told elsewhere."""
    found = []
    for detail in error.errors(include_url=False):
        path = tuple(part for part in detail["loc"] if part != "[key]")
        at = where(path)
        if at is not None:
            found.append(Problem(at.place, show_path(path) if at.show_path else "", _what(detail, path)))
    return found


def in_order(problems: list[Problem], file: str) -> list[Problem]:
    """Return the problems of flags and variables as they came, then those of the file by line."""

    def line(problem: Problem) -> int:
        number = problem.where.removeprefix(f"{file}:")
        return int(number) if number.isdigit() and number != problem.where else -1

    return sorted(problems, key=line)


def _what(detail: Any, path: Path) -> str:
    kind, value = detail["type"], detail["input"]
    if kind == "extra_forbidden":
        near = did_you_mean(str(path[-1]), _keys(path[:-1]))
        if not near and path[-2:-1] in (("request-headers",), ("response-headers",)):
            return f"unknown key; write fields below set, as in `set: {{{printable(str(path[-1]))}: ...}}`"
        return _elsewhere(path) or f"unknown key{near}"
    if kind == "missing":
        return "is missing"
    if value is None and path[-2:-1] == ("users",):
        return "has no password; write `login: password`, with a space after the colon"
    if value is None:
        return "has no value; write one or remove the key"
    if kind == "value_error":
        return str(detail["ctx"]["error"])
    if kind == "literal_error":
        return _one_of(value, _choices(path))
    if kind in ("model_type", "model_attributes_type", "dict_type"):
        sample = "servers: [127.0.0.1:8081]" if _type_at(path) is Backend else "key: value"
        return f"write a mapping, `{sample}`"
    if kind in ("tuple_type", "list_type"):
        return "write a list, `- item`"
    return str(detail["msg"])


def _elsewhere(path: Path) -> str:
    """Where a key belongs that stands in the wrong place; empty for one that is unknown everywhere."""
    if path[:-1] == (DEFAULTS,) and path[-1] in _keys(()):
        return "write it at the top of the file: there it holds for all routes that say nothing else"
    if len(path) == 1 and path[0] in _keys((DEFAULTS,)):
        return f"write it below a backend, or below {DEFAULTS}: there it holds for all routes that say nothing else"
    if len(path) == 1 and path[0] in _keys(("backends", "*")):
        return "write it below a backend"
    below = path[2:] if path[0] == "backends" else path[1:] if path[0] == DEFAULTS else ()
    if below and below[-1] in _keys(below[:-1]):
        return f"holds for all routes: write {show_path(below)} at the top of the file"
    return ""


def _one_of(value: Any, choices: tuple[str, ...]) -> str:
    near = did_you_mean(value, choices) if isinstance(value, str) else ""
    what = f"{quoted(value)} is unknown; " if isinstance(value, str) else ""
    return f"{what}write {', '.join(choices[:-1]) + ' or ' if choices[1:] else ''}{choices[-1]}{near}"


def _keys(path: Path) -> list[str]:
    """Return the keys that the section at ``path`` may have."""
    section = _type_at(path)
    if isinstance(section, type) and issubclass(section, BaseModel):
        return [name.replace("_", "-") for name in section.model_fields]
    return []


def _choices(path: Path) -> tuple[str, ...]:
    return tuple(str(choice) for choice in typing.get_args(_type_at(path)))


def _type_at(path: Path) -> Any:
    """Walk the schema to the type of the value at ``path``."""
    at: Any = Config
    for part in path:
        origin = typing.get_origin(at)
        if origin is dict:
            at = typing.get_args(at)[1]
        elif origin is tuple:
            at = typing.get_args(at)[0]
        elif isinstance(at, type) and issubclass(at, BaseModel):
            info = at.model_fields.get(str(part).replace("-", "_"))
            at = info.annotation if info else None
        if typing.get_origin(at) is typing.Annotated:
            at = typing.get_args(at)[0]
        if typing.get_origin(at) in (types.UnionType, typing.Union):
            at = next(member for member in typing.get_args(at) if member is not type(None))
    return at
