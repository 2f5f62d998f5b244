"""Lines of events, by the names that stay and not by the words for people."""

from __future__ import annotations

import re

from l7.telemetry.eventnames import NAMES


def event_pattern(sought: str, facts: dict[str, object]) -> str:
    """A regular expression for the events called *sought* with these facts; *sought* itself where it is no name."""
    if sought not in NAMES:
        assert not facts, f"{sought!r} is no name of an event, and {facts} no facts of one"
        return sought
    wanted = "".join(rf'(?=.* {key}="?{re.escape(str(value))}"?(?: |: ))' for key, value in facts.items())
    return rf"\] {re.escape(sought)}(?=[ :]){wanted}"
