"""``l7 schema``: the JSON Schema (draft 7) of the file, for editors; made of the one schema, like the settings page.

It takes what ``l7 check`` takes. The other way round it holds as far as JSON Schema can say it: not what needs two
settings, or how a value was written (``0x50`` is a number to an editor). A file without ``backends`` is taken, because
flags may give them.
"""

from __future__ import annotations

import types
import typing
from typing import Any

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from l7.config.reading.loading import EXTENSION
from l7.config.reading.yaml_file import parse
from l7.config.schema import Config, Section
from l7.config.values.jsontypes import SCALAR, SWITCH, Schema
from l7.config.values.scalars import Form


def json_schema() -> Schema:
    """Return the JSON Schema of a configuration file."""
    top = _section(Config)
    return {
        "$schema": "http://json-schema.org/draft-07/schema#",
        "title": "The configuration of l7",
        **top,
        "patternProperties": {f"^{EXTENSION}": {}},
    }


def _section(section: type[Section]) -> Schema:
    """Return the schema of a section: its keys and no others, or the short form that stands for it."""
    fields = section.model_fields.items()
    mapping: Schema = {
        "type": "object",
        "properties": {str(info.alias): _setting(section, name, info) for name, info in fields},
        "additionalProperties": False,
    }
    required = [str(info.alias) for _, info in fields if info.is_required()]
    if required:
        mapping["required"] = required
    if section.one_of:
        mapping["allOf"] = [{"anyOf": [{"required": [name]} for name in section.one_of]}]
    if section.switch:
        return _either(mapping, SWITCH)
    short = section.short_form
    return mapping if short is None else {"anyOf": [_setting(section, short, section.model_fields[short]), mapping]}


def _setting(section: type[Section], name: str, info: FieldInfo) -> Schema:
    """Return the schema of one setting, with its words and its default."""
    form = next((one for one in info.metadata if isinstance(one, Form)), None)
    schema = _type(info.annotation, form)
    if type(None) in typing.get_args(info.annotation):
        schema = _either(schema, {"const": section.shown(name, None)})
    words: Schema = {"description": info.description or ""}
    if not info.is_required():
        default = section.shown(name, info.default)
        if isinstance(default, (str, int, list)):
            words["default"] = default
    if info.examples:
        words["examples"] = [parse(f"x: {example}", "").data["x"] for example in info.examples]
    return {**words, **schema}


def _type(kind: Any, form: Form | None = None) -> Schema:
    """Return the schema of a type; a form that has one says what may be written, but for the words of a literal."""
    origin, arguments = typing.get_origin(kind), typing.get_args(kind)
    if origin is typing.Annotated:
        return _type(arguments[0], next((one for one in arguments[1:] if isinstance(one, Form)), None))
    if origin is typing.Literal:
        return {"enum": list(arguments)}
    if form is not None and form.schema is not None:
        literals = [_type(member) for member in arguments if typing.get_origin(member) is typing.Literal]
        return _either(dict(form.schema), *literals)
    if origin in (types.UnionType, typing.Union):
        return _either(*(_type(member) for member in arguments if member is not type(None)))
    if origin is dict:
        keys, values = (_type(argument) for argument in arguments)
        return {"type": "object", "patternProperties": {keys["pattern"]: values}, "additionalProperties": False}
    if origin is tuple:
        return {"type": "array", "items": _type(arguments[0])}
    if isinstance(kind, type) and issubclass(kind, BaseModel):
        return _section(typing.cast("type[Section]", kind))
    return {"type": SCALAR}


def _either(*schemas: Schema) -> Schema:
    """Return the schema of what fits one of these."""
    return schemas[0] if len(schemas) == 1 else {"anyOf": list(schemas)}
