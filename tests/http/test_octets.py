"""What looks at octets in place, as its source and as the C that compiled modules have in its place."""

from __future__ import annotations

import ast
import itertools
import os
import random
import shutil
import signal
import subprocess
import sys
import sysconfig
from collections.abc import Callable
from pathlib import Path

import pytest

import l7
from l7.http import grammar, octets
from l7.http.octets import cut

DATA = b"GET / HTTP/1.1"
OUTSIDE = [(0, 15), (-1, 3), (3, 2), (15, 15)]
"""Slices that do not lie within `DATA`."""

Run = Callable[[str], "subprocess.CompletedProcess[str]"]


@pytest.mark.parametrize(("start", "end"), [(0, 3), (4, 5), (0, 14), (14, 14), (0, 0)])
def test_cut_is_a_slice(start: int, end: int) -> None:
    assert cut(DATA, start, end) == DATA[start:end]


@pytest.mark.parametrize(("start", "end"), OUTSIDE)
def test_a_slice_that_would_be_clamped_is_a_mistake(start: int, end: int) -> None:
    with pytest.raises(AssertionError, match=f"slice {start}:{end} of 14 bytes"):
        cut(DATA, start, end)


INTEGER, SIZE, LONG, FLAG, BYTES = "int", "Py_ssize_t", "long long", "bint", "bytes"
KINDS = {
    "octet": (INTEGER, "data, at"),
    "name_end": (SIZE, "data, at"),
    "text_end": (SIZE, "data, at"),
    "target_end": (SIZE, "data, at"),
    "host_end": (SIZE, "data, at"),
    "plain_path": (FLAG, "data"),
    "ends_line": (FLAG, "data, at"),
    "starts": (FLAG, "data, at, piece"),
    "named": (FLAG, "data, at, piece"),
    "decimal": (LONG, "data"),
    "hexadecimal": (LONG, "data"),
    "size_line_end": (SIZE, "data, at"),
    "hexadecimal_at": (LONG, "data, at"),
    "size_line": (BYTES, "size"),
    "cut": (BYTES, "data, at, end"),
    "stripped": (BYTES, "data, at, end"),
    "line_among": (SIZE, "data, at, initials"),
    "line_named": (SIZE, "data, at, initials, names, twins"),
    "digits": (BYTES, "size"),
    "numbered": (BYTES, "piece, size, data, second"),
}
TYPES = {"data": BYTES, "piece": BYTES, "initials": BYTES, "at": SIZE, "end": SIZE, "size": LONG}
TYPES |= {"second": LONG, "names": "list", "twins": FLAG}


def _build(directory: Path, *flags: str) -> Run:
    """A module of all functions, compiled with these flags; returns what evaluates an expression of it elsewhere."""
    translate = pytest.importorskip("Cython.Compiler.Main").compile
    compiler = shutil.which("cc") or shutil.which("gcc") or pytest.skip("no C compiler")
    source = directory / "cutter.py"
    lines, types = ["from l7.http import octets"], ["from l7.http cimport octets"]
    for name, (kind, arguments) in KINDS.items():
        lines.append(f"def {name}({arguments}):\n    return octets.{name}({arguments})")
        typed = ", ".join(f"{TYPES[argument]} {argument}" for argument in arguments.split(", "))
        types.append(f"cpdef {kind} {name}({typed})")
    source.write_text("\n".join(lines) + "\n")
    source.with_suffix(".pxd").write_text("\n".join(types) + "\n")
    above = str(Path(l7.__file__).parents[1])
    made = translate([str(source)], include_path=[above], language_level=3)
    assert not made.num_errors
    include = f"-I{sysconfig.get_path('include')}"
    extension = directory / f"cutter{sysconfig.get_config_var('EXT_SUFFIX')}"
    command = [compiler, "-O0", "-g0", "-w", "-shared", "-fPIC", *flags, include]
    clean = {name: value for name, value in os.environ.items() if name != "LD_PRELOAD"}
    subprocess.run([*command, str(source.with_suffix(".c")), "-o", str(extension)], check=True, env=clean, timeout=110)
    source.unlink()

    def run(expression: str) -> subprocess.CompletedProcess[str]:
        script = f"import sys; sys.path[:0] = {[str(directory), above]!r}\nimport cutter; print({expression})"
        return subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60)

    return run


