"""What the schema is written in: the frozen `Section`, its settings, and how plain data is read into it.

A section is a class whose annotations are its settings, as with dataclasses::

    class Queue(Section):
        size: Annotated[int, Parser(...), Form(...)] = setting(default=1000, description="...")

A type is read by its `Parser` where it has one; literals, lists (``tuple[X, ...]``), mappings and sections are read as
their type says. All mistakes are told at once. Nothing here knows which settings there are.
"""

from __future__ import annotations

import sys
import types
import typing
from collections.abc import Callable, Iterator, Mapping
from functools import cache
from typing import Any, ClassVar

from l7.config.names import Path, did_you_mean
from l7.config.values import Form
from l7.units import quoted

if sys.version_info >= (3, 11):
    from typing import Self, dataclass_transform
else:

    def dataclass_transform(**_: Any) -> Any:
        """Tell type checkers that classes are made as dataclasses are."""
        return lambda cls: cls


REQUIRED: Any = object()
"""The default of a setting that has none."""
A_MAPPING = "write a mapping, `key: value`"
A_LIST = "write a list, `- item`"
A_TEXT = "write a text"
NO_VALUE = "has no value; write one or remove the key"


class Mistake(typing.NamedTuple):
    """Where in the data something is wrong, and what, in words for the user."""

    path: Path
    what: str


class SchemaError(ValueError):
    """Plain data is not what the schema asks for; ``mistakes`` has all that is wrong with it."""

    def __init__(self, mistakes: list[Mistake]) -> None:
        super().__init__("; ".join(f"{'.'.join(map(str, path))}: {what}" for path, what in mistakes))
        self.mistakes = mistakes


class Parser:
    """Stands in the annotation of a setting: makes its value of what was written, or raises ValueError."""

    __slots__ = ("parse",)

    def __init__(self, parse: Callable[[Any], Any]) -> None:
        self.parse = parse


Reader = Callable[[Any, Path, list[Mistake]], Any]
"""Makes a value of plain data at a path; what is wrong is added to the list, and what it returns then means nothing."""


class SchemaField:
    """What the schema says of one setting. ``alias`` is its key in YAML; ``metadata`` holds its Form and Flag."""

    __slots__ = ("alias", "annotation", "default", "description", "examples", "metadata", "read")

    alias: str
    annotation: Any
    metadata: tuple[Any, ...]
    read: Reader

    def __init__(self, default: Any, description: str, examples: list[str]) -> None:
        self.default = default
        self.description = description
        self.examples = examples

    def bind(self, name: str, hint: Any) -> None:
        """Learn the name and the type."""
        self.alias = name.replace("_", "-")
        annotated = typing.get_origin(hint) is typing.Annotated
        self.annotation = typing.get_args(hint)[0] if annotated else hint
        self.metadata = tuple(_flattened(typing.get_args(hint)[1:])) if annotated else ()
        self.read = reader_of(hint)

    def is_required(self) -> bool:
        """Whether it has no default."""
        return self.default is REQUIRED


def setting(*, description: str, default: Any = REQUIRED, examples: list[str] | None = None) -> Any:
    """One setting of a section, with its words for the documentation and what may be written there."""
    return SchemaField(default, description, examples or [])


class _Fields:
    """The fields of a section, by name; annotations are looked at when the first is asked for."""

    def __get__(self, _: object, section: type[Section]) -> dict[str, SchemaField]:
        if section not in _FIELDS:
            hints = typing.get_type_hints(section, include_extras=True)
            for name, field in section.declared.items():
                field.bind(name, hints[name])
            _FIELDS[section] = section.declared
        return _FIELDS[section]


_FIELDS: dict[type[Any], dict[str, SchemaField]] = {}


