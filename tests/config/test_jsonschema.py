"""``l7 schema`` against ``l7 check``: an editor complains of what l7 refuses, and of nothing that it takes."""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from jsonschema import Draft7Validator
from pydantic import ValidationError

from l7.config.reading.complaints import Where, complaints
from l7.config.reading.loading import NO_BACKENDS, load
from l7.config.reading.yaml_file import parse
from l7.config.rendering.jsonschema import json_schema
from l7.config.rendering.reference import EXAMPLE
from l7.config.schema import Config
from l7.errors import ConfigError
from tests.harness.checkout import CHECKOUT
from tests.harness.editor import as_editor

SCHEMA = json_schema()
EDITOR = Draft7Validator(SCHEMA)


def editor_refuses(text: str) -> str:
    """What an editor would show; nothing where it has no complaint."""
    error = next(EDITOR.iter_errors(as_editor(text)), None)
    return f"{error.json_path}: {error.message[:200]}" if error else ""


def l7_refuses(text: str) -> list[str]:
    """What ``l7 check`` says; nothing where the file is right, or would be with servers from the command line."""
    try:
        load(["-c", "config.yml"], {}, read_bytes=lambda _: text.encode())
    except ConfigError as error:
        return [str(problem) for problem in error.problems if problem.what != NO_BACKENDS]
    return []


def schema_refuses(text: str) -> list[str]:
    """The same for one setting, without flags and variables, which take most of the time."""
    document = parse(text, "")
    try:
        Config.model_validate(document.data, by_alias=True, by_name=False)
    except ValidationError as error:
        return [problem.what for problem in complaints(error, lambda _: Where("", show_path=False))]
    return [problem.what for problem in document.problems]


BEYOND = re.compile(
    "needs users: without|needs a path: without|needs balance: hash|"
    "leads to this listener itself|no listener has tls|there are no certificates|is for a listener without|"
    "cannot stand beside|not supported yet|TLS is spoken with no other|write cert, too|is not looked at with|"
    "is shorter than|has no body; write|are one in the other|is given twice|"
    "out of range|is longer than a year|is too short|is too large|at most 107 bytes|the same route|"
    "'1e3' is |'[0-9].*' is not a whole number|has host bits set|is not an IPv[46] address|has no port|"
    "'[0-9.-]+' is not (an IP address|the name of a host)|it is not base64url|a whole number of bytes|"
    "neither a status nor|servers are missing|cannot be changed by a rule|has no prefix|has no effect beside|"
    "could say where|unknown variable|needs a Location|has no body; leave|the URL of a collector"
)
"""What JSON Schema cannot say: two settings together, a number within a text, how a number was written."""


def assert_judged_alike(text: str, refuses: Callable[[str], list[str]] = l7_refuses) -> bool:
    """Assert that both take it or both refuse it, or l7 alone for reasons beyond a schema; return whether l7 does."""
    refusals = refuses(text)
    if not refusals:
        assert not editor_refuses(text), text
    elif not all(BEYOND.search(refusal) for refusal in refusals):
        assert editor_refuses(text), f"{text}\n{refusals}"
    return not refusals


def test_it_is_a_json_schema() -> None:
    Draft7Validator.check_schema(json.loads(json.dumps(SCHEMA)))


# ------------------------------------------------------------------------------------ every example there is


def shown() -> Iterator[Any]:
    for path in [CHECKOUT / "README.rst", *sorted((CHECKOUT / "docs").glob("*.rst"))]:
        blocks = re.findall(r"^\.\. code-block:: yaml\n\n((?:   .*\n|\n)+)", path.read_text("utf-8"), re.MULTILINE)
        for number, block in enumerate(blocks):
            yield pytest.param(re.sub(r"^   ", "", block, flags=re.MULTILINE), id=f"{path.name}-{number}")
    yield pytest.param(EXAMPLE, id="reference")


@pytest.mark.parametrize("text", list(shown()))
def test_what_the_documentation_shows_is_taken(text: str) -> None:
    assert not editor_refuses(text)
    assert not l7_refuses(text)


@pytest.mark.parametrize("text", list(shown()))
def test_an_unknown_key_in_it_is_found(text: str) -> None:
    for path in list(sections(as_editor(text))):
        spoilt = place = as_editor(text)
        for part in path:
            place = place[part]
        place["un known"] = "1"
        assert not EDITOR.is_valid(spoilt), path


