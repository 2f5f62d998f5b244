"""Cases of the corpus by the handful: to run a test costs more than to run one case, and there are thousands."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator
from typing import Any, Protocol, TypeVar

import pytest

MOST = 20
"""Cases in one test; a family has as many tests as it needs."""


class Named(Protocol):
    """A case, or an exchange."""

    @property
    def family(self) -> str:
        """The part of the name before the first slash."""


C = TypeVar("C", bound=Named)


def batches(cases: Iterable[C]) -> list[Any]:
    """Make the parameters of a test: lists of cases of one family, in their order."""
    families: dict[str, list[C]] = {}
    for case in cases:
        families.setdefault(case.family, []).append(case)
    return [
        pytest.param(members[begin : begin + MOST], id=f"{family}-{begin // MOST}")
        for family, members in families.items()
        for begin in range(0, len(members), MOST)
    ]


def each(batch: list[C]) -> Iterator[tuple[C, contextlib.AbstractContextManager[None]]]:
    """Yield each case, with the context to run it in: what goes wrong there names the case."""
    for case in batch:
        yield case, _naming(case)


@contextlib.contextmanager
def _naming(case: Named) -> Iterator[None]:
    try:
        yield
    except Exception as error:
        raise AssertionError(f"{case}: {error!r}") from error
