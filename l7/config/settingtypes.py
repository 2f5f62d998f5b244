"""The types of settings that more than one part of the schema uses."""

from __future__ import annotations

from typing import Annotated

from l7.config import jsontypes, values
from l7.config.section import Parser
from l7.config.values import Form

Count = Annotated[int, Parser(values.whole(1, 1_000_000)), Form("number", schema=jsontypes.whole(1, 1_000_000))]
CountOrUnlimited = Annotated[
    int | None,
    Parser(values.count_or_unlimited),
    Form("number or `unlimited`", values.show_count_or_unlimited, jsontypes.whole(1, 1_000_000)),
]
Share = Annotated[float, Parser(values.share), Form("share", values.show_share, jsontypes.SHARE)]
Duration = Annotated[float, Parser(values.duration(0)), Form("duration", values.show_duration, jsontypes.duration(0))]
Timeout = Annotated[
    float, Parser(values.duration(0.001)), Form("duration", values.show_duration, jsontypes.duration(0.001))
]
Period = Annotated[
    float, Parser(values.duration(0.01)), Form("duration", values.show_duration, jsontypes.duration(0.01))
]
TimeoutOrUnlimited = Annotated[
    float | None,
    Parser(values.duration_or_unlimited(0.001)),
    Form("duration or `unlimited`", values.show_duration_or_unlimited, jsontypes.duration(0.001)),
]
DurationOrUnlimited = Annotated[
    float | None,
    Parser(values.duration_or_unlimited(0)),
    Form("duration or `unlimited`", values.show_duration_or_unlimited, jsontypes.duration(0)),
]
