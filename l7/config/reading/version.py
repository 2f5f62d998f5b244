"""What ``l7 --version`` says."""

from __future__ import annotations

import sys

from l7 import __version__
from l7.compiled import caution, flavour
from l7.config.codings import CODINGS, INSTALL, installed


def version() -> str:
    """Return what ``--version`` prints: what runs, what compresses, and what is amiss where l7 runs uncompiled."""
    first = f"l7 {__version__} ({flavour()}, Python {sys.version.split()[0]}, gevent {_gevent()})"
    return "\n".join(filter(None, (first, caution(), _codings())))


def _codings() -> str:
    """The codings that answers can be compressed with; and how to get those that are not installed."""
    there = installed()
    missing = [coding for coding in CODINGS if coding not in there]
    hint = f"; {' and '.join(missing)} by {INSTALL}" if missing else ""
    return f"compression: {', '.join(there)}{hint}"


def _gevent() -> str:
    import importlib.metadata as metadata

    try:
        return metadata.version("gevent")
    except metadata.PackageNotFoundError:
        return "missing"
