"""What ``l7 --version`` says."""

from __future__ import annotations

import sys

from l7 import __version__
from l7.compiled import caution, flavour


def version() -> str:
    """Return what ``--version`` prints: a line, and a second one where l7 runs uncompiled."""
    first = f"l7 {__version__} ({flavour()}, Python {sys.version.split()[0]}, gevent {_gevent()})"
    return "\n".join(filter(None, (first, caution())))


def _gevent() -> str:
    import importlib.metadata as metadata

    try:
        return metadata.version("gevent")
    except metadata.PackageNotFoundError:
        return "missing"
