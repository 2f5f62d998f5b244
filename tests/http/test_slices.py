"""`slices.cut`, as its source and as the C that compiled modules have in its place."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import sysconfig
from collections.abc import Callable
from pathlib import Path

import pytest

import l7
from l7.http.slices import cut

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


def _build(directory: Path, *flags: str) -> Run:
    """A module that cuts, compiled with these flags; returns what evaluates an expression of it in a new process."""
    translate = pytest.importorskip("Cython.Compiler.Main").compile
    compiler = shutil.which("cc") or shutil.which("gcc") or pytest.skip("no C compiler")
    source = directory / "cutter.py"
    source.write_text("from l7.http import slices\ndef cut(data, at, end):\n    return slices.cut(data, at, end)\n")
    source.with_suffix(".pxd").write_text(
        "from l7.http cimport slices\ncpdef bytes cut(bytes data, Py_ssize_t at, Py_ssize_t end)\n"
    )
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


def test_a_checked_build_aborts_at_a_slice_outside(tmp_path: Path) -> None:
    run = _build(tmp_path, "-DL7_CHECK_BOUNDS")
    assert run(f"cutter.cut({DATA!r}, 4, 14)").stdout == "b'/ HTTP/1.1'\n"
    for start, end in OUTSIDE:
        done = run(f"cutter.cut({DATA!r}, {start}, {end})")
        assert done.returncode == -signal.SIGABRT, done
        assert f"l7: slice {start}:{end} of 14 bytes" in done.stderr


def test_an_ordinary_build_has_no_check(tmp_path: Path) -> None:
    run = _build(tmp_path)
    assert run(f"cutter.cut({DATA!r}, 4, 14)").stdout == "b'/ HTTP/1.1'\n"
    (extension,) = tmp_path.glob("*.so")
    assert b"of %zd bytes" not in extension.read_bytes()
