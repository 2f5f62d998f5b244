"""Hypothesis for this directory: the same examples every time; ``HYPOTHESIS_PROFILE=long`` searches for new ones."""

from __future__ import annotations

import os

from hypothesis import HealthCheck, settings

from tests.harness.passes import examples

settings.register_profile("ci", derandomize=True, max_examples=examples(150), deadline=None, database=None)
settings.register_profile(
    "long", max_examples=20_000, deadline=None, database=None, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "ci"))
