"""The content codings that answers may be compressed with, and what has to be installed for each.

gzip is of Python itself. For zstd there is a module of the standard library since 3.14, and the same one as a package
for older ones; brotli is a package. Both packages come with the extra ``l7[compression]``.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from importlib import import_module
from types import ModuleType
from typing import Any

from l7.config.values.names import did_you_mean
from l7.units import quoted

CODINGS = ("zstd", "br", "gzip")
"""All that l7 knows, the one that costs least for what it saves first: what ``true`` means."""
INSTALL = "pip install 'l7[compression]'"

_MODULES = {
    "gzip": ("zlib",),
    "zstd": ("compression.zstd", "backports.zstd"),
    "br": ("brotli",),
}


_found: dict[str, ModuleType] = {}


def library(coding: str) -> ModuleType | None:
    """The module that knows ``coding``; None where none is installed, or it cannot be imported."""
    if coding not in _found:
        for name in _MODULES[coding]:
            with suppress(ImportError):
                _found[coding] = import_module(name)
                break
    return _found.get(coding)


def installed() -> tuple[str, ...]:
    """The codings that can be used here, of `CODINGS` and in their order."""
    return tuple(coding for coding in CODINGS if library(coding) is not None)


def checked(names: Sequence[Any]) -> tuple[str, ...]:
    """Check a list of codings; raises ValueError where one is unknown, or not installed."""
    for name in names:
        if name not in CODINGS:
            hint = did_you_mean(str(name), CODINGS)
            raise ValueError(f"{quoted(name)} is no coding that l7 knows; write {', '.join(CODINGS)}{hint}")
        if names.count(name) > 1:
            raise ValueError(f"{name} is named twice")
        if library(name) is None:
            raise ValueError(f"{name} needs a package that is not installed: {INSTALL}, or leave {name} out")
    return tuple(names)
