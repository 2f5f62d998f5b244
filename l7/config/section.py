"""What every part of the schema is made of: the frozen `Section`, and the types that more than one part uses."""

from __future__ import annotations

import types
import typing
from functools import cache
from typing import TYPE_CHECKING, Annotated, Any, ClassVar

from l7.config.model import BaseModel, BeforeValidator, ConfigDict
from l7.config.values import backend, jsontypes, scalars
from l7.config.values.scalars import Form

if TYPE_CHECKING:
    from pydantic.fields import FieldInfo

Count = Annotated[
    int, BeforeValidator(scalars.whole(1, 1_000_000)), Form("number", schema=jsontypes.whole(1, 1_000_000))
]
CountOrUnlimited = Annotated[
    int | None,
    BeforeValidator(scalars.count_or_unlimited),
    Form("number or `unlimited`", scalars.show_count_or_unlimited, jsontypes.whole(1, 1_000_000)),
]
BufferSize = Annotated[
    int,
    BeforeValidator(scalars.size(0, 1024**4)),
    Form("size", scalars.show_size, jsontypes.size(0, 1024**4)),
]
Share = Annotated[float, BeforeValidator(scalars.share), Form("share", scalars.show_share, jsontypes.SHARE)]
Switch = Annotated[bool, BeforeValidator(backend.switch), Form("`true` or `false`", schema=jsontypes.SWITCH)]
Duration = Annotated[
    float, BeforeValidator(scalars.duration(0)), Form("duration", scalars.show_duration, jsontypes.duration(0))
]
Timeout = Annotated[
    float, BeforeValidator(scalars.duration(0.001)), Form("duration", scalars.show_duration, jsontypes.duration(0.001))
]
Period = Annotated[
    float, BeforeValidator(scalars.duration(0.01)), Form("duration", scalars.show_duration, jsontypes.duration(0.01))
]
TimeoutOrUnlimited = Annotated[
    float | None,
    BeforeValidator(scalars.duration_or_unlimited(0.001)),
    Form("duration or `unlimited`", scalars.show_duration_or_unlimited, jsontypes.duration(0.001)),
]
DurationOrUnlimited = Annotated[
    float | None,
    BeforeValidator(scalars.duration_or_unlimited(0)),
    Form("duration or `unlimited`", scalars.show_duration_or_unlimited, jsontypes.duration(0)),
]


_same: dict[frozenset[str], frozenset[str]] = {}


@cache
def _names(kind: type[Section]) -> tuple[str, ...]:
    return getattr(kind, "record_fields", ()) or tuple(kind.model_fields)


def restored(kind: Any, names: tuple[str, ...], values: tuple[Any, ...], given: frozenset[str]) -> Any:
    """The section that was pickled as this."""
    if hasattr(kind, "record_fields"):
        return kind.restored(names, values, given)
    return kind.model_construct(set(given), **dict(zip(names, values, strict=True)))


class Section(BaseModel):
    """What all parts of the schema have in common: frozen, hyphenated keys, nothing unknown, no values in errors.

    What validates is built when it is first needed: for all of the schema at once, and by no command that only asks. A
    default is made by ``model_construct``, which needs none.
    """

    model_config = ConfigDict(
        frozen=True,
        extra="forbid",
        validate_by_alias=True,
        validate_by_name=True,
        hide_input_in_errors=True,
        arbitrary_types_allowed=True,
        defer_build=True,
        alias_generator=lambda name: name.replace("_", "-"),
    )

    short_form: ClassVar[str | None] = None
    """The setting that a plain text in place of the section stands for."""
    switch: ClassVar[bool] = False
    """Whether `true` in place of the section stands for it with nothing set."""
    one_of: ClassVar[tuple[str, ...]] = ()
    """Settings of which one at least has to be there."""

    def __reduce__(self) -> tuple[Any, ...]:
        """How a section is pickled, in both forms that it has (`l7.config.model`): names and sets are there once."""
        names = _names(type(self))
        values = tuple([getattr(self, name) for name in names])
        given = frozenset(self.model_fields_set)
        return restored, (type(self), names, values, _same.setdefault(given, given))

    @classmethod
    def shown(cls, name: str, value: Any) -> Any:
        """Return the value of the field ``name`` as it is written in YAML: ``8s``, ``32KiB``, ``unlimited``."""
        forms = [form for form in cls.model_fields[name].metadata if isinstance(form, Form)]
        return forms[0].show(value) if forms else value


def section_of(info: FieldInfo) -> type[Section] | None:
    """Return the section that a field is, if it is one; it may be `off` beside."""
    kind: Any = info.annotation
    if isinstance(kind, types.UnionType):
        kind = next(member for member in typing.get_args(kind) if member is not type(None))
    is_section = isinstance(kind, type) and not isinstance(kind, types.GenericAlias) and issubclass(kind, Section)
    return kind if is_section else None