def sections(data: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """The paths of all mappings, but those of logins and of header fields, which may be anything."""
    if isinstance(data, dict) and path[-1:] not in (("users",), ("set",), ("add",)):
        yield path
        for key, value in data.items():
            yield from sections(value, (*path, key))
    elif isinstance(data, list):
        for index, item in enumerate(data):
            yield from sections(item, (*path, index))


def written() -> list[str]:
    """Every text in the tests that is a configuration, or nearly one."""
    found = {}
    for path in sorted((CHECKOUT / "tests").rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.Constant) and isinstance(node.value, str) and ":" in node.value:
                document = parse(node.value, "")
                if not document.problems and not document.data.keys().isdisjoint(SCHEMA["properties"]):
                    found[node.value] = path.name
    return list(found)


def test_what_the_tests_write_is_judged_alike() -> None:
    taken = [assert_judged_alike(text) for text in written()]
    assert taken.count(True) > 50
    assert taken.count(False) > 10


# -------------------------------------------------------------------------------- every setting with everything

VALUES = re.split(
    r"\s+\|\s+",
    r"""
1 | 0 | -1 | 1.5 | 7 | 100 | 65536 | 999999999999 | '7' | '0' | 1e3 | true | false | yes | Off | off | no | 'true' |
~ | '' | text | 'two words' | "new\nline" | [] | {} | [a] | [1, 2] | {a: b} | [[]] | [~] | 2s | 500ms | 5 m | 1.5h |
.5s | 0s | 0ms | '2' | 2S | 3d | s | 64KiB | 10MB | 1 gib | 5b | 1.5KiB | 0.3B | 64KiBs | 1TB | unlimited |
Unlimited | session | auto | AUTO | 20% | 100% | 101% | 0 % | 12.5% | '%' | 50 | a:1 | a:1:2 | a | http://a |
http://a:1/ | HTTP://a | //a | //a:1 | http://a/x | '[::1]' | '[::1]:8' | '::1' | 127.0.0.1 | 127.0.0.1:53 | '*' |
localhost | 'unix:/a' | 'unix:a' | 'unix:/a/' | srv:_http._tcp.a | srv:a | a b:1 | 'me@a:1' | 10.0.0.0/8 | '::/0' |
10.0.0.0/8/8 | 10.0.0.0/255.0.0.0 | nobody | nobody:nogroup | a:b:c | 'a b' | client | target | header:X | cookie:l7
| 'header: X' | 'header:' | cookie:a b | 200 | 200-399 | '200, 204' | [200, 204-299] | 99 | 600 | '200;204' | /x |
/x y | x | GET | get | HEAD | up | down | l7 | json | info | debug | round-robin | hash | rr |
a-text-of-sixteen-and-more | '***' | 0123456789012345 | {path: /} | {path: /, expect: 200} | {failures: 3} |
{cookie: a} | {size: 1, timeout: 1s} | {connect: 1s} | {a: b, c: d} | {address: a} | [{address: a}] | [a, {address:
b, weight: 2}] | [{weight: 2}] | [true] | [a:1, 'unix:/b'] | {servers: [a]} | {a: {servers: [b]}} | {'*.a/b':
{servers: []}} | {'*a': {servers: []}} | me@a |
https://a/dir | c2VjcmV0 | {email: me@a} | {key-id: k, hmac: c2VjcmV0} |
{a: ~} | {'a:b': c} | {a: $2b$12$x}
""".strip(),
)


def enumerated(schema: Any) -> Iterator[str]:
    """The words of every setting that has a list of them."""
    if isinstance(schema, dict):
        yield from (f"'{word}'" for word in schema.get("enum", ()))
    for one in schema.values() if isinstance(schema, dict) else schema if isinstance(schema, list) else ():
        yield from enumerated(one)


VALUES += sorted(set(enumerated(SCHEMA)))


def settings(schema: Any, path: str, wrap: Callable[[str], str]) -> Iterator[tuple[str, Callable[[str], str]]]:
    """Every setting below a section, with what makes a configuration of a value for it."""
    for option in schema.get("anyOf", [schema]):
        for key, one in option.get("properties", {}).items():

            def inner(value: str, key: str = key, option: Any = option) -> str:
                needed = [*option.get("required", ()), *("servers" for _ in option.get("allOf", ()) if key not in WAYS)]
                others = "".join(f", {name}: {REQUIRED[name]}" for name in needed if name != key)
                return wrap(f"{{{key}: {value}{others}}}")

            yield f"{path}{key}", inner
            yield from settings(one, f"{path}{key}.", inner)
        for one in option.get("patternProperties", {}).values():
            yield from settings(one, f"{path}HOST.", lambda value: wrap(f"{{a: {value}}}"))
        if "items" in option:
            yield from settings(option["items"], f"{path[:-1]}[].", lambda value: wrap(f"[{value}]"))


WAYS = ("servers", "redirect", "respond")
"""One of which a backend needs."""
REQUIRED = {
    "requests": "7",
    "to": "https://a",
    "servers": "[b]",
    "address": "localhost:9",
    "cert": "/c",
    "email": "me@a",
    "otlp": "http://a:4318",
    "key-id": "k",
    "hmac": "c2VjcmV0",
}
SETTINGS = dict(settings(SCHEMA, "", str))


def test_every_setting_is_tried() -> None:
    assert len(SETTINGS) > 60
    assert {"port", "limits.body", "backends.HOST.servers[].weight", "backends.HOST.health.expect"} <= SETTINGS.keys()
    assert REQUIRED.keys() == {name for name in REQUIRED if f"'{name}'" in str(SCHEMA)}


@pytest.mark.parametrize("setting", SETTINGS)
def test_a_value_is_judged_alike(setting: str) -> None:
    names = (
        "backends.HOST.servers[].address", "backends.HOST.tls.server-name", "defaults.tls.server-name", "defaults.host",
        "backends.HOST.host",
    )  # fmt: skip
    values = [value for value in VALUES if setting not in names or value != "1e3"]  # a host
    taken = [assert_judged_alike(SETTINGS[setting](value), schema_refuses) for value in values]
    assert any(taken), "there is no value among VALUES that it takes"
    assert not all(taken), "its Form in the schema lacks `schema`: anything is taken"


def test_keys_of_the_users_own_are_taken() -> None:
    assert not editor_refuses("x-servers: &all [a, b]\nbackends: {a: {servers: *all}}")
