"""Frozen dataclasses as one JSON object each, and back, strictly: what comes has every type that it claims to have.

The object has the kind of the message beside its fields. What two versions of l7 may differ in, because one of them
upgrades the other in place, is what a reader lets pass: a field that it does not know is left out, one that is missing
has its default. So a field may be added where it has a default, and a kind where its absence does no harm; any other
change takes a new number of `l7.ipc.messages.PROTOCOL`.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import MISSING, Field, fields
from math import isfinite
from types import NoneType, UnionType
from typing import Any, Generic, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

M = TypeVar("M")

_SCALARS = {"str": "a string", "int": "a whole number", "float": "a number", "bool": "true or false"}


class DecodeError(ValueError):
    """What came is no message; in words."""


class Codec(Generic[M]):
    """The kinds of message that may come, by the name that each has under ``key``.

    Field types may be ``str``, ``bytes`` (base64 on the wire), ``int``, ``float``, ``bool``, ``Literal``, ``None``, and
    tuples and unions of those.
    """

    def __init__(self, key: str, kinds: Mapping[str, type[M]]) -> None:
        self._key = key
        self._kinds = kinds
        self._fields: dict[str, list[tuple[str, Callable[[dict[str, Any]], Any]]]] = {}
        """What reads each kind that has come: of most messages none comes to any one process."""
        self._names = {kind: name for name, kind in kinds.items()}

    def encode(self, message: M) -> bytes:
        """A message on the wire, without an end of line."""
        values = {field.name: _plain(getattr(message, field.name)) for field in fields(message)}  # type: ignore[arg-type]
        return json.dumps({self._key: self._names[type(message)], **values}, separators=(",", ":")).encode("ascii")

    def decode(self, data: bytes | bytearray) -> M:
        """The message that ``data`` is; raises `DecodeError`."""
        try:
            value = json.loads(data)
        except (ValueError, RecursionError):
            raise DecodeError("it is no JSON") from None
        if not isinstance(value, dict):
            raise DecodeError("it is no JSON object")
        name = value.get(self._key)
        if not isinstance(name, str) or name not in self._kinds:
            raise DecodeError(f"{self._key} {json.dumps(name)[:40]} is not known")
        kind = self._kinds[name]
        expected = self._fields.get(name)
        if expected is None:
            expected = self._fields[name] = _fields_of(kind)
        try:
            return kind(**{each: read(value) for each, read in expected})
        except DecodeError as error:
            raise DecodeError(f"{name}: {error}") from None


def _fields_of(kind: type[Any]) -> list[tuple[str, Callable[[dict[str, Any]], Any]]]:
    hints = get_type_hints(kind)
    return [(field.name, _reader(field, hints[field.name])) for field in fields(kind)]


def _reader(field: Field[Any], hint: Any) -> Callable[[dict[str, Any]], Any]:
    def read(value: dict[str, Any]) -> Any:
        if field.name in value:
            return _checked(value[field.name], hint, field.name)
        if field.default is MISSING:
            raise DecodeError(f"{field.name} is missing")
        return field.default

    return read


def _checked(value: Any, hint: Any, name: str) -> Any:
    """``value`` as what ``hint`` says it is; raises `DecodeError`."""
    origin, parts = get_origin(hint), get_args(hint)
    if origin in (Union, UnionType):
        return _one_of(value, parts, name)
    if origin is Literal:
        if value not in parts:
            raise DecodeError(f"{name} is none of {', '.join(map(str, parts))}")
        return value
    if origin is tuple:
        return _tuple(value, parts, name)
    if hint is bytes:
        return _bytes(value, name)
    if hint is float and type(value) is int:
        value = _float(value, name)
    if type(value) is not hint or (hint is float and not isfinite(value)):
        raise DecodeError(f"{name} is not {_SCALARS[hint.__name__]}")
    return value


def _one_of(value: Any, parts: tuple[Any, ...], name: str) -> Any:
    *others, last = (part for part in parts if part is not NoneType)
    if value is None and NoneType in parts:
        return None
    for part in others:
        with suppress(DecodeError):
            return _checked(value, part, name)
    return _checked(value, last, name)


def _tuple(value: Any, parts: tuple[Any, ...], name: str) -> tuple[Any, ...]:
    repeated = len(parts) == 2 and parts[1] is Ellipsis
    if not isinstance(value, list) or not (repeated or len(value) == len(parts)):
        raise DecodeError(f"{name} is not a list" + ("" if repeated else f" of {len(parts)}"))
    hints: Iterable[Any] = [parts[0]] * len(value) if repeated else parts
    return tuple(_checked(one, hint, f"{name}[{at}]") for at, (one, hint) in enumerate(zip(value, hints, strict=True)))


def _bytes(value: Any, name: str) -> bytes:
    try:
        return base64.b64decode(value, validate=True)
    except (ValueError, TypeError):
        raise DecodeError(f"{name} is not base64") from None


def _float(value: int, name: str) -> float:
    try:
        return float(value)
    except OverflowError:
        raise DecodeError(f"{name} is too large") from None


def _plain(value: Any) -> Any:
    if isinstance(value, bytes):
        return base64.b64encode(value).decode("ascii")
    return [_plain(one) for one in value] if isinstance(value, tuple) else value
