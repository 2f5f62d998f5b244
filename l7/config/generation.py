"""A configuration that was loaded, and the numbered generation that the master makes of it."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from l7.config.addresses import Address
from l7.config.names import Path
from l7.config.schema import Config
from l7.config.secret import SecretStr
from l7.config.section import Section
from l7.errors import Problem

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
    canonical = json.dumps(vars(config), sort_keys=True, default=_plain)
    return hashlib.sha256(canonical.encode()).hexdigest()[:12]


def _plain(value: Any) -> Any:
    if isinstance(value, (Section, Address)):
        return vars(value)
    return value.get_secret_value() if isinstance(value, SecretStr) else str(value)
