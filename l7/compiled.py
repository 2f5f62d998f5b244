"""Hot modules compiled from their own source: who runs compiled, and who decides.

A hot module ends with ``take_over(globals())``. Where an extension was built from just this source (`setup.py`, by
Cython), its names replace those of the module; else the module runs as it stands. There is one implementation: the
``.py`` file. Types for the compiler stand beside it in a ``.pxd``.

The extension of ``parser`` is called ``_c_parser``, so it never shadows its source; and the digests of the sources are
recorded when they are built, so an edited file is never ignored in favour of an old extension. It is all or nothing:
compiled modules know the layout of each other's classes. ``L7_PURE_PYTHON=1`` refuses them.
"""

from __future__ import annotations

import hashlib
import importlib
import json
import os
from pathlib import Path
from typing import Any

HOT = (
    "l7.http.messages",
    "l7.http.authority",
    "l7.http.fields",
    "l7.http.parser",
    "l7.http.framing",
    "l7.http.forwarding",
    "l7.exchange",
    "l7.balancing.routing",
    "l7.balancing.lane",
    "l7.balancing.members",
    "l7.balancing.hashring",
    "l7.balancing.policies",
    "l7.telemetry.counters",
    "l7.telemetry.lines",
    "l7.telemetry.accesslog",
    "l7.workers.stream",
    "l7.workers.crew",
    "l7.workers.pool",
    "l7.workers.body",
    "l7.workers.downstream",
    "l7.workers.relay",
    "l7.workers.upstream",
    "l7.workers.job",
    "l7.workers.proxy",
    "l7.workers.session",
    "l7.workers.share",
    "l7.workers.server",
)
"""The modules that a request runs through."""

PREFIX = "_c_"
TYPES = "types"
"""The entry of the record for the ``.pxd`` files."""
RECORD = "compiled.json"
"""Beside this module: the digest of each source that was compiled. Written by ``setup.py``."""

_PACKAGE = Path(__file__).parent


def digest(source: bytes) -> str:
    """What identifies a source."""
    return hashlib.sha256(source).hexdigest()


def extension_of(name: str) -> str:
    """The name of the extension for the module ``name``."""
    package, _, module = name.rpartition(".")
    return f"{package}.{PREFIX}{module}"


def source_of(name: str) -> str:
    """The path of the module ``name``, relative to where the package ``l7`` lies."""
    return name.replace(".", "/") + ".py"


def digest_of_types(directory: Path) -> str:
    """What identifies all ``.pxd`` files together: every module is compiled against the types of the others."""
    types = sorted((directory / "l7").rglob("*.pxd"))
    return digest(b"".join(path.name.encode() + path.read_bytes() for path in types))


def is_fresh(directory: Path) -> bool:
    """Whether every hot module below ``directory``, where ``l7`` lies, was compiled from the source that is there."""
    try:
        record = json.loads((directory / "l7" / RECORD).read_text("utf-8"))
        if record[TYPES] != digest_of_types(directory):
            return False
        return all(record[name] == digest((directory / source_of(name)).read_bytes()) for name in HOT)
    except (OSError, ValueError, KeyError, TypeError):
        return False


_wanted = os.environ.get("L7_PURE_PYTHON", "0") in ("", "0") and is_fresh(_PACKAGE.parent)


def take_over(namespace: dict[str, Any]) -> None:
    """Put the compiled names over those in ``namespace``, the globals of a hot module."""
    if not _wanted or namespace["__name__"] not in HOT:
        return
    twin = importlib.import_module(extension_of(namespace["__name__"]))
    namespace.update({key: value for key, value in vars(twin).items() if not key.startswith("__")})


def flavour() -> str:
    """How the hot modules run: ``compiled`` or ``pure Python``."""
    return "compiled" if _wanted else "pure Python"
