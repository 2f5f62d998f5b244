"""All that a worker will ever import, imported before the first fork.

Two reasons. The account that l7 changes to may not be allowed to read the installation (a Python below /root, and
``nobody``): then an import in a worker fails where the same in the master succeeds. And what is there before the fork
is shared by all workers and costs none of them any time to begin.

None of this brings a gevent hub to life: that happens in each worker.
"""

from __future__ import annotations

import importlib
import os
import pkgutil

import gevent.monkey

from l7.config.codings import installed

_NAMES = (
    "_threading_local",
    "encodings.idna",
    "encodings.latin_1",
    "encodings.punycode",
    "encodings.utf_8_sig",
    "gevent.events",
    "gevent.local",
    "gevent.resolver.thread",
    "gevent.select",
    "gevent.selectors",
    "gevent.signal",
    "gevent.socket",
    "gevent.ssl",
    "gevent.subprocess",
    "gevent.thread",
    "gevent.threading",
    "gevent.threadpool",
    "gevent.time",
    "gevent.util",
    "pickle",
    "queue",
    "subprocess",
    "traceback",
)


def preload() -> None:
    """Import what gevent and the standard library would import later."""
    for name in _NAMES:
        importlib.import_module(name)
    for module in pkgutil.iter_modules(gevent.monkey.__path__):
        if module.name.startswith("_patch"):
            try:
                importlib.import_module(f"gevent.monkey.{module.name}")
            except ImportError:  # made for another version of Python
                continue
    if os.geteuid() == 0:
        installed()  # what compresses, though nothing may be compressed yet: a reload may ask for it
