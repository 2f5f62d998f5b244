"""Running one target under atheris: seeds in, failures out, what was worth keeping at the end.

``KEEP=1`` merges what the run found into ``corpus/<target>.txt``: the smallest set of inputs with the same coverage.
"""

from __future__ import annotations

import ast
import importlib
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterable
from pathlib import Path

CORPUS = Path(__file__).parent / "corpus"
LONGEST_KEPT = 2048
"""Bytes of an input that is kept."""


def kept(target: str) -> list[bytes]:
    """The inputs that are kept for *target*."""
    path = CORPUS / f"{target}.txt"
    lines = path.read_text(encoding="ascii").splitlines() if path.exists() else []
    return [ast.literal_eval(line) for line in lines if line and not line.startswith("#")]


def run(target: str, seeds: Iterable[bytes]) -> None:
    """Fuzz ``tests.fuzz.<target>.one`` with libFuzzer's options from the command line. Does not return."""
    if os.environ.get("L7_FUZZ_DIRECTORY"):
        _fuzz(target)
    with tempfile.TemporaryDirectory(prefix=f"l7-fuzz-{target}-") as name:
        directory = Path(name)
        found, start, merged = (directory / part for part in ("found", "start", "merged"))
        for part in (found, start, merged):
            part.mkdir()
        for number, data in enumerate([*seeds, *kept(target)]):
            (start / f"{number:06}").write_bytes(data)
        code = _call(target, directory, *sys.argv[1:], f"-artifact_prefix={directory}/", str(found), str(start))
        for artifact in directory.glob("*-*"):
            print(f"{artifact.name}: add this line to {CORPUS / target}.txt:\n{artifact.read_bytes()!r}")
        if not code and os.environ.get("KEEP"):
            _call(target, directory, "-merge=1", str(merged), str(start), str(found))
            _keep(target, [path.read_bytes() for path in merged.iterdir()])
    raise SystemExit(code)


def _call(target: str, directory: Path, *options: str) -> int:
    command = [sys.executable, "-m", f"tests.fuzz.{target}", *options]
    return subprocess.call(command, env={**os.environ, "L7_FUZZ_DIRECTORY": str(directory)})


def _keep(target: str, inputs: list[bytes]) -> None:
    path = CORPUS / f"{target}.txt"
    old = path.read_text(encoding="ascii").splitlines() if path.exists() else []
    lines = dict.fromkeys([*old, *(repr(data) for data in sorted(inputs, key=len) if len(data) <= LONGEST_KEPT)])
    path.write_text("\n".join(lines) + "\n", encoding="ascii")
    print(f"{path}: {len(lines)} lines, {len(lines) - len(old)} of them new")


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
