"""What is shipped: one package, one command, and everything that it needs declared."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import sysconfig
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
    for name in ("setup.cfg", "setup.py", "pyproject.toml", "README.rst"):
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
    assert {name.split("/")[0] for name in names} == {"l7", f"l7-{l7.__version__}.dist-info"}


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


@pytest.fixture
def one_hot(tmp_path: Path) -> Path:
    """A clean copy in which one module stands for all hot ones: all are decided on alike."""
    pytest.importorskip("Cython", reason="without it nothing is tried")
    copy = clean_copy(tmp_path)
    names = (copy / "l7" / "compiled.py").read_text("utf-8")
    (copy / "l7" / "compiled.py").write_text(
        re.sub(r"(?s)HOT = \(.*?\n\)", 'HOT = ("l7.http.messages",)', names), "utf-8"
    )
    return copy


@pytest.mark.timeout(300)
def test_without_a_compiler_it_installs_says_so_and_runs_pure(one_hot: Path) -> None:
    built = run(sys.executable, "setup.py", "build", cwd=one_hot, timeout=200, CC="/nonexistent/cc", L7_PURE_PYTHON="")
    assert built.returncode == 0, built.stderr
    assert "l7: 0 of 1 hot modules compiled" in built.stderr
    (library,) = (one_hot / "build").glob("lib*")
    done = run(sys.executable, "-m", "l7", "--version", cwd=library, L7_PURE_PYTHON="")
    assert (done.returncode, done.stderr) == (0, "")
    assert "pure Python" in done.stdout


@pytest.mark.timeout(300)
@pytest.mark.parametrize("why", [{"CC": "/nonexistent/cc", "L7_PURE_PYTHON": ""}, {"L7_PURE_PYTHON": "1"}])
def test_an_extension_of_an_older_source_stays_one(one_hot: Path, why: dict[str, str]) -> None:
    suffix = sysconfig.get_config_var("EXT_SUFFIX")
    older = one_hot / "l7" / "http" / f"_c_messages{suffix}"
    older.write_bytes(b"of another source")
    os.utime(older, (0, 0))
    built = run(sys.executable, "setup.py", "build_ext", "--inplace", cwd=one_hot, timeout=200, **why)
    assert built.returncode == 0, built.stderr
    record = one_hot / "l7" / "compiled.json"
    assert not record.exists() or "l7.http.messages" not in json.loads(record.read_text("utf-8"))
    done = run(sys.executable, "-m", "l7", "--version", cwd=one_hot, L7_PURE_PYTHON="")
    assert (done.returncode, done.stderr) == (0, "")
    assert "pure Python" in done.stdout
