"""YAML files: texts stay texts, lines are known, and nothing that a file can hold breaks anything."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from l7.config.reading import yaml_file
from l7.config.reading.yaml_file import parse, read


@pytest.fixture(params=["libyaml", "python"])
def loader(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Use both of PyYAML's parsers."""
    if request.param == "python":
        monkeypatch.setattr(yaml_file, "LOADER", yaml.SafeLoader)
    elif not yaml.__with_libyaml__:
        pytest.skip("PyYAML without libyaml")


pytestmark = pytest.mark.usefixtures("loader")


def problems(text: str) -> list[str]:
    return [str(problem) for problem in parse(text, "f.yml").problems]


def test_scalars_stay_as_they_are_written() -> None:
    text = "a: off\nb: 0o17\nc: 1:30\nd: 0123\ne: 2001-01-01\nf: 'null'\ng: ~\nh:\ni: !!str 5\n"
    expected = {"a": "off", "b": "0o17", "c": "1:30", "d": "0123", "e": "2001-01-01", "f": "null"}
    assert parse(text, "f.yml").data == {**expected, "g": None, "h": None, "i": "5"}


def test_lines_are_those_of_keys_and_items() -> None:
    found = parse("a:\n  b: 1\n  c:\n  - x\n  -\n    d: 2\n", "f.yml").lines
    assert found == {("a",): 1, ("a", "b"): 2, ("a", "c"): 3, ("a", "c", 0): 4, ("a", "c", 1): 6, ("a", "c", 1, "d"): 6}


@pytest.mark.parametrize("text", ["", "# nothing\n", "---\n...\n", "~\n", "\ufeff"])
def test_an_empty_file_has_no_settings(text: str) -> None:
    found = parse(text.removeprefix("\ufeff"), "f.yml")
    assert (found.data, found.problems) == ({}, ())


def test_every_duplicate_key_is_named_with_both_lines() -> None:
    assert problems("a: 1\nb: {c: 1, c: 2}\na: 3\n") == [
        "f.yml:2: b.c: given twice, first on line 2",
        "f.yml:3: a: given twice, first on line 1",
    ]


def test_anchors_and_merge_keys() -> None:
    found = parse("x: &b {p: 1, q: 2}\ny:\n  <<: *b\n  q: 3\nz: {<<: [*b, {r: 4}]}\n", "f.yml")
    assert found.problems == ()
    assert found.data["y"] == {"q": "3", "p": "1"}
    assert found.data["z"] == {"p": "1", "q": "2", "r": "4"}
    assert (found.lines["y", "p"], found.lines["y", "q"]) == (1, 4)


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("a: 'x", "f.yml:1: not valid YAML: "),
        ("a: 1\n b: 2\n", "f.yml:2: not valid YAML: check the indentation, and quote a text that has ': ' in it"),
        (
            f"a:\n  {'a.example, ' * 94}b: c\n",
            "f.yml:2: not valid YAML: a key of more than 1024 characters; "
            "write '? ' before it, and its value behind ': ' on a line of its own",
        ),
        ("a: hunter2: b\n", "f.yml:1: not valid YAML: check the indentation, and quote a text that has ': ' in it"),
        ("a:\n\tb: 1\n", "f.yml:2: not valid YAML: a tab cannot indent; use spaces"),
        ("ü: {ß: @hunter2}\n", "f.yml:1: not valid YAML: a text that begins with '@' must be quoted"),
        ("a: %hunter2\n", "f.yml:1: not valid YAML: a text that begins with '%' must be quoted"),
        ("a: 1\nb: \0\n", "f.yml:2: not valid YAML: it has control characters"),
        ("*.example.com: {}\n", "f.yml:1: not valid YAML: a text that begins with '*' must be quoted"),
        ("a: 1\n---\nb: 2\n", "f.yml:2: a second document"),
        ("a: &x [*x]\n", "f.yml:1: an alias to what contains it"),
        ("a: *hunter2\n", "f.yml:1: an alias without an anchor"),
        ("a: !hunter2 b\n", "f.yml:1: tags have no meaning"),
        ("a: !hunter2!x b\n", "f.yml:1: "),
        ("a: !!python/object/apply:os.getcwd []\n", "f.yml:1: tags have no meaning"),
        ("? [a]\n: b\n", "f.yml:1: a key must be a text"),
        ("a: {{ hunter2 }}\n", "f.yml:1: a: a key must be a text"),
        ("- a\n", "f.yml:1: write a mapping"),
        ("hunter2\n", "f.yml:1: write a mapping"),
        ("<<: 3\n", "f.yml:1: <<: write an alias"),
        ("[" * 100_000, "f.yml:1: nested too deeply"),
        ("{a: " * 50_000, "f.yml:1: nested too deeply"),
    ],
    ids=range(22),
)
def test_what_is_refused(text: str, problem: str) -> None:
    found = problems(text)
    assert found
    assert found[0].startswith(problem)
    assert "hunter2" not in "".join(found)


def test_an_alias_bomb_is_refused_quickly() -> None:
    lines = ["a: &a [x,x,x,x,x,x,x,x,x]"]
    lines += [
        f"{name}: &{name} [{','.join([f'*{before}'] * 9)}]" for before, name in zip("abcdefgh", "bcdefghi", strict=True)
    ]
    started = time.process_time()  # other processes may have the processor meanwhile
    assert "aliases expand to too much" in problems("\n".join(lines))[0]
    assert time.process_time() - started < 5


@given(st.text(max_size=200))
def test_any_text_is_a_document_or_a_problem(text: str) -> None:
    found = parse(text, "f.yml")
    assert isinstance(found.data, dict)


@given(st.binary(max_size=200))
def test_any_file_is_a_document_or_a_problem(tmp_path_factory: pytest.TempPathFactory, raw: bytes) -> None:
    path = tmp_path_factory.getbasetemp() / "any.yml"
    path.write_bytes(raw)
    assert isinstance(read(str(path)).data, dict)


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    binary = tmp_path / "b.yml"
    binary.write_bytes(b"port: 80\nusers: \xff\xfe\n")
    assert [str(problem) for problem in read(str(binary)).problems] == [f"{binary}:2: not a text file in UTF-8"]
    assert [str(problem) for problem in read(str(tmp_path)).problems] == [f"{tmp_path}: cannot be read: Is a directory"]
    missing = str(tmp_path / "nope.yml")
    assert [str(problem) for problem in read(missing).problems] == [
        f"{missing}: cannot be read: No such file or directory"
    ]
    assert "not a usable file name" in str(read("a\0b").problems[0])
    assert str(read("").problems[0]) == "--config: cannot be read: No such file or directory"