def calls() -> list[tuple[str, tuple[object, ...]]]:
    """Calls of all functions: each octet on its own, and pieces of heads, some with another octet within."""
    chance = random.Random(7)
    singles = [bytes([code]) for code in range(256)]
    texts = [one + b"x" for one in singles] + [
        b"x" * before + one + b"x" * after for one in singles for before, after in ((9, 8), (21, 30))
    ]
    for _ in range(300):
        text = bytes(chance.choices(b'GEt/_-.:; \t"\\\xe9\x8012aAzZ{%', k=chance.randrange(40)))
        cut_at = chance.randrange(len(text) + 1)
        texts.append(text[:cut_at] + chance.choice([b"\r\n", b"\x00", b"\x7f", b"\x1f", b"\r", b""]) + text[cut_at:])
    paths = [
        "/",
        "/a/b?//",
        "/a//b",
        "/a/.b",
        "/.",
        "/a.b",
        "//",
        "*",
        "/a;b",
        "/a%62",
        "/a?%62",
        "/a/",
        "/a\\b",
        "/~a",
    ]
    texts += [path.encode() for path in paths]
    found: list[tuple[str, tuple[object, ...]]] = [("plain_path", (text,)) for text in texts]
    for text in texts:
        for at in {0, len(text), chance.randrange(len(text) + 1)}:
            found += [(name, (text, at)) for name in KINDS if name in ("octet", "ends_line") or name.endswith("_end")]
            end = chance.randrange(at, len(text) + 1)
            piece = text[at:end] + chance.choice([b"", b"", b"x"])
            found += [("cut", (text, at, end)), ("stripped", (text, at, end)), ("starts", (text, at, piece))]
    for name in (b"x-forwarded-", b"te", b"http2-settings"):
        spellings = [name, name.upper(), name.title(), name[:-1], name[:-1] + b":", b"_" + name, name + b"x"]
        found += [("named", (there, 0, name)) for there in spellings]
    odd = [
        b"",
        b"0",
        b"00",
        b"7",
        b"007",
        b"1_0",
        b"+1",
        b"-1",
        b" 1",
        b"1 ",
        b"1\x00",
        b"a",
        b"fF",
        b"g",
        b"0x1",
        b"1;a",
    ]
    long = [b"9" * 18, b"0" * 30 + b"9" * 18, b"9" * 19, b"f" * 15, b"f" * 16, b"0" * 9 + b"f" * 15]
    for number in odd + long:
        found += [("decimal", (number,)), ("hexadecimal", (number,))]
    for line in [one + b"\r\n" for one in [*odd, *long, b"1f4"]] + [b"1f4", b"1f4\r", b"1f4\n", b"1f4 \r\n"]:
        found.append(("size_line_end", (line, 0)))
        found += [("hexadecimal_at", (line, 0))] * (octets.size_line_end(line, 0) > 0)
    found += _looks_for_lines(chance)
    sizes = (0, 1, 9, 10, 15, 16, 255, 65536, 2**40, 2**63 - 1)
    found += [("numbered", (b"a;", first, b"", second)) for first, second in itertools.pairwise(sizes)]
    found.append(("numbered", (b"", 7, b";t=", 2**63 - 1)))
    return found + [(name, (size,)) for size in sizes for name in ("size_line", "digits")]


def _looks_for_lines(chance: random.Random) -> list[tuple[str, tuple[object, ...]]]:
    """For lines of every length, from each line on; their names also in upper case, and within other lines."""
    initials = [bytes([code in wanted for code in range(256)]) for wanted in (b"", b"x", b"xe\x7f")]
    found: list[tuple[str, tuple[object, ...]]] = []
    for _ in range(100):
        some = [b"", b"X", b"x:", b"x-e", b"X_E: x", b"_e:", b"_e", b"a:x", b"E" * 40 + b":", b"a" * 15, b"a" * 31]
        lines = chance.choices(some, k=6)
        data = b"\r\n".join(lines)
        starts = [len(b"\r\n".join([*lines[:number], b""])) for number in range(len(lines))]
        found += [("line_among", (data, at, wanted)) for at in (*starts, len(data)) for wanted in initials]
        for names in ([b"x"], [b"a", b"x-e", b"-e"], [b"-e", b"e" * 40]):
            wanted = bytes([chr(code) in "xae-\x7f" for code in range(256)])
            found += [("line_named", (data, at, wanted, names, twins)) for at in starts for twins in (False, True)]
    return found


@pytest.mark.parametrize("flag", ["-DL7_CHECK_BOUNDS", "-U__SSE2__"])
def test_the_compiled_functions_say_what_their_sources_say(tmp_path: Path, flag: str) -> None:
    """Also on processors that look at eight octets at once, or at one."""
    run = _build(tmp_path, flag)
    wanted = [(name, arguments, getattr(octets, name)(*arguments)) for name, arguments in calls()]
    (tmp_path / "calls.py").write_text(f"CALLS = {[(name, arguments) for name, arguments, _ in wanted]!r}")
    done = run("[getattr(cutter, name)(*arguments) for name, arguments in __import__('calls').CALLS]")
    assert done.returncode == 0, done.stderr
    assert [call for call, said in zip(wanted, ast.literal_eval(done.stdout), strict=True) if call[2] != said] == []
    (extension,) = tmp_path.glob("*.so")
    assert (b"of %zd bytes" in extension.read_bytes()) is (flag == "-DL7_CHECK_BOUNDS"), "only a checked build checks"


def test_classes_are_those_of_the_grammar() -> None:
    for code in range(256):
        one = bytes([code])
        assert octets.name_end(one, 0) == (code in grammar.TCHAR and one != b"_"), one
        assert octets.text_end(one, 0) == (code in grammar.TEXT), one
        assert octets.target_end(one, 0) == (one.translate(grammar.MARK_PLAIN_TARGET) == one), one


def test_a_checked_build_aborts_at_a_slice_outside(tmp_path: Path) -> None:
    run = _build(tmp_path, "-DL7_CHECK_BOUNDS")
    assert run(f"cutter.cut({DATA!r}, 4, 14)").stdout == "b'/ HTTP/1.1'\n"
    for start, end in OUTSIDE:
        done = run(f"cutter.cut({DATA!r}, {start}, {end})")
        assert done.returncode == -signal.SIGABRT, done
        assert f"l7: slice {start}:{end} of 14 bytes" in done.stderr
    for name in ("octet", "name_end", "text_end"):
        for at in (-1, 15):
            done = run(f"cutter.{name}({DATA!r}, {at})")
            assert done.returncode == -signal.SIGABRT, done
            assert f"l7: octet {at} of 14" in done.stderr
