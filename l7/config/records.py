"""Frozen records in place of pydantic's models: for processes that are given a configuration and validate none.

The schema is written once, for pydantic; `l7.config.model` says what its classes are made of. A `Record` has the
fields, the defaults, the properties and the methods of its class, and no validator. It is pickled as a section
of pydantic is (`l7.config.section`), so each of the two is read where the other was written.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, TypeVar

T = TypeVar("T")

_REQUIRED: Any = object()
_SHARED: dict[tuple[type, Any], Any] = {}
"""Numbers and sets that ten thousand backends have alike."""


def _shared(value: Any) -> Any:
    kind = type(value)
    return _SHARED.setdefault((kind, value), value) if kind in (int, float, frozenset) else value


class _RecordType(type):
    """Makes slots of the fields that a class annotates, and keeps their defaults apart."""

    record_fields: tuple[str, ...]
    record_defaults: Mapping[str, Any]

    def __new__(cls, name: str, bases: tuple[type, ...], namespace: dict[str, Any]) -> _RecordType:
        kinds: Mapping[str, str] = namespace.get("__annotations__", {})
        own = [field for field, kind in kinds.items() if not kind.startswith("ClassVar")]
        defaults = {field: namespace.pop(field) for field in own if field in namespace}
        namespace.setdefault("__slots__", tuple(own))
        made = super().__new__(cls, name, bases, namespace)
        above: tuple[str, ...] = next((base.record_fields for base in bases if isinstance(base, _RecordType)), ())
        made.record_fields = (*(field for field in above if field not in kinds), *own)
        known = next((base.record_defaults for base in bases if isinstance(base, _RecordType)), {})
        made.record_defaults = {
            field: value for field, value in {**known, **defaults}.items() if field in made.record_fields
        }
        return made


class Record(metaclass=_RecordType):
    """What `pydantic.BaseModel` is elsewhere."""

    __slots__ = ("__weakref__", "model_fields_set")

    if TYPE_CHECKING:
        model_fields_set: frozenset[str]

    def __init__(self) -> None:
        raise TypeError(f"{type(self).__name__} is not validated in this process: it is loaded in another one")

    @classmethod
    def model_construct(cls, _fields_set: set[str] | None = None, **values: Any) -> Any:
        """A record with these values, and defaults for the others."""
        made = cls.__new__(cls)
        made._fill({**cls.record_defaults, **values}, values if _fields_set is None else _fields_set)
        return made

    def model_copy(self, *, update: Mapping[str, Any] | None = None) -> Any:
        """A record with some values changed."""
        update = update or {}
        made = self.__new__(type(self))
        made._fill({**self._values(), **update}, {*self.model_fields_set, *update})
        return made

    @classmethod
    def restored(cls, names: tuple[str, ...], values: tuple[Any, ...], given: frozenset[str]) -> Any:
        """A record as it was pickled."""
        made = cls.__new__(cls)
        made._fill(dict(zip(names, values, strict=True)), given)
        return made

    def _values(self) -> dict[str, Any]:
        return {field: getattr(self, field) for field in type(self).record_fields if hasattr(self, field)}

    def _fill(self, values: Mapping[str, Any], given: Any) -> None:
        put = object.__setattr__
        put(self, "model_fields_set", _shared(frozenset(given)))
        for field in type(self).record_fields:
            value = values.get(field, _REQUIRED)
            if value is not _REQUIRED:
                put(self, field, _shared(value))

    def __setattr__(self, name: str, value: Any) -> None:
        raise AttributeError(f"{type(self).__name__} is frozen")

    def __delattr__(self, name: str) -> None:
        raise AttributeError(f"{type(self).__name__} is frozen")

    def __eq__(self, other: object) -> bool:
        if type(other) is not type(self):
            return NotImplemented
        return self is other or self._values() == other._values()

    def __hash__(self) -> int:
        return hash(tuple(self._values().values()))

    def __repr__(self) -> str:
        return f"{type(self).__name__}({', '.join(f'{name}={value!r}' for name, value in self._values().items())})"


class SecretText:
    """What `pydantic.SecretStr` is elsewhere: a text that no output shows."""

    __slots__ = ("_secret_value",)

    def __init__(self, secret: str) -> None:
        self._secret_value = secret

    def get_secret_value(self) -> str:
        """The text."""
        return self._secret_value

    def __eq__(self, other: object) -> bool:
        return isinstance(other, SecretText) and other._secret_value == self._secret_value

    def __hash__(self) -> int:
        return hash(self._secret_value)

    def __repr__(self) -> str:
        return "SecretText('***')"

    __str__ = __repr__


def field(default: Any = _REQUIRED, *, default_factory: Callable[[], Any] | None = None, **_: Any) -> Any:
    """What `pydantic.Field` is elsewhere: the default alone."""
    return default if default_factory is None else default_factory()


def validator(*_: Any, **__: Any) -> Callable[[T], T]:
    """What ``field_validator`` and ``model_validator`` are elsewhere."""
    return _as_it_is


def _as_it_is(method: T) -> T:
    return method


class Unused:
    """What is written into annotations, which are not looked at here."""

    __slots__ = ()

    def __init__(self, *_: Any, **__: Any) -> None:
        """Keep nothing."""
