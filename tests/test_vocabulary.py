"""The words of the house: one name, one thing; and names that the glossary of docs/architecture.rst explains."""

from __future__ import annotations

import ast
import re
from collections import defaultdict
from collections.abc import Iterable, Iterator

import pytest

from tests.harness.checkout import CHECKOUT

TWICE: dict[str, str] = {}
"""Names that two modules give to a class or a type, and why both are right."""

ORDINARY = """
    abandon abort accept acceptor access acknowledged action activate active add address admin allocator announce
    announcer answer ask attempt balancer begin begun body bound boundary broker buffer busy called certificate change
    child close closed command commit compare compared comparison compressed compressor config connect connector
    context coordinator
    count current descriptor dns done down dumper entry error exit exited exporter failed failure figure file finish
    finished forward forwarded frame full gauge
    graceful handler handshake head health host http ids identity idle inherited interface key kill last lifecycle limit
    limiter
    link load loaded local
    log look lookup loop loss lost machine mode name new now notifier observer of old one open opened opener
    out over owner page part
    password path phase pid pipe plain plan poll polled port preflight present probe probed process protocol
    proxy publisher pump quick rate raw reached reader readiness ready rebalance rebalancer reclaimer record recorded
    refresher refused registry
    release reloader renewer reopener request requested resolver resource response result retried return role row rule
    runtime scale
    secret selectable selector self service settings shaking shot side signal socket source span spare spawn spec stacks
    start static
    started state step stop storage supervisor sweeper systemd table take takeover tally target test tick time timeout
    timer tls told
    took total tracker transition transport unix unreachable untrusted up wait waiter wanted watch watchdog watched wire
    with withdrawn writer written
"""
"""Words of class names that need no line in the glossary."""

CAMEL = re.compile(r"[A-Z][a-z]+|[A-Z]+(?![a-z])")


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


def _glossary() -> str:
    """The terms of the glossary in docs/architecture.rst."""
    page = (CHECKOUT / "docs" / "architecture.rst").read_text("utf-8")
    _, _, found = page.partition(".. glossary::\n")
    entries = re.findall(r"^   (\S.*)\n      \S", found, re.MULTILINE)
    assert 40 <= len(entries) <= 64
    return " ".join(entries)


def words_without_a_meaning(names: Iterable[str], known: str) -> Iterator[str]:
    """Words of class names that are neither in the glossary nor ordinary; a plural is its singular."""
    words = set(re.findall("[a-z]+", known.lower()))
    for name in names:
        for word in CAMEL.findall(name):
            if not words.intersection((word.lower(), word.lower().removesuffix("s"), word.lower().removesuffix("d"))):
                yield f"{name}: {word}"


def test_class_names_are_made_of_the_glossary() -> None:
    sources = [source for path, source in _sources().items() if path.startswith(("l7/master/", "l7/workers/"))]
    classes = [node.name for source in sources for node in ast.parse(source).body if isinstance(node, ast.ClassDef)]
    assert classes
    assert not list(words_without_a_meaning(classes, f"{_glossary()} {ORDINARY}"))


def test_a_riddle_is_found() -> None:
    names = ["DrainWorker", "Office", "ConnectionLedger", "_BackendTables", "TLSPool"]
    found = list(words_without_a_meaning(names, "drain worker connection backend table tls pool"))
    assert found == ["Office: Office", "ConnectionLedger: Ledger"]
