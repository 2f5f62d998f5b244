"""Messages and their form on the wire: what is written is read back, and what is no message is refused in words."""

from __future__ import annotations

import json
from dataclasses import MISSING, fields
from typing import Any, get_type_hints

import pytest
from hypothesis import given
from hypothesis import strategies as st

from l7.ipc import messages
from l7.ipc.codec import DecodeError
from l7.ipc.messages import CODEC, KINDS, Adopt, Drain, Hello, Message, Resolved, SetMembers, Stop
from tests.fuzz.messages import one
from tests.ipc.strategies import any_message


def wire(**values: Any) -> bytes:
    return json.dumps(values).encode()


def test_every_message_has_a_name_on_the_wire():
    classes = {one for one in vars(messages).values() if isinstance(one, type) and issubclass(one, Message)}
    assert classes - {Message} == set(KINDS.values())
    assert len(set(KINDS.values())) == len(KINDS)


@given(any_message())
def test_what_is_written_is_read_back(message):
    assert CODEC.decode(CODEC.encode(message)) == message


def test_how_it_looks_on_the_wire():
    assert CODEC.encode(Drain(1.5, "close")) == b'{"kind":"drain","within":1.5,"idle":"close","entrances":[]}'
    assert CODEC.encode(Adopt("::1", 80, b"GET")) == (
        b'{"kind":"adopt","peer":"::1","port":80,"data":"R0VU","idle_left":null,"returned":false,"scheme":"http",'
        b'"told_port":"","tls":"","entrance":"","relay":0,"last":false}'
    )


@given(any_message(), st.dictionaries(st.text(min_size=12), st.none() | st.text() | st.lists(st.integers())))
def test_fields_of_another_version_are_left_out(message, more):
    value = json.loads(CODEC.encode(message))
    assert CODEC.decode(wire(**{**more, **value})) == message


@given(any_message())
def test_a_field_that_another_version_does_not_know_has_its_default(message):
    value = json.loads(CODEC.encode(message))
    for field in fields(message):
        if field.default is not MISSING:
            del value[field.name]
    found = CODEC.decode(wire(**value))
    assert type(found) is type(message)
    assert all(getattr(found, f.name) == f.default for f in fields(message) if f.default is not MISSING)


@given(any_message(), st.data())
def test_a_missing_field_is_named(message, data):
    needed = [field.name for field in fields(message) if field.default is MISSING]
    if not needed:
        return
    name = data.draw(st.sampled_from(needed))
    value = json.loads(CODEC.encode(message))
    del value[name]
    with pytest.raises(DecodeError, match=f"{name} is missing"):
        CODEC.decode(wire(**value))


@pytest.mark.parametrize(
    ("value", "why"),
    [
        (b"", "it is no JSON"),
        (b"\xff{", "it is no JSON"),
        (b"[" * 60_000, "it is no JSON"),
        (b"[]", "it is no JSON object"),
        (wire(), "kind null is not known"),
        (wire(kind=["drain"]), 'kind ["drain"] is not known'),
        (wire(kind="dance"), 'kind "dance" is not known'),
        (wire(do="drain"), "kind null is not known"),
        (wire(kind="drain", within="1", idle="close"), "drain: within is not a number"),
        (wire(kind="drain", within=True, idle="close"), "drain: within is not a number"),
        (b'{"kind": "drain", "within": NaN, "idle": "close"}', "drain: within is not a number"),
        (b'{"kind": "drain", "within": 1e999, "idle": "close"}', "drain: within is not a number"),
        (b'{"kind": "drain", "within": 1%s, "idle": "close"}' % (b"0" * 400), "drain: within is too large"),
        (wire(kind="drain", within=1, idle="sing"), "drain: idle is none of handover, close"),
        (wire(kind="drain", within=1, idle=["close"]), "drain: idle is none of handover, close"),
        (wire(kind="stop", quick=1), "stop: quick is not true or false"),
        (wire(kind="hello", protocol=1.0, version="1"), "hello: protocol is not a whole number"),
        (wire(kind="hello", protocol=True, version="1"), "hello: protocol is not a whole number"),
        (wire(kind="hello", protocol=1, version=None), "hello: version is not a string"),
        (wire(kind="adopt", peer="a", port=80, data="&"), "adopt: data is not base64"),
        (wire(kind="adopt", peer="a", port=80, data=[1]), "adopt: data is not base64"),
        (wire(kind="adopt", peer="a", port=80, idle_left="1"), "adopt: idle_left is not a number"),
        (wire(kind="resolved", backend="a", server="b", addresses="c"), "resolved: addresses is not a list"),
        (wire(kind="resolved", backend="a", server="b", addresses=[["c"]]), "addresses[0] is not a list of 4"),
        (
            wire(kind="resolved", backend="a", server="b", addresses=[["c", 80, 1, False], ["c", "80", 1, False]]),
            "addresses[1][1] is not a whole number",
        ),
    ],
)
def test_what_is_no_message_is_refused_in_words(value, why):
    with pytest.raises(DecodeError) as refusal:
        CODEC.decode(value)
    assert why in str(refusal.value)


@given(
    st.binary() | st.lists(st.none() | st.booleans() | st.integers() | st.text()).map(lambda x: json.dumps(x).encode())
)
def test_anything_else_is_refused_and_nothing_crashes(data):
    with pytest.raises(DecodeError):
        CODEC.decode(data)


@given(any_message(), st.data())
def test_a_byte_that_changes_on_the_way_is_another_message_or_none(message, data):
    wire = bytearray(CODEC.encode(message))
    for _ in range(data.draw(st.integers(1, 3))):
        wire[data.draw(st.integers(0, len(wire) - 1))] = data.draw(st.integers(0, 255))
    one(bytes(wire))


def test_a_whole_number_is_a_number():
    assert CODEC.decode(wire(kind="drain", within=2, idle="handover")) == Drain(2.0, "handover")


def test_types_of_fields_are_those_that_the_codec_knows():
    """One that it does not know would be refused at its first use only."""
    simple = {str, int, float, bool, bytes}

    def known(hint: Any) -> bool:
        parts = [part for part in getattr(hint, "__args__", ()) if part not in (type(None), Ellipsis)]
        return hint in simple or (bool(parts) and all(isinstance(part, str) or known(part) for part in parts))

    for kind in KINDS.values():
        assert all(known(hint) for hint in get_type_hints(kind).values()), kind


def test_examples_of_all_shapes():
    for message in (
        Stop(),
        Hello(1, "0.1.0"),
        SetMembers("a", "b", (("10.0.0.1", 80, 7, -1, False), ("::1", 81, 8, 5, True))),
        Resolved("a", "b", (), "no such name"),
    ):
        assert CODEC.decode(CODEC.encode(message)) == message
