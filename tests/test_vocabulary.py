"""The words of the house: one name, one thing."""

from __future__ import annotations

import ast
import re
from collections import defaultdict
from collections.abc import Iterator

import pytest

from tests.harness.checkout import CHECKOUT

TWICE: dict[str, str] = {
    "Rebalance": "what the supervision decides, and the message that tells a worker so",
    "StacksWritten": "the message of a worker, and the event that it is for the supervision",
}
"""Names that two modules give to a class or a type, and why both are right."""

CAMEL = re.compile(r"[A-Z][a-z]+|[A-Z]+[0-9]*(?=[A-Z][a-z]|$)|[0-9]+")


def _sources() -> dict[str, str]:
    paths = sorted((CHECKOUT / "l7").rglob("*.py"))
    return {path.relative_to(CHECKOUT).as_posix(): path.read_text("utf-8") for path in paths}


def _types(source: str) -> Iterator[str]:
    """The classes and the types that a module defines; type variables are of one letter."""
    for node in ast.parse(source).body:
        if isinstance(node, ast.ClassDef):
            yield node.name
        elif isinstance(node, ast.Assign | ast.AnnAssign):
            for target in node.targets if isinstance(node, ast.Assign) else [node.target]:
                if isinstance(target, ast.Name) and re.search("^[A-Z].*[a-z]", target.id):
                    yield target.id


def names_of_two_things(sources: dict[str, str]) -> dict[str, list[str]]:
    """The types that are defined in more than one module."""
    where = defaultdict(list)
    for path, source in sources.items():
        for name in _types(source):
            where[name].append(path)
    return {name: paths for name, paths in where.items() if len(paths) > 1}


def test_a_type_has_a_name_of_its_own() -> None:
    assert sorted(names_of_two_things(_sources())) == sorted(TWICE)


@pytest.mark.parametrize("source", ["class Thing: ...", "Thing = tuple[str, int]", "Thing: TypeAlias = int"])
def test_a_name_of_two_things_is_found(source: str) -> None:
    assert names_of_two_things({"a.py": "class Thing: ...", "b.py": source}) == {"Thing": ["a.py", "b.py"]}
