"""Events: the log of l7 itself, one line each on standard error.

A line is ``2026-11-23T15:19:00.123Z info l7[4711] generation 3: text``. An event that a program may wait for has a name
and fields in place of the generation, ``info l7[4711] reload.done generation=3 workers=2: text``; the names are those
of `l7.telemetry.eventnames`. A line is written with one system call and only where it does not block: a standard error
that is closed, full or stalled loses lines, it never holds up a process. Callers keep passwords out of events.
"""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Mapping
from datetime import datetime, timezone
from select import PIPE_BUF, POLLOUT, poll  # by name: a worker's loop may not switch while it writes an event

from l7.units import one_line

LEVELS = ("debug", "info", "warning", "error")
"""From the most verbose to the least."""
LONGEST = PIPE_BUF - 1
"""The longest line in bytes without its newline: a pipe takes that many at once or none."""
PATIENCE = 100
"""Milliseconds to wait for a reader that lags behind."""


_QUOTED = re.compile(r"[\s\"]")
"""Characters that make a field's value need quotation marks."""


class Named(str):
    """The text of an event that has a name and fields; as a ``str`` it is the text alone."""

    __slots__ = ("facts", "name")

    name: str
    facts: Mapping[str, object]


def named(name: str, words: str, /, **facts: object) -> Named:
    """An event's text with its name, one of `l7.telemetry.eventnames`, and its fields."""
    text = Named(words)
    text.name, text.facts = name, facts
    return text


def prefixed(prefix: str, text: str) -> str:
    """``text`` behind a prefix, keeping its name, if it has one."""
    return named(text.name, prefix + text, **text.facts) if isinstance(text, Named) else prefix + text


class Events:
    """Writes events of one process; ``generation`` is 0 until there is one."""

    def __init__(self, level: str = "info", *, descriptor: int = 2, generation: int = 0) -> None:
        self.level = level
        self.generation = generation
        self._descriptor = descriptor
        self._lost = 0

    def debug(self, text: str) -> None:
        """Write a detail for debugging."""
        self.write("debug", text)

    def info(self, text: str) -> None:
        """Write something that went as asked."""
        self.write("info", text)

    def warning(self, text: str) -> None:
        """Write something that l7 copes with and an operator should know."""
        self.write("warning", text)

    def error(self, text: str) -> None:
        """Write something that an operator has to act on."""
        self.write("error", text)

    def write(self, level: str, text: str, generation: int | None = None) -> None:
        """Write one event, unless its level is below the configured one; never raises for a failing output."""
        if LEVELS.index(level) < LEVELS.index(self.level):
            return
        number = self.generation if generation is None else generation
        about = _about(text, number)
        if self._lost:
            text += f" ({self._lost} events before this one were lost)"
        if self._put(f"{_timestamp()} {level} l7[{os.getpid()}] {one_line(about + text)}"):
            self._lost = 0
        else:
            self._lost += 1

    def _put(self, line: str) -> bool:
        encoded = line.encode("utf-8", "backslashreplace")
        if len(encoded) > LONGEST:
            encoded = encoded[: LONGEST - 3] + b"..."
        try:
            ready_to_take = poll()
            ready_to_take.register(self._descriptor, POLLOUT)
            ready = ready_to_take.poll(PATIENCE if not self._lost else 0)
            if not ready or not ready[0][1] & POLLOUT:
                return False
            os.write(self._descriptor, encoded + b"\n")
        except OSError:
            return False
        return True


def _about(text: str, generation: int) -> str:
    """The part before the text: name and fields, or the generation alone."""
    if not isinstance(text, Named):
        return f"generation {generation}: " if generation else ""
    facts = {"generation": generation, **text.facts} if generation else text.facts
    return "".join((text.name, *(f" {key}={_value(str(fact))}" for key, fact in facts.items()), ": "))


def _value(fact: str) -> str:
    return fact if fact and not _QUOTED.search(fact) else '"' + fact.replace('"', "'") + '"'


def _timestamp() -> str:
    now = datetime.now(timezone.utc)
    return f"{now:%Y-%m-%dT%H:%M:%S}.{now.microsecond // 1000:03d}Z"


def complain(text: str) -> None:
    """Write to standard error, line by line, for the user at the terminal; errors of writing are ignored."""
    try:
        sys.stderr.write(text + "\n")
        sys.stderr.flush()
    except (OSError, ValueError, AttributeError):
        return
