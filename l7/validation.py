"""Whether this process validates configurations, or is given one that another process has validated.

pydantic, the validators of the schema and what reads files are a third of the memory of all that l7 imports. A process
that serves needs none of them: it says so by `leave_to_others`, before it imports anything of the schema.
"""

from __future__ import annotations

import os
import sys

here = True
"""Whether the schema has its validators in this process (`l7.config.model`)."""

_stamp: tuple[int, int, int] | None = None
_SCHEMA = "l7.config"
_MODEL = "l7.config.model"


def leave_to_others() -> None:
    """From now on this process, and those that it forks, know the schema without its validators.

    It is too late for that where the schema has been imported.
    """
    global here, _stamp
    here = _MODEL in sys.modules
    _stamp = _stamp_now()


def is_replaced() -> bool:
    """Whether the package on the disk is another one by now than that which runs: no part of it fits then."""
    return not here and _stamp_now() != _stamp


def _stamp_now() -> tuple[int, int, int] | None:
    try:
        found = os.stat(str(sys.modules["l7"].__file__))
    except OSError:
        return None
    return found.st_ino, found.st_mtime_ns, found.st_size


def bring_back() -> None:
    """In a child that reads a configuration: the schema is imported anew, with its validators."""
    global here
    if here:
        return
    here = True
    for name in [name for name in sys.modules if name == _SCHEMA or name.startswith(f"{_SCHEMA}.")]:
        del sys.modules[name]
