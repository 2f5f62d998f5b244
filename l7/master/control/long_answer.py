"""An answer with lists that may be very long: it is made while it is sent, a few milliseconds at a time.

So ten thousand servers hold up no signal and no child that has ended, and take no memory for all of them at once.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from l7.clock import monotonic
from l7.ipc.requests import Answer

PIECE_WITHIN = 0.002
"""Seconds that the entries of a piece take to be made, and those of the last one of them more."""

Entries = Iterable[Mapping[str, Any] | None]
"""What a list consists of; None is left out: so whoever finds nothing for long lets others have their turn."""


def pieces_of(answer: Answer, lists: Mapping[str, Entries]) -> Iterator[bytes]:
    """Yield an answer with the ``lists`` behind it as one line of JSON, piece by piece; a piece may be empty."""
    text = json.dumps(answer).removesuffix("}")
    for name, entries in lists.items():
        text += f"{'' if text == '{' else ', '}{json.dumps(name)}: ["
        separator, made, until = "", [], monotonic() + PIECE_WITHIN
        for entry in entries:
            if entry is not None:
                made.append(entry)
            if monotonic() >= until:
                if made:
                    text += separator + json.dumps(made)[1:-1]
                    separator, made = ", ", []
                yield text.encode()
                text, until = "", monotonic() + PIECE_WITHIN
        text += (separator + json.dumps(made)[1:-1] if made else "") + "]"
    yield f"{text}}}\n".encode()
