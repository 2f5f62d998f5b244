"""What the master asks for configurations."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from l7.config.generation import Generation, Loaded, Reference
from l7.master.resources.privileged_opener import PrivilegedOpener


class ConfigSource(Protocol):
    """Flags, variables and file."""

    def load(self, opener: PrivilegedOpener, reference: Reference | None = None) -> Loaded:
        """Read all of it; raises `ConfigError`, and `StartError` where it cannot be tried.

        :param opener: reads the file where the master may not.
        :param reference: what the result is compared with.
        """

    def dump(self, opener: PrivilegedOpener, generation: Generation, worker_lines: Sequence[str]) -> str:
        """A generation as YAML (`l7.config.rendering.dump.render_dump`); raises `StartError`."""
