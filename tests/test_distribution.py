"""What is published: complete, the same bytes each time, and described as an index wants it."""

from __future__ import annotations

import email
import os
import re
import shutil
import subprocess
import sys
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

import l7

ROOT = Path(__file__).resolve().parent.parent
NAME = f"l7-{l7.__version__}"
EPOCH = "1750000000"
BUILT = shutil.ignore_patterns(".*", "_build", "build", "dist", "l7.egg-info", "__pycache__", "*.so", "compiled.json")

pytestmark = pytest.mark.timeout(300)


def copied(to: Path, umask: int) -> Path:
    """The sources as somebody else has them: other times and other modes."""
    before = os.umask(umask)
    try:
        shutil.copytree(ROOT, to, ignore=BUILT, copy_function=shutil.copyfile)
        shutil.copytree(ROOT / ".ci", to / ".ci", copy_function=shutil.copyfile)
        shutil.copyfile(ROOT / ".gitignore", to / ".gitignore")
    finally:
        os.umask(before)
    for path in to.rglob("*"):
        os.utime(path, (umask, umask * 10_000_000))
    return to


def run(copy: Path, *words: str, pure: str = "1") -> None:
    # The suite may be told which l7 it is to test, and by which flags it is built; what runs here tests the copy.
    environ = {name: value for name, value in os.environ.items() if name not in ("EXPECT_L7", "CFLAGS")}
    environ |= {"SOURCE_DATE_EPOCH": EPOCH, "L7_PURE_PYTHON": pure, "PYTHONWARNINGS": ""}
    done = subprocess.run(
        [sys.executable, *words], cwd=copy, env=environ, capture_output=True, text=True, timeout=200, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr


def sdist(copy: Path) -> Path:
    run(copy, "setup.py", "-q", "sdist", "--formats=gztar")
    return copy / "dist" / f"{NAME}.tar.gz"


def wheel(copy: Path, pure: str = "1") -> Path:
    words = ("-m", "pip", "wheel", "--no-deps", "--no-build-isolation", "--no-index", "-q", "-w", "dist", ".")
    run(copy, *words, pure=pure)
    (found,) = (copy / "dist").glob("*.whl")
    return found


def compiled_wheel(copy: Path) -> Path:
    """A wheel with one extension, which is enough to see whether a compiler puts in where it was built."""
    path = copy / "l7" / "compiled.py"
    text, changed = re.subn(
        r"^HOT = \(.*?^\)", 'HOT = ("l7.http.authority",)', path.read_text("utf-8"), flags=re.M | re.S
    )
    assert changed == 1
    path.write_text(text, "utf-8")
    return wheel(copy, pure="0")


@pytest.fixture(scope="module")
def copies(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    pytest.importorskip("setuptools", minversion="70.1", reason="older ones need another package to build wheels")
    parent = tmp_path_factory.mktemp("sources")
    return copied(parent / "one", 0o022), copied(parent / "another", 0o027)


@pytest.fixture(scope="module")
def archive(copies: tuple[Path, Path]) -> Path:
    return sdist(copies[0])


@pytest.mark.parametrize("build", [sdist, wheel])
def test_the_same_sources_are_the_same_bytes(build: Callable[[Path], Path], copies: tuple[Path, Path]) -> None:
    one, another = (build(copy) for copy in copies)
    assert one.name == another.name
    assert one.read_bytes() == another.read_bytes()


def test_the_same_sources_are_the_same_extension(tmp_path: Path) -> None:
    pytest.importorskip("setuptools", minversion="70.1")
    copies = (copied(tmp_path / "one", 0o022), copied(tmp_path / "a" / "longer" / "directory", 0o027))
    one, another = (compiled_wheel(copy) for copy in copies)
    assert one.name == another.name
    with zipfile.ZipFile(one) as content:
        (extension,) = [name for name in content.namelist() if name.endswith(".so")]
        assert str(tmp_path).encode() not in content.read(extension)
    assert one.read_bytes() == another.read_bytes()


def test_the_archive_names_nobody_and_one_time(archive: Path) -> None:
    with tarfile.open(archive) as content:
        members = content.getmembers()
    assert {(one.uid, one.gid, one.uname, one.gname, one.mtime) for one in members} == {(0, 0, "", "", int(EPOCH))}
    assert {one.mode for one in members} <= {0o644, 0o755}


def test_everything_is_in_the_archive_and_nothing_that_was_built(archive: Path) -> None:
    with tarfile.open(archive) as content:
        names = {one.name.removeprefix(f"{NAME}/") for one in content.getmembers() if one.isfile()}
    if (ROOT / ".git").exists():
        command = ["git", "-c", f"safe.directory={ROOT}", "-C", str(ROOT), "ls-files"]
        listed = subprocess.run(command, capture_output=True, text=True, check=True, timeout=30).stdout.splitlines()
        assert {name for name in listed if (ROOT / name).exists()} <= names
    assert {"LICENSE", "Makefile", "MANIFEST.in", "tests/conftest.py", "docs/conf.py", ".ci/run"} <= names
    assert not [name for name in names if name.endswith((".so", ".pyc", "compiled.json"))]
    page = "l7/workers/monitor/page/"
    assert not [name for name in names if name.endswith(".html") and not name.startswith(page)]
    assert {path.name for path in (ROOT / page).glob("*.*")} <= {name.removeprefix(page) for name in names}
    assert [name for name in names if name.endswith(".c")] == ["tests/bench/pacer.c"]


def test_it_can_be_tested_and_built_from_the_archive(archive: Path, tmp_path: Path) -> None:
    with tarfile.open(archive) as content:
        content.extractall(tmp_path)
    unpacked = tmp_path / NAME
    run(unpacked, "-m", "pytest", "-q", "-p", "no:cacheprovider", "tests/test_units.py", "tests/test_docs.py")
    assert wheel(unpacked).read_bytes()


def test_an_index_would_take_them(archive: Path, copies: tuple[Path, Path]) -> None:
    pytest.importorskip("twine")
    built = next((copies[0] / "dist").glob("*.whl"), None) or wheel(copies[0])
    run(copies[0], "-m", "twine", "check", "--strict", str(archive), str(built))


def test_what_an_index_shows(copies: tuple[Path, Path]) -> None:
    with zipfile.ZipFile(next((copies[0] / "dist").glob("*.whl"), None) or wheel(copies[0])) as content:
        described = email.message_from_bytes(content.read(f"{NAME}.dist-info/METADATA"))
        assert f"{NAME}.data/data/share/man/man1/l7.1" in content.namelist()
        licences = [name for name in content.namelist() if name.endswith("LICENSE")]
    assert (described["Name"], described["Version"], described["License"]) == ("l7", l7.__version__, "MIT")
    assert described["Description-Content-Type"] == "text/x-rst"
    assert "reverse proxy" in described["Keywords"]
    assert {"Typing :: Typed", "Operating System :: POSIX :: Linux"} <= set(described.get_all("Classifier", []))
    assert licences
    assert described["Home-page"] is None
    assert described.get_all("Project-URL") is None, "there is no site yet"


def test_the_changelog_knows_the_version_and_its_date() -> None:
    heading = f"{l7.__version__} ({l7.__date__})"
    text = (ROOT / "docs" / "changelog.rst").read_text("utf-8")
    assert heading in text
