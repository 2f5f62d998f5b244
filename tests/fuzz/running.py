"""Running one target under atheris: seeds in, failures out, what was worth keeping at the end.

``KEEP=1`` adds to ``corpus/<target>.txt`` what of the run's findings takes a branch of ``l7/http`` or ``l7/ipc`` that
no kept input takes. The sources are fuzzed, not what Cython made of them: only their branches can be seen.
"""

from __future__ import annotations

import ast
import importlib
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterable
from pathlib import Path
from types import FrameType
from typing import Any

CORPUS = Path(__file__).parent / "corpus"
ROOMS = (f"http{os.sep}", f"ipc{os.sep}", "proxy_protocol.py")
"""Where branches are looked at."""
LONGEST_KEPT = 2048
"""Bytes of an input that is kept."""


def kept(target: str) -> list[bytes]:
    """The inputs that are kept for *target*."""
    path = CORPUS / f"{target}.txt"
    lines = path.read_text(encoding="ascii").splitlines() if path.exists() else []
    return [ast.literal_eval(line) for line in lines if line and not line.startswith("#")]


def run(target: str, seeds: Iterable[bytes]) -> None:
    """Fuzz ``tests.fuzz.<target>.one`` with libFuzzer's options from the command line. Does not return."""
    if os.environ.get("L7_PURE_PYTHON") != "1":
        command = [sys.executable, "-m", f"tests.fuzz.{target}", *sys.argv[1:]]
        os.execve(sys.executable, command, {**os.environ, "L7_PURE_PYTHON": "1"})
    if os.environ.get("L7_FUZZ_DIRECTORY"):
        _fuzz(target)
    with tempfile.TemporaryDirectory(prefix=f"l7-fuzz-{target}-") as name:
        directory = Path(name)
        found, start = directory / "found", directory / "start"
        found.mkdir()
        start.mkdir()
        for number, data in enumerate([*seeds, *kept(target)]):
            (start / f"{number:06}").write_bytes(data)
        code = _call(target, directory, *sys.argv[1:], f"-artifact_prefix={directory}/", str(found), str(start))
        for artifact in directory.glob("*-*"):
            print(f"{artifact.name}: add this line to {CORPUS / target}.txt:\n{artifact.read_bytes()!r}")
        if not code and os.environ.get("KEEP"):
            _keep(target, [path.read_bytes() for path in found.iterdir()])
    raise SystemExit(code)


def _call(target: str, directory: Path, *options: str) -> int:
    command = [sys.executable, "-m", f"tests.fuzz.{target}", *options]
    return subprocess.call(command, env={**os.environ, "L7_FUZZ_DIRECTORY": str(directory)})


def _keep(target: str, found: list[bytes]) -> None:
    one = importlib.import_module(f"tests.fuzz.{target}").one
    seen: set[object] = set()
    for data in kept(target):
        seen |= _arcs(one, data)
    new = []
    for data in sorted(found, key=len):
        if len(data) <= LONGEST_KEPT and not (arcs := _arcs(one, data)) <= seen:
            seen |= arcs
            new.append(data)
    with (CORPUS / f"{target}.txt").open("a", encoding="ascii") as file:
        file.writelines(f"{data!r}\n" for data in new)
    print(f"{len(new)} of {len(found)} inputs kept")


def _arcs(one: Callable[[bytes], None], data: bytes) -> set[object]:
    """The jumps between lines of ``l7/http`` and ``l7/ipc`` that *data* makes."""
    arcs: set[object] = set()
    last: dict[FrameType, int] = {}

    def trace(frame: FrameType, event: str, _: object) -> Any:
        if not any(f"{os.sep}l7{os.sep}{room}" in frame.f_code.co_filename for room in ROOMS):
            return None
        if event == "line":
            arcs.add((frame.f_code, last.get(frame, 0), frame.f_lineno))
            last[frame] = frame.f_lineno
        return trace

    sys.settrace(trace)
    try:
        one(data)
    finally:
        sys.settrace(None)
    return arcs


def _fuzz(target: str) -> None:
    import atheris  # only here: nothing else needs it

    for module in [name for name in sys.modules if name.split(".")[0] == "l7" or name == f"tests.fuzz.{target}"]:
        del sys.modules[module]
    with atheris.instrument_imports(include=["l7"]):
        fuzzed = importlib.import_module(f"tests.fuzz.{target}")
    atheris.Setup(sys.argv, fuzzed.one)
    atheris.Fuzz()


def cuts(data: bytes) -> list[list[bytes]]:
    """Ways to cut *data*: by byte where it is short, and at places that depend on its content."""
    step = 1 + sum(data[:64]) % 23
    ways = [[data[at : at + step] for at in range(0, len(data), step)]]
    if len(data) <= 512:
        ways.append([data[at : at + 1] for at in range(len(data))])
    return ways