@dataclass_transform(kw_only_default=True, frozen_default=True, field_specifiers=(setting,))
class Section:
    """What all parts of the schema have in common: frozen, hyphenated keys, nothing unknown."""

    short_form: ClassVar[str | None] = None
    """The setting that a plain text in place of the section stands for."""
    declared: ClassVar[dict[str, SchemaField]] = {}
    model_fields: ClassVar[Mapping[str, SchemaField]] = _Fields()  # type: ignore[assignment]

    def __init_subclass__(cls) -> None:
        own = {name: value for name, value in vars(cls).items() if isinstance(value, SchemaField)}
        for name in own:
            delattr(cls, name)
        cls.declared = {**cls.declared, **own}

    def __init__(self, **values: Any) -> None:
        """Make it of values or of what may be written for them; raises `SchemaError`."""
        mistakes: list[Mistake] = []
        self._read(values, (), mistakes, by_name=True)
        if mistakes:
            raise SchemaError(mistakes)

    @classmethod
    def model_validate(cls, data: Any, *, by_name: bool = True) -> Self:
        """Read plain data; raises `SchemaError`. Not ``by_name``, only the keys of YAML are known, ``max-age``."""
        mistakes: list[Mistake] = []
        found = cls.read(data, (), mistakes, by_name=by_name)
        if mistakes:
            raise SchemaError(mistakes)
        return found

    @classmethod
    def read(cls, data: Any, path: Path, mistakes: list[Mistake], *, by_name: bool = False) -> Self:
        """Read plain data at ``path``, as a `Reader` does."""
        if isinstance(data, cls):
            return data
        found = cls.__new__(cls)
        mapping = cls.mapping_of(data)
        if isinstance(mapping, dict):
            found._read(mapping, path, mistakes, by_name=by_name)
        else:
            mistakes.append(Mistake(path, NO_VALUE if data is None else A_MAPPING))
        return found

    @classmethod
    def mapping_of(cls, data: Any) -> Any:
        """The mapping that ``data`` stands for: itself, but for what has a short form."""
        return data

    def check(self) -> None:
        """Raise ValueError where settings do not go together."""

    def _read(self, data: Mapping[str, Any], path: Path, mistakes: list[Mistake], *, by_name: bool) -> None:
        before = len(mistakes)
        left = dict(data)
        values = self.__dict__
        for name, field in type(self).model_fields.items():
            key = field.alias if field.alias in left or not by_name else name
            if key in left:
                values[name] = field.read(left.pop(key), (*path, field.alias), mistakes)
            elif field.is_required():
                mistakes.append(Mistake((*path, field.alias), "is missing"))
            else:
                values[name] = field.default.copy() if isinstance(field.default, dict) else field.default
        for key in left:
            known = [field.alias for field in type(self).model_fields.values()]
            mistakes.append(Mistake((*path, key), f"unknown key{did_you_mean(str(key), known)}"))
        if len(mistakes) == before:
            try:
                self.check()
            except ValueError as error:
                mistakes.append(Mistake(path, str(error)))

    @classmethod
    def shown(cls, name: str, value: Any) -> Any:
        """Return the value of the field ``name`` as it is written in YAML: ``8s``, ``32KiB``, ``unlimited``."""
        forms = [form for form in cls.model_fields[name].metadata if isinstance(form, Form)]
        return forms[0].show(value) if forms else value

    def model_copy(self, *, update: Mapping[str, Any]) -> Self:
        """A copy with other values, which are not looked at."""
        found = type(self).__new__(type(self))
        found.__dict__.update(self.__dict__, **update)
        return found

    def __setattr__(self, name: str, value: Any) -> None:
        raise AttributeError(f"{type(self).__name__} is frozen")

    def __delattr__(self, name: str) -> None:
        raise AttributeError(f"{type(self).__name__} is frozen")

    def __eq__(self, other: object) -> bool:
        return self.__dict__ == other.__dict__ if type(self) is type(other) else NotImplemented

    def __hash__(self) -> int:
        return hash((type(self), *self.__dict__.values()))

    def __repr__(self) -> str:
        return f"{type(self).__name__}({', '.join(f'{name}={value!r}' for name, value in self.__dict__.items())})"


# ------------------------------------------------------------------------------------------------ from type to reader


def _flattened(metadata: tuple[Any, ...]) -> Iterator[Any]:
    """What stands in an annotation beside the type, but for the parser."""
    return (one for one in metadata if not isinstance(one, Parser))


@cache
def reader_of(hint: Any) -> Reader:
    """Return what reads values of a type."""
    origin, parts = typing.get_origin(hint), typing.get_args(hint)
    if origin is typing.Annotated:
        parser = next((one for one in parts[1:] if isinstance(one, Parser)), None)
        return reader_of(parts[0]) if parser is None else _parsed(parser.parse, parts[0])
    if origin is typing.Literal:
        return _one_of(tuple(map(str, parts)))
    if origin is dict:
        return _mapping(reader_of(parts[0]), reader_of(parts[1]))
    if origin is tuple:
        return _list(reader_of(parts[0]))
    if isinstance(hint, type) and issubclass(hint, Section):
        return hint.read
    raise TypeError(f"a setting of type {hint} needs a Parser")


def section_in(annotation: Any) -> type[Section] | None:
    """The section that a type is, or is when it is not None; None where it is something else."""
    parts = typing.get_args(annotation) if isinstance(annotation, types.UnionType) else (annotation,)
    found = [part for part in parts if isinstance(part, type) and part is not type(None)]
    return found[0] if len(found) == 1 and issubclass(found[0], Section) else None


def _parsed(parse: Callable[[Any], Any], kind: Any) -> Reader:
    section = section_in(kind)

    def read(data: Any, path: Path, mistakes: list[Mistake]) -> Any:
        try:
            value = parse(data)
        except ValueError as error:
            mistakes.append(Mistake(path, NO_VALUE if data is None else str(error)))
            return None
        return value if section is None or value is None else section.read(value, path, mistakes)

    return read


def _one_of(choices: tuple[str, ...]) -> Reader:
    last = f"{', '.join(choices[:-1])} or {choices[-1]}" if choices[1:] else choices[0]

    def read(data: Any, path: Path, mistakes: list[Mistake]) -> Any:
        if not isinstance(data, str):
            mistakes.append(Mistake(path, NO_VALUE if data is None else f"write {last}"))
        elif data not in choices:
            mistakes.append(Mistake(path, f"{quoted(data)} is unknown; write {last}{did_you_mean(data, choices)}"))
        return data

    return read


def _mapping(read_key: Reader, read_value: Reader) -> Reader:
    def read(data: Any, path: Path, mistakes: list[Mistake]) -> Any:
        if not isinstance(data, dict):
            mistakes.append(Mistake(path, NO_VALUE if data is None else A_MAPPING))
            return {}
        found = {}
        for key, value in data.items():
            name = read_key(key, (*path, key), mistakes)
            found[name] = read_value(value, (*path, key), mistakes)
        return found

    return read


def _list(read_item: Reader) -> Reader:
    def read(data: Any, path: Path, mistakes: list[Mistake]) -> Any:
        if not isinstance(data, (list, tuple)):
            mistakes.append(Mistake(path, NO_VALUE if data is None else A_LIST))
            return ()
        return tuple(read_item(item, (*path, index), mistakes) for index, item in enumerate(data))

    return read
