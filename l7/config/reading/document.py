"""What a file says, whoever has read it (`l7.config.reading.yaml_file`): no YAML is imported where there is no file."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from l7.config.generation import Path
from l7.errors import Problem


@dataclass(frozen=True)
class Document:
    """The content of a file: texts, None, lists and dicts; ``lines`` has the line of every key and list item."""

    name: str
    data: dict[str, Any] = field(default_factory=dict)
    lines: dict[Path, int] = field(default_factory=dict)
    problems: tuple[Problem, ...] = ()
