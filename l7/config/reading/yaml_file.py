"""A YAML file as plain data that remembers its lines; what YAML would guess is left to the schema.

Scalars stay the texts that were written, so that ``off`` is not false, ``0o17`` and ``1:30`` are no numbers and a
password of digits keeps its zeros; only ``~``, ``null`` and nothing at all become None. The tree is built from events
without recursion: neither deep nesting nor an alias that contains itself can exhaust the stack, and what aliases
expand to is bounded.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from typing import Any

import yaml

from l7.config.file_content import read_file
from l7.config.generation import Path
from l7.config.reading.document import Document
from l7.config.values.names import show_path
from l7.errors import Problem

LOADER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
DEEPEST = 50
TOO_DEEP = "nested too deeply"
LONGEST_KEY = 1024
"""Characters of a key that has no ``?`` before it (YAML 1.1, 9.1.3)."""
TOO_LONG = (
    f"a key of more than {LONGEST_KEY} characters; write '? ' before it, and its value behind ': ' on a line of its own"
)
MOST_EXPANDED = 200_000
"""Nodes that aliases may add to what is written."""

_CORE = "tag:yaml.org,2002:"
_TAGS = {None, "!", *(_CORE + name for name in ("str", "int", "float", "bool", "null", "map", "seq"))}
_NULLS = {"", "~", "null", "Null", "NULL"}


def read(name: str, read_bytes: Callable[[str], bytes] = read_file) -> Document:
    """Read and parse the file ``name``; whatever is wrong with it is in the document's problems, nothing is raised."""
    try:
        raw = read_bytes(os.path.expanduser(name))
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = raw.count(b"\n", 0, error.start) + 1
        return Document(name, problems=(Problem(f"{name}:{line}", "", "not a text file in UTF-8"),))
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) and error.strerror else "not a usable file name"
        return Document(name, problems=(Problem(name or "--config", "", f"cannot be read: {reason}"),))
    return parse(text, name)


def parse(text: str, name: str) -> Document:
    """Parse the text of the file ``name``."""
    try:
        root = _compose(text)
        document = Document(name)
        if root is None or root.value is None:
            return document
        plain = _Plain(name, document.lines)
        data = plain.convert(root, ())
    except _RefusedError as error:
        return Document(name, problems=(Problem(f"{name}:{error.line}", "", error.what),))
    if not isinstance(data, dict):
        plain.problems.append(Problem(f"{name}:{root.line}", "", "write a mapping of settings, as in `port: 8080`"))
        data = {}
    return Document(name, data, document.lines, tuple(plain.problems))


class _RefusedError(Exception):
    """The file is no YAML, or YAML of a kind that no configuration needs."""

    def __init__(self, line: int, what: str) -> None:
        super().__init__(line, what)
        self.line = line
        self.what = what


class _Node:
    """A text or None, a list of nodes, or a list of (key, value) pairs; ``open`` while its end has not been seen."""

    __slots__ = ("line", "mapping", "open", "value")

    def __init__(self, line: int, value: Any, *, mapping: bool = False) -> None:
        self.line = line
        self.value = value
        self.mapping = mapping
        self.open = isinstance(value, list)


# ------------------------------------------------------------------------------------------------- events to nodes


def _events(text: str) -> Iterator[Any]:
    """Yield the events of the text; raises `_RefusedError` for a syntax error, without repeating what is written."""
    try:
        yield from yaml.parse(text, Loader=LOADER)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        what = ", ".join(part for part in (error.context, error.problem) if part)
        if error.context == "while scanning an alias":
            what = "a text that begins with '*' must be quoted, as in '*.example.com'"
        elif "tag" in what:
            what = "tags have no meaning here; a text that begins with '!' must be quoted"
        elif "nesting depth" in what:  # some versions of libyaml have a limit of their own
            raise _RefusedError(mark.line + 1 if mark else 1, TOO_DEEP) from None
        elif "mapping values are not allowed" in what and mark is not None and mark.column > LONGEST_KEY:
            what = TOO_LONG
        elif "mapping values are not allowed" in what:
            what = "check the indentation, and quote a text that has ': ' in it"
        elif "cannot start any token" in what and mark is not None:
            what = _bad_start(text[mark.index : mark.index + 1]) or what
        raise _RefusedError(mark.line + 1 if mark else 1, f"not valid YAML: {what}") from None
    except yaml.reader.ReaderError as error:
        position = error.position if isinstance(error.position, int) else 0
        raise _RefusedError(text.count("\n", 0, position) + 1, "not valid YAML: it has control characters") from None


def _bad_start(character: str) -> str:
    """What to do about a character that nothing begins with; empty where nothing is known."""
    if character == "\t":
        return "a tab cannot indent; use spaces"
    return f"a text that begins with '{character}' must be quoted" if character in ("@", "`", "%") else ""


