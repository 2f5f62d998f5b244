"""What is shipped: one package, one command, and everything that it needs declared."""

from __future__ import annotations

import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

import l7

ROOT = Path(__file__).resolve().parent.parent


def run(*command: str, cwd: Path = ROOT, timeout: float = 50, **environ: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command,
        cwd=cwd,
        env=os.environ | environ,
        capture_output=True,
        text=True,
        timeout=timeout,
        stdin=subprocess.DEVNULL,
    )


def clean_copy(copy: Path) -> Path:
    """The sources without anything that was built from them."""
    for name in ("setup.cfg", "setup.py", "pyproject.toml", "README.rst", "docs/l7.1"):
        (copy / name).write_bytes((ROOT / name).read_bytes())
    for path in (ROOT / "l7").rglob("*"):
        if path.is_file() and path.suffix in {".py", ".pxd", ".typed"}:
            target = copy / path.relative_to(ROOT)
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(path.read_bytes())
    return copy


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> zipfile.ZipFile:
    """A wheel of a clean copy of the sources, so that no build directory of ours can leak into it."""
    pytest.importorskip("setuptools", minversion="70.1", reason="older ones need another package to build wheels")
    copy = clean_copy(tmp_path_factory.mktemp("sources"))
    built = tmp_path_factory.mktemp("wheel")
    pip = ("-m", "pip", "wheel", "--no-deps", "--no-build-isolation", "--no-index", "-q", "-w", str(built), ".")
    done = run(sys.executable, *pip, cwd=copy, L7_PURE_PYTHON="1")  # what is compiled, `make test` has tried
    assert done.returncode == 0, done.stderr
    (found,) = built.glob("l7-*.whl")
    return zipfile.ZipFile(found)


def test_wheel_holds_the_package_and_nothing_else(wheel: zipfile.ZipFile) -> None:
    names = set(wheel.namelist())
    sources = {str(path.relative_to(ROOT)) for path in (ROOT / "l7").rglob("*.py")}
    assert sources <= names
    assert "l7/py.typed" in names
    folders = {"l7", f"l7-{l7.__version__}.dist-info", f"l7-{l7.__version__}.data"}
    assert {name.split("/")[0] for name in names} == folders


def test_wheel_has_the_command(wheel: zipfile.ZipFile) -> None:
    points = wheel.read(f"l7-{l7.__version__}.dist-info/entry_points.txt").decode()
    assert "[console_scripts]\nl7 = l7.__main__:main\n" in points


def test_wheel_says_what_it_needs(wheel: zipfile.ZipFile) -> None:
    metadata = wheel.read(f"l7-{l7.__version__}.dist-info/METADATA").decode()
    assert "Requires-Python: >=3.10" in metadata
    assert "Requires-Dist: gevent" in metadata
    assert "A minimal HTTP/1.1 reverse proxy" in metadata


@pytest.mark.parametrize("flag", ["--version", "-V"])
def test_module_is_the_command(flag: str) -> None:
    done = run(sys.executable, "-m", "l7", flag)
    assert (done.returncode, done.stderr) == (0, "")
    assert l7.__version__ in done.stdout
