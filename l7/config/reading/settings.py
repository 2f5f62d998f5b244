"""The settings that a flag and a variable can say: every single value and list of the schema, by its place in it.

A setting that stands in a section is called by its way there: ``timeouts.idle`` is ``--timeouts-idle`` and
``L7_TIMEOUTS_IDLE``. Only those at the top may have a `Flag` that says otherwise. What has to have a name of the
user's own on its way, as a backend has, stands in the file alone; what all backends have in common is in ``defaults``.
"""

from __future__ import annotations

import types
import typing
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from typing import Any

from pydantic.fields import FieldInfo

from l7.config.schema import Config
from l7.config.section import Section, section_of
from l7.config.values.scalars import Flag, Form

PREFIX = "L7_"
"""What the name of every variable of l7 begins with."""

_METAVARS = {"duration": "TIME", "number": "N", "list": "ADDRESS", "text": "TEXT"}
"""What a value is called in the help, by the first word of its form; others by that word."""


@dataclass(frozen=True)
class Setting:
    """One setting that has a flag: its YAML keys from the top, the field that it is, its flag and variable."""

    path: tuple[str, ...]
    section: type[Section]
    name: str
    flag: Flag
    variable: str

    @property
    def key(self) -> str:
        """Its place as a text: ``port``, ``timeouts.idle``."""
        return ".".join(self.path)

    @property
    def info(self) -> FieldInfo:
        """Its field of the schema."""
        return self.section.model_fields[self.name]

    @property
    def turns_off(self) -> bool:
        """Whether it is a section, of which a flag can say no more than ``off``."""
        return section_of(self.info) is not None

    @property
    def stands_for(self) -> tuple[str, ...]:
        """The place of what ``off`` turns off where it stands for this setting: of the section that it is short for."""
        return self.path[:-1] if self.section.short_form == self.name and len(self.path) > 1 else self.path

    def default(self) -> Any:
        """Its default as it is written in YAML; None where there is nothing to show."""
        if self.info.is_required():
            return None
        shown = self.section.shown(self.name, self.info.default)
        if isinstance(shown, bool):
            return str(shown).lower()
        return None if shown in (None, {}, (), []) or isinstance(shown, Section) else shown


@cache
def settings() -> tuple[Setting, ...]:
    """Return the settings that have a flag, in the schema's order."""
    return tuple(_walk(Config, ()))


def short_forms() -> dict[str, str]:
    """The sections at the top that a plain text may stand for, and the setting in each that it is."""
    sections = {str(info.alias): section_of(info) for info in Config.model_fields.values()}
    return {key: section.short_form for key, section in sections.items() if section and section.short_form}


def _walk(section: type[Section], above: tuple[str, ...]) -> Iterator[Setting]:
    for name, info in section.model_fields.items():
        path = (*above, str(info.alias))
        below = section_of(info)
        if below is None:
            if _own_flag(info) or not _has_names_or_sections(info):
                yield _setting(path, section, name, info)
        else:
            if _form(info.metadata) and not _has_short_flag(below):
                yield _setting(path, section, name, info)
            yield from _walk(below, path)


def _has_short_flag(section: type[Section]) -> bool:
    """Whether the setting that a section has as its short form has a flag of its own, which can say ``off``, too."""
    return section.short_form is not None and _own_flag(section.model_fields[section.short_form]) is not None


def _has_names_or_sections(info: FieldInfo) -> bool:
    """Whether it is a mapping with names of the user's own, or a list of sections: no word says such a thing."""
    kind = _unless_none(info.annotation)
    items = typing.get_args(kind)
    if typing.get_origin(kind) is tuple:
        return isinstance(items[0], type) and issubclass(items[0], Section)
    return typing.get_origin(kind) is dict


def is_mapping(info: FieldInfo) -> bool:
    """Whether it is a mapping with keys of the user's own."""
    return typing.get_origin(_unless_none(info.annotation)) is dict


def _unless_none(kind: Any) -> Any:
    """What a type is where there is a value: that of ``tuple[str, ...] | None`` is ``tuple[str, ...]``."""
    if not isinstance(kind, types.UnionType):
        return kind
    kinds = [member for member in typing.get_args(kind) if member is not type(None)]
    return kinds[0] if len(kinds) == 1 else kind


def _setting(path: tuple[str, ...], section: type[Section], name: str, info: FieldInfo) -> Setting:
    flag = _own_flag(info) or Flag("--" + "-".join(path), metavar=_metavar(info), repeat=_is_list(info))
    own = _own_flag(info) if len(path) > 1 and not is_mapping(info) else None
    words = own.names[-1].removeprefix("--") if own else "_".join(path)
    return Setting(path, section, name, flag, PREFIX + words.upper().replace("-", "_"))


def _own_flag(info: FieldInfo) -> Flag | None:
    return next((one for one in info.metadata if isinstance(one, Flag)), None)


def _is_list(info: FieldInfo) -> bool:
    """Whether it is a list of values that a comma can part; statuses are one text."""
    form = _form(info.metadata)
    return typing.get_origin(_unless_none(info.annotation)) is tuple and (form is None or form.name.startswith("list"))


def _metavar(info: FieldInfo) -> str:
    if section_of(info) is not None:
        return "off"
    items = typing.get_args(info.annotation)
    form = _form(info.metadata) or (_form(typing.get_args(items[0])) if items else None)
    if form is None or form.name.startswith(("`", "list of `")):
        return "VALUE"
    word = "name" if form.name == "list of names" else form.name.split()[0]
    return _METAVARS.get(word, word.upper())


def _form(metadata: Any) -> Form | None:
    return next((one for one in metadata if isinstance(one, Form)), None)
