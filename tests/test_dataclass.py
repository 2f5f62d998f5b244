"""A dataclass of l7 is one of the standard library in all that l7 uses: values, comparisons, what is refused."""

from __future__ import annotations

import dataclasses
import pickle
from collections.abc import Callable
from dataclasses import field, replace
from typing import Any

import pytest

from l7.dataclass import dataclass

BOTH = [pytest.param(dataclasses.dataclass, id="standard"), pytest.param(dataclass, id="l7")]


@dataclass(frozen=True, order=True)
class Point:
    """Words."""

    x: int
    y: int = 0
    name: str = field(default="", compare=False, repr=False)


@dataclass(frozen=True)
class Named(Point):
    """One with more fields, one of which is made."""

    tags: list[str] = field(default_factory=list)


def _classes(dataclass_of: Callable[..., Any]) -> tuple[Any, Any]:
    @dataclass_of(frozen=True, order=True)
    class Frozen:
        """Words."""

        a: int
        b: str = "b"
        c: int = field(default=0, compare=False, repr=False)
        made: int = field(init=False)

        def __post_init__(self) -> None:
            object.__setattr__(self, "made", self.a * 2)

    @dataclass_of
    class Open:
        a: int
        b: list[int] = field(default_factory=list)

        def __repr__(self) -> str:
            return "its own"

    return Frozen, Open


@pytest.mark.parametrize("dataclass_of", BOTH)
def test_values_comparisons_and_texts(dataclass_of: Callable[..., Any]) -> None:
    frozen, opened = _classes(dataclass_of)
    one = frozen(1, c=3)
    assert (one.a, one.b, one.c, one.made) == (1, "b", 3, 2)
    assert one == frozen(a=1, c=4) and hash(one) == hash(frozen(1)) and one != frozen(2) and one != "b"
    assert one < frozen(2) and frozen(2) > one and one <= frozen(1) and frozen(1) >= one
    assert repr(one).endswith("Frozen(a=1, b='b', made=2)")
    assert replace(one, b="c") == frozen(1, "c") and frozen.__match_args__ == ("a", "b", "c")
    first, second = opened(1), opened(1)
    assert first == second and first.b is not second.b and repr(first) == "its own"
    first.a = 2
    assert dataclasses.asdict(first) == {"a": 2, "b": []}
    with pytest.raises(TypeError, match="unhashable"):
        hash(first)


@pytest.mark.parametrize("dataclass_of", BOTH)
def test_what_is_refused(dataclass_of: Callable[..., Any]) -> None:
    frozen, _ = _classes(dataclass_of)
    for args, values in (((), {}), ((1, "b", 3, 4), {}), ((1,), {"a": 1}), ((1,), {"d": 1}), ((), {"b": ""})):
        with pytest.raises(TypeError):
            frozen(*args, **values)
    with pytest.raises(dataclasses.FrozenInstanceError, match="'a'"):
        frozen(1).a = 2
    with pytest.raises(dataclasses.FrozenInstanceError, match="'a'"):
        del frozen(1).a
    with pytest.raises(TypeError, match="<"):
        _ = frozen(1) < 2


def test_one_of_another_and_pickled() -> None:
    named = Named(1, tags=["a"])
    assert named == Named(1, 0, "not compared", ["a"]) and named != Point(1) and Point(1) != named
    assert pickle.loads(pickle.dumps(named)) == named
