"""A configuration that was loaded, and the numbered generation that the master makes of it."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from pydantic import SecretStr

from l7.config.schema import Config
from l7.errors import Problem

Path = tuple[str | int, ...]
"""The place of a value: YAML keys and list indexes, as in ``("backends", "example.com", "servers", 0, "address")``."""
Sources = Mapping[Path, str]
"""Where values came from: ``--port``, ``L7_PORT``, ``config.yml:3``, ``argument``. What is not in it is a default."""


@dataclass(frozen=True)
class Loaded:
    """One successful load. ``warnings`` are for the user's eyes; ``file`` is named as the user named it."""

    config: Config
    sources: Sources = field(default_factory=dict)
    warnings: tuple[Problem, ...] = ()
    file: str | None = None

    @property
    def digest(self) -> str:
        """Twelve hexadecimal digits that are equal for equal configurations, passwords included."""
        return digest(self.config)

    def generation(self, number: int) -> Generation:
        """Return this configuration as generation ``number``."""
        return Generation(number, self.config, self.digest, self.sources)


@dataclass(frozen=True)
class Generation:
    """What one set of workers serves: it never changes."""

    number: int
    config: Config
    digest: str
    sources: Sources = field(default_factory=dict)


def digest(config: Config) -> str:
    """Return the digest of a configuration: SHA-256 over its canonical form, cut to twelve digits."""
    canonical = json.dumps(config.model_dump(mode="python"), sort_keys=True, default=_reveal)
    return hashlib.sha256(canonical.encode()).hexdigest()[:12]


def _reveal(value: Any) -> str:
    return value.get_secret_value() if isinstance(value, SecretStr) else str(value)
