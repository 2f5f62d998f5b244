"""Codings whose libraries are not installed, in the program itself."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest
import yaml

from tests.harness.l7process import PROGRAM, ROOT


@pytest.fixture
def without(tmp_path: Path) -> dict[str, str]:
    """Variables with which neither brotli nor zstd can be imported."""
    for package in ("brotli", "backports", "compression"):
        (tmp_path / package).mkdir()
        (tmp_path / package / "__init__.py").write_text("raise ImportError('not installed')\n")
    return {"PYTHONPATH": os.pathsep.join([str(tmp_path), str(ROOT)])}


def l7(*words: str, **variables: str) -> subprocess.CompletedProcess[str]:
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("L7_")}
    inherited["PYTHONPATH"] = os.pathsep.join([str(ROOT), *filter(None, [inherited.get("PYTHONPATH")])])
    return subprocess.run(
        [*PROGRAM, *words], capture_output=True, text=True, timeout=60, env=inherited | variables, check=False
    )


def write(path: Path, setting: str) -> str:
    path.write_text(f"backends:\n  a:\n    servers: [127.0.0.1:1]\n    compress: {setting}\n")
    return str(path)


def test_check_says_how_to_install_what_is_missing(tmp_path: Path, without: dict[str, str]) -> None:
    path = write(tmp_path / "l7.yml", "[zstd, gzip]")
    done = l7("check", "-c", path, **without)
    assert done.returncode == 2
    assert done.stderr == (
        f"{path}:4: backends.a.compress: zstd needs a package that is not installed: "
        "pip install 'l7[compression]', or leave zstd out\n"
    )
    assert l7("check", "-c", path).returncode == 0


def test_true_is_what_is_there(tmp_path: Path, without: dict[str, str]) -> None:
    path = write(tmp_path / "l7.yml", "true")
    for there, variables in ((["gzip"], without), (["zstd", "br", "gzip"], {})):
        dumped = yaml.safe_load(l7("dump", "-c", path, **variables).stdout)
        assert dumped["backends"]["a"]["compress"] == there


def test_the_version_says_which_are_there(without: dict[str, str]) -> None:
    assert l7("--version").stdout.endswith("compression: zstd, br, gzip\n")
    missing = l7("--version", **without).stdout
    assert missing.endswith("compression: gzip; zstd and br by pip install 'l7[compression]'\n")
