"""A configuration as an editor sees it: YAML 1.2, so that ``off`` is a text, ``8080`` a number and ``0123`` is 123."""

from __future__ import annotations

import re
from typing import Any

import yaml

_CORE = "tag:yaml.org,2002:"


class _Loader(yaml.CSafeLoader):
    """PyYAML with the core schema of YAML 1.2 (10.3.2)."""

    yaml_implicit_resolvers: dict[str | None, list[tuple[str, re.Pattern[str]]]] = {}  # noqa: RUF012 - PyYAML's form


for _tag, _pattern in {
    "merge": r"<<",
    "null": r"null|Null|NULL|~|",
    "bool": r"true|True|TRUE|false|False|FALSE",
    "int": r"[-+]?[0-9]+|0o[0-7]+|0x[0-9a-fA-F]+",
    "float": r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?|[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)",
}.items():
    _Loader.add_implicit_resolver(_CORE + _tag, re.compile(f"(?:{_pattern})\\Z"), None)


def _int(_: Any, node: Any) -> int:
    base = {"0o": 8, "0x": 16}.get(node.value[:2], 10)
    return int(node.value.removeprefix("0o").removeprefix("0x"), base)


def _number(_: Any, node: Any) -> float:
    return float(node.value.replace(".inf", "inf").replace(".nan", "nan").replace(".Inf", "inf").replace(".NaN", "nan"))


_Loader.add_constructor(_CORE + "int", _int)
_Loader.add_constructor(_CORE + "float", _number)


def as_editor(text: str) -> Any:
    """Return what an editor validates: keys are texts in JSON."""
    loader = _Loader(text)
    try:
        root = loader.get_single_node()
        return None if root is None else _plain(loader, root)
    finally:
        loader.dispose()  # type: ignore[no-untyped-call]


def _plain(loader: Any, node: Any) -> Any:
    if isinstance(node, yaml.MappingNode):
        loader.flatten_mapping(node)
        return {str(key.value): _plain(loader, value) for key, value in node.value}
    if isinstance(node, yaml.SequenceNode):
        return [_plain(loader, item) for item in node.value]
    return loader.construct_object(node)
