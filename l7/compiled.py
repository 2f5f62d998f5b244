"""Hot modules compiled to extensions by Cython: which these are, and whether the extensions or the sources run.

There is one implementation: the ``.py`` file. Types for the compiler stand in the ``.pxd`` beside it; ``setup.py``
makes the extension ``l7.http.parser`` from ``l7/http/parser.py``, and Python prefers an extension to a source of its
name. It is all or nothing, because compiled modules know the layout of each other's classes: where the extension of one
hot module is missing, as in an editable install or under another Python than the one it was built for, all sources run.
``L7_PURE_PYTHON=1`` builds no extensions, and runs the sources where there are some.
"""

from __future__ import annotations

import os
import re
import sys
import warnings
from collections.abc import Mapping, Sequence
from importlib.machinery import EXTENSION_SUFFIXES, ExtensionFileLoader, ModuleSpec
from importlib.util import spec_from_file_location
from types import ModuleType

HOT = (
    "l7.networks",
    "l7.http.messages",
    "l7.http.authority",
    "l7.http.fields",
    "l7.http.parser",
    "l7.http.framing",
    "l7.http.forwarding",
    "l7.exchange",
    "l7.balancing.routing",
    "l7.rules.heads.headers",
    "l7.rules.context",
    "l7.rules.rule",
    "l7.rules.templates",
    "l7.rules.rate_limit",
    "l7.rules.ruleset",
    "l7.rules.access",
    "l7.rules.body_limit",
    "l7.rules.heads.header_rules",
    "l7.sharedmem.counters",
    "l7.sharedmem.rate_limits",
    "l7.balancing.members",
    "l7.balancing.policies",
    "l7.telemetry.counters",
    "l7.telemetry.access_log_formats",
    "l7.telemetry.access_log",
    "l7.telemetry.recorder.writer",
    "l7.workers.transport.plain",
    "l7.workers.transport.stream",
    "l7.workers.transport.tls_records",
    "l7.workers.transport.tls",
    "l7.workers.runtime.greenlet_pool",
    "l7.workers.upstream.pool",
    "l7.workers.downstream.client_exchange",
    "l7.workers.downstream.body",
    "l7.workers.limits",
    "l7.workers.downstream.request_handler",
    "l7.workers.upstream.relay",
    "l7.workers.upstream.websocket_frames",
    "l7.workers.upstream.tunnel",
    "l7.workers.upstream.backend",
    "l7.workers.upstream.request_deadline",
    "l7.workers.upstream.forwarded_request",
    "l7.workers.request_ids",
    "l7.workers.attempts",
    "l7.workers.proxy",
    "l7.workers.downstream.http1_exchange",
    "l7.workers.downstream.connection",
    "l7.workers.downstream.accept_balancer",
    "l7.workers.downstream.connection_handler",
)
"""The modules that a request runs through."""
_HOT = frozenset(HOT)

PURE_PYTHON = "L7_PURE_PYTHON"

_PACKAGE = os.path.dirname(__file__)


def pure_wanted(environ: Mapping[str, str]) -> bool:
    """Whether the environment asks for no compiled modules: ``L7_PURE_PYTHON`` is set, and not to 0."""
    return environ.get(PURE_PYTHON, "") not in ("", "0")


def source_of(name: str) -> str:
    """The path of the module ``name``, relative to where the package ``l7`` lies."""
    return name.replace(".", "/") + ".py"


def missing(package: str) -> list[str]:
    """The hot modules of which there is no extension for this Python in ``package``, the directory of ``l7``."""
    stems = {name: _path_of(name, package).removesuffix(".py") for name in HOT}
    return [name for name, stem in stems.items() if not any(os.path.exists(stem + end) for end in EXTENSION_SUFFIXES)]


def _path_of(name: str, package: str) -> str:
    return os.path.join(os.path.dirname(package), source_of(name))


class SourceFinder:
    """Finds the sources of hot modules, also where there are extensions; stands before the other finders."""

    @staticmethod
    def find_spec(name: str, path: Sequence[str] | None, target: ModuleType | None = None) -> ModuleSpec | None:
        """The source of the module ``name`` when it is a hot one, else None."""
        if name not in _HOT:
            return None
        return spec_from_file_location(name, _path_of(name, _PACKAGE))


class MixedBuildError(ImportError):
    """An extension of one build lies beside those of another one."""


_MIXED = re.compile(r"size changed|has wrong signature|does not export|__pyx_capi__|undefined symbol")
"""How extensions of different builds fail, in Cython's and the linker's words."""


class ExtensionLoader(ExtensionFileLoader):
    """Loads the extension of a hot module."""

    def exec_module(self, module: ModuleType) -> None:
        """Run it; raises `MixedBuildError` where it knows other layouts of classes than those that are there."""
        try:
            with warnings.catch_warnings():
                warnings.filterwarnings("error", ".*size changed", RuntimeWarning)  # a class that has grown
                super().exec_module(module)
        except (AttributeError, ImportError, RuntimeWarning, TypeError, ValueError) as failure:
            if isinstance(failure, MixedBuildError) or not _MIXED.search(str(failure)):
                raise
            raise MixedBuildError(
                f"{self.path} is not of the same build as the other compiled modules ({failure}): "
                "install l7 again, by pip install --force-reinstall"
            ) from None


class ExtensionFinder:
    """Finds the extensions of hot modules; stands before the other finders."""

    @staticmethod
    def find_spec(name: str, path: Sequence[str] | None, target: ModuleType | None = None) -> ModuleSpec | None:
        """The extension of the module ``name`` when it is a hot one, else None."""
        if name not in _HOT:
            return None
        stem = _path_of(name, _PACKAGE).removesuffix(".py")
        found = next(stem + end for end in EXTENSION_SUFFIXES if os.path.exists(stem + end))
        return spec_from_file_location(name, found, loader=ExtensionLoader(name, found))


_missing = missing(_PACKAGE)
_pure = bool(_missing) or pure_wanted(os.environ)
sys.meta_path.insert(0, SourceFinder if _pure else ExtensionFinder)


def is_compiled() -> bool:
    """Whether the hot modules run as extensions."""
    return not _pure


def flavour() -> str:
    """How the hot modules run: ``compiled`` or ``pure Python``."""
    return "pure Python" if _pure else "compiled"


def caution() -> str:
    """Why l7 runs uncompiled, what to do, and what it costs; empty where it runs compiled."""
    if not _pure:
        return ""
    return f"not compiled: {_reason(_missing)}; a request takes about six times the CPU of a compiled l7"


def _reason(absent: Sequence[str]) -> str:
    if not absent:
        return f"{PURE_PYTHON} is set (unset it)"
    if len(absent) == len(HOT):
        how = "pip install --force-reinstall --no-cache-dir, and not as an editable one"  # pip may have kept a pure one
        return f"there are no compiled modules for this Python ({how})"
    others = f" and {len(absent) - 1} more" if len(absent) > 1 else ""
    return f"the compiled module of {absent[0]}{others} is missing (install l7 again)"
