"""What the master asks for configurations."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from l7.config.generation import ConfigDump, Generation, Loaded, Reference
from l7.master.resources.privileged_opener import PrivilegedOpener


class ConfigSource(Protocol):
    """Flags, variables and file."""

    def load(self, opener: PrivilegedOpener, reference: Reference | None = None) -> Loaded:
        """Read all of it; raises `ConfigError`, and `StartError` where it cannot be tried.

        :param opener: reads the file where the master may not.
        :param reference: what the result is compared with.
        """

    def dump(self, opener: PrivilegedOpener, generation: Generation, worker_lines: Sequence[str]) -> ConfigDump:
        """A generation that is to be shown, with a line for each process; raises `StartError`."""
