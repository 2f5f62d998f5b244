"""Dataclasses that have their methods at once: the standard library compiles six functions for each, at each start.

For the hundred and eighty of l7 that was a quarter of what it took to import it. Fields and their defaults, and what
``replace``, ``asdict`` and ``match`` go by, are the standard library's; what a type checker sees is its ``dataclass``.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from dataclasses import field
from operator import attrgetter
from typing import TYPE_CHECKING, Any

__all__ = ["dataclass", "field"]

_put = object.__setattr__


def _made(cls: type, *, init: bool = True, eq: bool = True, order: bool = False, frozen: bool = False) -> type:
    """``cls`` with what ``dataclasses.dataclass`` would give it; what the class itself defines is left alone."""
    if cls.__doc__ is None:
        cls.__doc__ = cls.__name__  # else it would be made of the signature
    dataclasses.dataclass(init=False, repr=False, eq=False)(cls)
    methods: dict[str, Any] = {"__repr__": _repr}
    if init:
        methods["__init__"] = _init_of(cls)
    if eq:
        methods |= _comparisons(_values_of(cls), order)
        methods["__hash__"] = methods["__hash__"] if frozen else None
    if frozen:
        methods |= {"__setattr__": _refuse_to_set, "__delattr__": _refuse_to_delete}
    for name, method in methods.items():
        if name not in cls.__dict__:
            setattr(cls, name, method)
    return cls


def _init_of(cls: type) -> Callable[..., None]:
    fields = [one for one in dataclasses.fields(cls) if one.init]
    names = tuple(one.name for one in fields)
    defaults = {one.name: one.default for one in fields if one.default is not dataclasses.MISSING}
    factories = [(one.name, one.default_factory) for one in fields if one.default_factory is not dataclasses.MISSING]
    count, has_more = len(names), hasattr(cls, "__post_init__")

    def __init__(self: Any, /, *args: Any, **values: Any) -> None:
        given = len(args) + len(values)
        values.update(zip(names, args, strict=False))
        if len(values) != given:
            raise TypeError(f"{cls.__name__} was given more than its fields, or one of them twice")
        if given < count:
            for name, make in factories:
                if name not in values:
                    values[name] = make()
            values = {**defaults, **values}
        try:
            for name in names:
                _put(self, name, values[name])
        except KeyError:
            raise TypeError(f"{cls.__name__}: {_what_differs(names, values)}") from None
        if len(values) > count:
            raise TypeError(f"{cls.__name__}: {_what_differs(names, values)}")
        if has_more:
            self.__post_init__()

    return __init__


def _what_differs(names: tuple[str, ...], values: dict[str, Any]) -> str:
    unknown, missing = [name for name in values if name not in names], [name for name in names if name not in values]
    return f"there is no field {unknown[0]!r}" if unknown else f"field {missing[0]!r} has no value"


def _values_of(cls: type) -> Callable[[Any], Any]:
    """What gives the values of an instance that are compared."""
    names = [one.name for one in dataclasses.fields(cls) if one.compare]
    if len(names) > 1:
        return attrgetter(*names)
    return lambda self: tuple(getattr(self, name) for name in names)


def _comparisons(values: Callable[[Any], Any], order: bool) -> dict[str, Any]:
    """The methods that compare two of one class, by their values; and ``__hash__``."""

    def equal(self: Any, other: Any) -> Any:
        return values(self) == values(other) if other.__class__ is self.__class__ else NotImplemented

    def less(self: Any, other: Any) -> Any:
        return values(self) < values(other) if other.__class__ is self.__class__ else NotImplemented

    def at_most(self: Any, other: Any) -> Any:
        return values(self) <= values(other) if other.__class__ is self.__class__ else NotImplemented

    def hashed(self: Any) -> int:
        return hash(values(self))

    found: dict[str, Any] = {"__eq__": equal, "__hash__": hashed}
    if order:  # `a > b` asks `b < a`
        found |= {"__lt__": less, "__le__": at_most}
    return found


def _repr(self: Any) -> str:
    shown = (f"{one.name}={getattr(self, one.name)!r}" for one in dataclasses.fields(self) if one.repr)
    return f"{type(self).__qualname__}({', '.join(shown)})"


def _refuse_to_set(self: Any, name: str, value: Any) -> None:
    raise dataclasses.FrozenInstanceError(f"cannot assign to field {name!r}")


def _refuse_to_delete(self: Any, name: str) -> None:
    raise dataclasses.FrozenInstanceError(f"cannot delete field {name!r}")


if TYPE_CHECKING:
    from dataclasses import dataclass
else:

    def dataclass(cls: type | None = None, /, **how: bool) -> Any:
        """As ``dataclasses.dataclass``: ``init``, ``eq``, ``order`` and ``frozen`` are known."""
        return _made(cls) if cls is not None else lambda cls: _made(cls, **how)
