"""The part of the schema below `recorder`: what is kept of the last requests."""

from __future__ import annotations

from typing import Annotated

from l7.config.model import BeforeValidator, Field
from l7.config.section import Section, Switch
from l7.config.values import jsontypes, scalars
from l7.config.values.backend import show_unless_off, unless_off
from l7.config.values.scalars import Form

MOST = 100_000
Kept = Annotated[int, BeforeValidator(scalars.whole(1, MOST)), Form("number", schema=jsontypes.whole(1, MOST))]


class RecorderSettings(Section):
    """What is kept of the last requests, for `l7 why` and `l7 tail`."""

    requests: Kept = Field(
        default=10_000,
        description="How many of the last requests are kept, of all workers together; at most 1 KiB of memory for "
        "each, twice that after a reload.",
    )
    failures: Kept = Field(
        default=1_000,
        description="How many of the last requests that failed are kept besides, so that good ones do not wash them "
        "away: those with a 5xx, or with a termination code other than `--` and `PR`.",
    )
    queries: Switch = Field(
        default=False,
        description="Whether the values in the query of a target are kept, too; they often are tokens and addresses of "
        "people. Without, its names are kept alone.",
    )


RecorderOrOff = Annotated[
    RecorderSettings | None, BeforeValidator(unless_off), Form("section or `off`", show_unless_off)
]