def _compose(text: str) -> _Node | None:
    """Return the root of the only document; None when there is none."""
    root: _Node | None = None
    stack: list[_Node] = []
    anchors: dict[str, _Node] = {}
    for event in _events(text):
        line = event.start_mark.line + 1
        if isinstance(event, (yaml.SequenceEndEvent, yaml.MappingEndEvent)):
            stack.pop().open = False
            continue
        if isinstance(event, yaml.DocumentStartEvent) and root is not None:
            raise _RefusedError(line, "a second document begins here; write one document")
        if not isinstance(event, yaml.NodeEvent):
            continue
        node = _alias(event, anchors, line) if isinstance(event, yaml.AliasEvent) else _node(event, line)
        if event.anchor and not isinstance(event, yaml.AliasEvent):
            anchors[event.anchor] = node
        if stack:
            stack[-1].value.append(node)
        else:
            root = node
        if isinstance(event, yaml.CollectionStartEvent):
            stack.append(node)
            if len(stack) > DEEPEST:
                raise _RefusedError(line, TOO_DEEP)
    return root


def _alias(event: Any, anchors: dict[str, _Node], line: int) -> _Node:
    # The name is not repeated: it may be a password that was not quoted.
    node = anchors.get(event.anchor)
    if node is None:
        raise _RefusedError(line, "an alias without an anchor; a text that begins with '*' must be quoted")
    if node.open:
        raise _RefusedError(line, "an alias to what contains it")
    return node


def _node(event: Any, line: int) -> _Node:
    if event.tag not in _TAGS:
        raise _RefusedError(line, "tags have no meaning here; a text that begins with '!' must be quoted")
    if isinstance(event, yaml.CollectionStartEvent):
        return _Node(line, [], mapping=isinstance(event, yaml.MappingStartEvent))
    plain = event.style in (None, "") and event.tag in (None, _CORE + "null")
    return _Node(line, None if plain and event.value in _NULLS else event.value)


# --------------------------------------------------------------------------------------------------- nodes to data


class _Plain:
    """Makes plain data of nodes, noting lines and every duplicate key on the way."""

    def __init__(self, name: str, lines: dict[Path, int]) -> None:
        self.name = name
        self.lines = lines
        self.problems: list[Problem] = []
        self._seen: set[int] = set()
        self._expanded = 0

    def convert(self, node: _Node, path: Path) -> Any:
        """Return the data of one node; the depth is bounded by `DEEPEST`, aliases included."""
        if not isinstance(node.value, list):
            return node.value
        self._count(node, path)
        if node.mapping:
            return self._mapping(node, path)
        items = []
        for index, item in enumerate(node.value):
            self.lines[(*path, index)] = item.line
            items.append(self.convert(item, (*path, index)))
        return items

    def _count(self, node: _Node, path: Path) -> None:
        if id(node) in self._seen:
            self._expanded += 1 + len(node.value)
        self._seen.add(id(node))
        if self._expanded > MOST_EXPANDED or len(path) > DEEPEST:
            raise _RefusedError(node.line, "aliases expand to too much")

    def _mapping(self, node: _Node, path: Path) -> dict[str, Any]:
        data: dict[str, Any] = {}
        merged: list[_Node] = []
        first: dict[str, int] = {}
        for key, value in zip(node.value[::2], node.value[1::2], strict=True):
            name = key.value if isinstance(key.value, str) else "null"
            if isinstance(key.value, list):
                self._problem(key.line, path, "a key must be a text; what contains braces must be quoted")
            elif name in first:
                self._problem(key.line, (*path, name), f"given twice, first on line {first[name]}")
            elif name == "<<":
                merged += value.value if isinstance(value.value, list) and not value.mapping else [value]
                first[name] = key.line
            else:
                first[name] = self.lines[(*path, name)] = key.line
                data[name] = self.convert(value, (*path, name))
        for base in merged:
            self._merge(base, data, path)
        return data

    def _merge(self, base: _Node, data: dict[str, Any], path: Path) -> None:
        """Add what a ``<<`` brings; keys that are written, or come from an earlier base, win."""
        if not base.mapping:
            self._problem(base.line, (*path, "<<"), "write an alias of a mapping, or a list of them")
            return
        # A base is converted apart, so that its lines do not hide those of keys that are written.
        part = _Plain(self.name, {})
        part._seen, part._expanded = self._seen, self._expanded
        brought = part.convert(base, path)
        self._expanded = part._expanded
        self.problems += part.problems
        new = {key: value for key, value in brought.items() if key not in data}
        data.update(new)
        depth = len(path)
        self.lines.update({at: line for at, line in part.lines.items() if at[depth] in new})

    def _problem(self, line: int, path: Path, what: str) -> None:
        self.problems.append(Problem(f"{self.name}:{line}", show_path(path), what))
