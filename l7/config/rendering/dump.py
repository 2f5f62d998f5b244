"""The effective configuration as YAML that loads back, each value with where it came from."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from functools import lru_cache
from typing import Any

import yaml
from pydantic import BaseModel, SecretStr

from l7.config.generation import Generation, Loaded, Path, Sources
from l7.config.schema import Config
from l7.config.sections.listeners import SHORT_FORM
from l7.config.values.names import printable
from l7.config.values.scalars import REDACTED

_PLAIN = re.compile(r"[A-Za-z0-9_./](?:[A-Za-z0-9_./:@+%-]*[A-Za-z0-9_./@+%-])?", re.ASCII)
_RESOLVER: Any = yaml.resolver.Resolver()
_TEXT = "tag:yaml.org,2002:str"


def render_dump(loaded: Loaded | Generation, worker_lines: Sequence[str] | None = None) -> str:
    """Return the configuration as a YAML document without markers; passwords are shown as ``***``.

    ``worker_lines`` become a comment block above it.
    """
    comments = [f"# {printable(line, 500)}" for line in worker_lines or ()]
    return "\n".join([*comments, *_section(loaded.config, (), loaded.sources)]) + "\n"


def source_of(sources: Sources, path: Path) -> str:
    """Return where the value at ``path`` came from; items of lists, plain addresses and URLs share their parent's."""
    if path in sources:
        return sources[path]
    if path and (isinstance(path[-1], int) or path[-1] in ("address", "to")):
        return source_of(sources, path[:-1])
    return "default"


def _section(section: BaseModel, path: Path, sources: Sources) -> Iterator[str]:
    indent = "  " * len([part for part in path if isinstance(part, str)])
    for name in _shown(section, path):
        value = getattr(section, name)
        key = name.replace("_", "-")
        shown = section.shown(name, value)  # type: ignore[attr-defined]
        whole = isinstance(value, BaseModel) or (value and isinstance(value, dict))
        yield from _entry(key, value if whole else shown, (*path, key), sources, indent)


def _shown(section: BaseModel, path: Path) -> list[str]:
    """The settings of a section that are shown: all of them, and of the defaults for backends those that were given.

    What else backends have stands below each of them. Beside `listeners` their short form means nothing.
    """
    if path[:1] == ("defaults",):
        return [name for name in type(section).model_fields if name in section.model_fields_set]
    unused = SHORT_FORM if isinstance(section, Config) and section.listeners else ()
    return [name for name in type(section).model_fields if name not in unused]


def _entry(key: str, value: Any, path: Path, sources: Sources, indent: str) -> Iterator[str]:
    """Yield the lines of one key and its value."""
    if isinstance(value, SecretStr):
        value = REDACTED
    if isinstance(value, BaseModel) and not _shown(value, path):
        value = {}
    if value in ({}, [], ()) or not isinstance(value, (BaseModel, dict, list, tuple)):
        yield f"{indent}{scalar(key)}: {scalar(value)}  # {printable(source_of(sources, path))}"
        return
    yield f"{indent}{scalar(key)}:"
    if isinstance(value, BaseModel):
        yield from _section(value, path, sources)
    elif isinstance(value, dict):
        for name, item in value.items():
            yield from _entry(name, item, (*path, name), sources, indent + "  ")
    else:
        for index, item in enumerate(value):
            yield from _item(item, (*path, index), sources, indent)


def _item(item: Any, path: Path, sources: Sources, indent: str) -> Iterator[str]:
    if not isinstance(item, BaseModel):
        shown = REDACTED if isinstance(item, SecretStr) else str(item)
        yield f"{indent}- {scalar(shown)}  # {printable(source_of(sources, path))}"
        return
    lines = list(_section(item, path, sources))
    for number, line in enumerate(lines):
        yield f"{indent}{'  ' if number else '- '}{line[len(indent) + 2 :]}"


@lru_cache(maxsize=4096)
def _text(text: str) -> str:
    if not text.isprintable() or not text.isascii():
        return str(yaml.safe_dump(text, default_style='"', width=10**9)).rstrip("\n")
    if _PLAIN.fullmatch(text) and _RESOLVER.resolve(yaml.ScalarNode, text, (True, False)) == _TEXT:
        return text
    return "'" + text.replace("'", "''") + "'"


def scalar(value: Any) -> str:
    """Write one value in YAML, so that both YAML 1.1 and 1.2 read the same."""
    if value is None:
        return "null"
    if isinstance(value, str):
        return _text(value)
    if isinstance(value, bool):
        return "true" if value else "false"
    return {"{}": "{}", "()": "[]", "[]": "[]"}.get(str(value), str(value))
