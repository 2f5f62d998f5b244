"""What is shipped: a wheel with all hot modules compiled, and a source distribution that makes the same of itself.

`make test` runs the suite on an installed wheel, and that very wheel is looked at here. An editable install has none.
"""

from __future__ import annotations

import ast
import configparser
import os
import re
import shutil
import subprocess
import sys
import sysconfig
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

import l7
from l7.compiled import HOT, missing, source_of
from tests.harness.checkout import CHECKOUT, export, tracked
from tests.harness.client import get
from tests.harness.l7process import ROOT, L7Process
from tests.harness.origin import Origin

STEM = f"l7-{l7.__version__}"
SUFFIX = sysconfig.get_config_var("EXT_SUFFIX")
UNOPTIMISED = {"CFLAGS": "-O0 -g0"}
"""A build that is to show what is built, not how fast it runs."""
OR_PURE = "or set L7_PURE_PYTHON=1 to install l7 uncompiled"
CONFIG = "backends: {{'*': {{servers: ['{}']}}}}\n"


Done = subprocess.CompletedProcess[str]


def run(*command: str | Path, cwd: Path = ROOT, timeout: float = 60, **environ: str) -> Done:
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(("L7_", "PYTHON"))}
    return subprocess.run(
        [str(word) for word in command],
        cwd=cwd,
        env=inherited | environ,
        capture_output=True,
        text=True,
        timeout=timeout,
        stdin=subprocess.DEVNULL,
    )


PIP = (sys.executable, "-m", "pip", "--disable-pip-version-check")
OFFLINE = ("--no-deps", "--no-build-isolation", "--no-index")


class Environment:
    """A new virtual environment: it sees all that this one has, but for the l7 that is tested."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        assert run(sys.executable, "-m", "venv", "--without-pip", directory).returncode == 0
        self.python = directory / "bin" / "python"
        self.program = directory / "bin" / "l7"
        (packages,) = directory.glob("lib/python*/site-packages")
        self.package = packages / "l7"
        others = directory / "others"
        others.mkdir()
        for path in Path(sysconfig.get_path("purelib")).iterdir():
            if not path.name.startswith(("l7", "__editable__")):
                (others / path.name).symlink_to(path)
        (packages / "others.pth").write_text(f"{others}\n", "utf-8")

    def install(self, what: Path, **environ: str) -> Done:
        return run(*PIP, "--python", self.python, "install", *OFFLINE, what, timeout=400, **environ)

    def copy(self, installed: Environment) -> None:
        """Take over what pip has put into another one: the package, what is known of it, and the command."""
        for path in installed.package.parent.glob("l7*"):
            shutil.copytree(path, self.package.parent / path.name)
        self.program.write_text(installed.program.read_text().replace(str(installed.directory), str(self.directory)))
        self.program.chmod(0o755)

    def version(self, **environ: str) -> str:
        done = run(self.program, "--version", cwd=self.directory, **environ)
        assert (done.returncode, done.stderr) == (0, "")
        return done.stdout

    def proxies(self, directory: Path) -> list[str]:
        """Start it, proxy a request and stop it; returns its events."""
        with (
            Origin() as origin,
            L7Process(
                CONFIG.format(origin.address), directory=directory, program=[str(self.program)], env={"PYTHONPATH": ""}
            ) as proxy,
        ):
            assert get(proxy.port, "/x").status == 200
            return list(proxy.events)


@pytest.fixture
def environment(tmp_path: Path) -> Environment:
    return Environment(tmp_path / "environment")


@pytest.fixture(scope="module")
def wheel() -> Path:
    """The wheel that the l7 that is tested was installed from."""
    found = list(Path(sys.prefix, "wheel").glob("l7-*.whl"))
    if not found and not os.environ.get("EXPECT_L7"):
        pytest.skip("an editable install comes from no wheel: make test builds one")
    assert len(found) == 1
    return found[0]


@pytest.fixture(scope="module")
def from_wheel(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Environment:
    """What pip has made of the wheel, to look at and to copy: it is installed once."""
    installed = Environment(tmp_path_factory.mktemp("installed") / "environment")
    done = installed.install(wheel)
    assert done.returncode == 0, done.stderr
    return installed


@pytest.fixture
def installed(from_wheel: Environment, environment: Environment) -> Environment:
    """One of a test's own, with l7 from the wheel."""
    environment.copy(from_wheel)
    return environment


@pytest.fixture(scope="module")
def sdist(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A source distribution of a clean copy of the checkout."""
    pytest.importorskip("setuptools", minversion="70.1")
    copy = export(tmp_path_factory.mktemp("checkout"))
    done = run(sys.executable, "-c", "from setuptools.build_meta import build_sdist; build_sdist('dist')", cwd=copy)
    assert done.returncode == 0, done.stderr
    (found,) = (copy / "dist").glob("l7-*.tar.gz")
    return found


def packaged() -> set[str]:
    """The files of the repository that an installed l7 has."""
    return {str(path) for path in tracked() if path.parts[0] == "l7"}


def extensions() -> set[str]:
    return {source_of(name).removesuffix(".py") + SUFFIX for name in HOT}


def test_the_wheel_holds_every_source_type_and_extension_and_nothing_else(wheel: Path) -> None:
    names = set(zipfile.ZipFile(wheel).namelist())
    about = {name for name in names if name.split("/")[0] in (f"{STEM}.dist-info", f"{STEM}.data")}
    assert names - about == packaged() | extensions()
    assert {"l7/py.typed", "l7/http/parser.pxd", f"l7/http/parser{SUFFIX}"} <= names


def test_the_source_distribution_holds_every_source_and_type(sdist: Path) -> None:
    with tarfile.open(sdist) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    assert packaged() <= names
    assert [name for name in names if name.endswith((".c", ".so"))] == ["tests/bench/pacer.c"]


def test_the_wheel_has_the_command_and_says_what_it_needs(wheel: Path) -> None:
    archive = zipfile.ZipFile(wheel)
    points = archive.read(f"{STEM}.dist-info/entry_points.txt").decode()
    assert "[console_scripts]\nl7 = l7.__main__:main\n" in points
    metadata = archive.read(f"{STEM}.dist-info/METADATA").decode()
    assert "Requires-Python: >=3.10" in metadata
    assert "Requires-Dist: gevent" in metadata
    assert "A minimal HTTP/1.1 reverse proxy" in metadata


def test_an_index_would_take_the_wheel(wheel: Path) -> None:
    pytest.importorskip("twine")
    done = run(sys.executable, "-m", "twine", "check", "--strict", wheel)
    assert done.returncode == 0, done.stdout


def test_the_wheel_installs_and_proxies_compiled(from_wheel: Environment, tmp_path: Path) -> None:
    assert missing(str(from_wheel.package)) == []
    assert from_wheel.version().startswith(f"l7 {l7.__version__} (compiled, ")
    assert not [line for line in from_wheel.proxies(tmp_path) if "compiled" in line]


def few_modules(sdist: Path, directory: Path, *hot: str) -> Path:
    """The source distribution, unpacked, with these hot modules alone."""
    with tarfile.open(sdist) as content:
        content.extractall(directory, filter="data")
    (root,) = directory.iterdir()
    path = root / "l7" / "compiled.py"
    listed = "".join(f'    "{name}",\n' for name in hot)
    text, changed = re.subn(r"^HOT = \(.*?^\)", f"HOT = (\n{listed})", path.read_text("utf-8"), flags=re.M | re.S)
    assert changed == 1
    path.write_text(text, "utf-8")
    return root


def test_the_source_distribution_has_what_the_wheel_was_made_of(sdist: Path) -> None:
    """So what the suite's wheel proves of all hot modules holds for those that are made of it, too."""
    needed = {"setup.py", "pyproject.toml", "MANIFEST.in", "README.rst", "LICENSE", "docs/l7.1"}
    with tarfile.open(sdist) as content:

        def packed(name: str) -> bytes:
            found = content.extractfile(f"{STEM}/{name}")
            assert found is not None
            return found.read()

        for name in packaged() | needed:
            assert packed(name) == (CHECKOUT / name).read_bytes(), name
        assert settings_of(packed("setup.cfg")) == settings_of((CHECKOUT / "setup.cfg").read_bytes())


def settings_of(text: bytes) -> dict[str, dict[str, str]]:
    """What a ``setup.cfg`` says; setuptools adds its own ``egg_info``."""
    parser = configparser.ConfigParser()
    parser.read_string(text.decode())
    return {name: dict(parser[name]) for name in parser if name != "egg_info"}


@pytest.mark.timeout(300)
def test_the_source_distribution_installs_and_proxies_compiled(
    sdist: Path, environment: Environment, tmp_path: Path
) -> None:
    hot = ("l7.http.authority", "l7.http.messages")
    done = environment.install(few_modules(sdist, tmp_path / "sources", *hot), **UNOPTIMISED)
    assert done.returncode == 0, done.stderr
    assert {str(path.relative_to(environment.package.parent)) for path in environment.package.rglob("*.so")} == {
        source_of(name).removesuffix(".py") + SUFFIX for name in hot
    }
    assert environment.version().startswith(f"l7 {l7.__version__} (compiled, ")
    assert not [line for line in environment.proxies(tmp_path) if "compiled" in line]


def test_asked_for_pure_python_it_installs_without_extensions_and_says_so(
    sdist: Path, environment: Environment, tmp_path: Path
) -> None:
    done = environment.install(sdist, L7_PURE_PYTHON="1", CC="/nonexistent/cc")
    assert done.returncode == 0, done.stderr
    assert not list(environment.package.rglob("*.so"))
    assert "(pure Python, " in environment.version()
    (event,) = [line for line in environment.proxies(tmp_path) if "compiled" in line]
    assert "warning" in event and "about six times the CPU" in event


@pytest.mark.parametrize("value", ["", "0", "1"])
def test_the_variable_means_the_same_at_run_time(value: str, from_wheel: Environment) -> None:
    said = from_wheel.version(L7_PURE_PYTHON=value)
    if value == "1":
        assert "(pure Python, " in said and "L7_PURE_PYTHON is set" in said
    else:
        assert "(compiled, " in said
    source = (
        "import l7.http.parser as parser, l7.workers.downstream.connection_handler as handler; "
        "print(parser.__file__, handler.__file__)"
    )
    files = run(from_wheel.python, "-c", source, cwd=from_wheel.directory, L7_PURE_PYTHON=value).stdout.split()
    assert {file.endswith(".py") for file in files} == {value == "1"}


def test_without_one_extension_all_sources_run_and_it_is_told(installed: Environment) -> None:
    (installed.package / "http" / f"parser{SUFFIX}").unlink()
    said = installed.version()
    assert "(pure Python, " in said and "the compiled module of l7.http.parser is missing (install l7 again)" in said


def test_extensions_of_another_python_are_left_alone(installed: Environment, tmp_path: Path) -> None:
    for path in installed.package.rglob("*.so"):
        path.rename(path.with_name(path.name.replace(SUFFIX, ".cpython-39-x86_64-linux-gnu.so")))
    said = installed.version()
    assert "(pure Python, " in said and "there are no compiled modules for this Python" in said
    assert [line for line in installed.proxies(tmp_path) if "not compiled" in line]


@pytest.mark.parametrize("stale", ["l7/exchange", "l7/telemetry/counters"])
def test_an_extension_of_another_build_is_named(stale: str, installed: Environment, tmp_path: Path) -> None:
    """A class has another size in it: it is the one that defines it, or one that uses it."""
    other = tmp_path / "other"
    shutil.copytree(installed.package, other / "l7", ignore=shutil.ignore_patterns("*.so"))
    types = other / "l7" / "exchange.pxd"
    types.write_text(f"{types.read_text('utf-8')}    cdef public object spare\n", "utf-8")
    done = run(sys.executable, "-m", "cython", "-3", "-X", "annotation_typing=False", f"{stale}.py", cwd=other)
    assert done.returncode == 0, done.stderr
    extension = installed.package.parent / f"{stale}{SUFFIX}"
    flags = ("-O0", "-g0", "-w", "-shared", "-fPIC", f"-I{sysconfig.get_path('include')}")
    done = run("cc", *flags, f"{stale}.c", "-o", extension, cwd=other)
    assert done.returncode == 0, done.stderr
    done = run(installed.program, "-p", "0", "*=127.0.0.1:9", cwd=tmp_path)
    assert (done.returncode, done.stdout) == (1, "")
    (said,) = done.stderr.splitlines()
    assert said.startswith(f"l7: {installed.package}/") and "l7.exchange.Exchange size changed" in said
    assert said.endswith("install l7 again, by pip install --force-reinstall")


@pytest.mark.parametrize("user", ["sharedmem/counters", "http/framing"])
def test_our_own_c_is_right_in_the_newest_standard_too(user: str, tmp_path: Path) -> None:
    """gcc 15 takes C23, where nothing else is said: an attribute stands before ``static`` in it."""
    made = tmp_path / "made.c"
    words = ("-m", "cython", "-3", "-X", "annotation_typing=False", f"l7/{user}.py", "-o", made)
    done = run(sys.executable, *words, cwd=CHECKOUT)
    assert done.returncode == 0, done.stderr
    newest = ("-std=gnu2x", "-D__STDC_VERSION__=202311L", f"-I{sysconfig.get_path('include')}")
    done = run("gcc", *newest, "-fsyntax-only", made)
    assert done.returncode == 0, done.stderr


def fake_compiler(directory: Path, script: str) -> str:
    """A compiler that is ``script`` before it is the real one; ``$source`` is what it compiles."""
    path = directory / "cc"
    path.write_text(f'#!/bin/sh\nsource=$(printf "%s\\n" "$@" | grep "[.]c$")\n{script}\nexec gcc "$@"\n', "utf-8")
    path.chmod(0o755)
    return str(path)


@pytest.fixture
def tried(sdist: Path, environment: Environment) -> Callable[..., str]:
    """Install the source distribution where something is missing; returns what was said, and checks that it ended."""

    def install(what: Path = sdist, **environ: str) -> str:
        done = environment.install(what, **UNOPTIMISED, **environ)
        assert done.returncode != 0
        assert not environment.package.exists()
        assert "Traceback" not in done.stdout + done.stderr
        (said,) = [line.strip() for line in (done.stdout + done.stderr).splitlines() if line.strip().startswith("l7: ")]
        return said

    return install


def test_without_a_compiler_it_says_what_to_install(tried) -> None:
    said = tried(CC="/nonexistent/cc")
    assert said.startswith(
        "l7: there is no working C compiler: install one (on Debian: apt-get install gcc python3-dev)"
    )
    assert OR_PURE in said


def test_without_the_headers_of_python_it_says_what_to_install(tried, tmp_path: Path) -> None:
    said = tried(CC=fake_compiler(tmp_path, 'grep -q Python.h "$source" && exit 1'))
    assert said.startswith("l7: the C compiler finds no Python.h: install the headers of this Python")
    assert OR_PURE in said


def test_a_compiler_that_fails_half_way_fails_the_build(tried, sdist: Path, tmp_path: Path) -> None:
    fails = fake_compiler(tmp_path, 'case "$source" in *http/messages.c) exit 1;; esac')
    said = tried(few_modules(sdist, tmp_path / "sources", "l7.http.authority", "l7.http.messages"), CC=fails)
    assert said.startswith("l7: the hot modules could not be compiled (")
    assert OR_PURE in said


def test_without_cython_it_says_what_to_install(tried, tmp_path: Path) -> None:
    (tmp_path / "Cython").mkdir()
    (tmp_path / "Cython" / "__init__.py").write_text("raise ImportError('none')\n", "utf-8")
    said = tried(PYTHONPATH=str(tmp_path))
    assert said.startswith("l7: there is no Cython: pip install 'Cython>=3.1'")
    assert OR_PURE in said


def test_with_an_old_cython_it_says_so(tried, tmp_path: Path) -> None:
    (tmp_path / "Cython").mkdir()
    (tmp_path / "Cython" / "__init__.py").write_text("__version__ = '0.29.36'\n", "utf-8")
    assert tried(PYTHONPATH=str(tmp_path)).startswith("l7: Cython 0.29.36 is too old: pip install 'Cython>=3.1'")


@pytest.mark.parametrize("newest", ["build_py", "build"])
def test_an_old_setuptools_is_named(newest: str, tmp_path: Path) -> None:
    """One that comes without wheels, and one that has no command to build all, either."""
    commands = tmp_path / "setuptools" / "command"
    commands.mkdir(parents=True)
    (tmp_path / "setuptools" / "__init__.py").write_text("__version__ = '44.1.1'\nExtension = setup = None\n", "utf-8")
    for name in dict.fromkeys(("build_ext", "build_py", "sdist", newest)):
        (commands / f"{name}.py").write_text(f"{name} = object\n", "utf-8")
    done = run(sys.executable, "setup.py", cwd=CHECKOUT, PYTHONPATH=str(tmp_path))
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith("\nl7: setuptools 44.1.1 is too old to build it: pip install 'setuptools>=70.1'")
    assert "Traceback" not in done.stderr


def test_an_older_python_can_read_that_it_is_too_old() -> None:
    source = (CHECKOUT / "setup.py").read_text("utf-8")
    ast.parse(source, feature_version=(3, 6))
    assert "from __future__" not in source
    assert "python_version < '3.10'" in (CHECKOUT / "pyproject.toml").read_text("utf-8"), "pip cannot begin to build"
    done = run(sys.executable, "-c", f"import sys; sys.version_info = (3, 7, 3); exec({source!r})", cwd=CHECKOUT)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.split("\n", 2)[1].startswith("l7: this is Python 3.7, and l7 needs Python 3.10 or newer")


def test_an_editable_install_runs_its_sources(tmp_path: Path, environment: Environment) -> None:
    copy = export(tmp_path / "checkout")
    done = run(*PIP, "--python", environment.python, "install", *OFFLINE, "-e", copy, timeout=200)
    assert done.returncode == 0, done.stderr
    assert not list(copy.rglob("*.so"))
    assert "(pure Python, " in environment.version()


@pytest.mark.skipif(os.geteuid() != 0 or not shutil.which("unshare"), reason="mounts a file system")
def test_a_tree_that_cannot_be_written_to_is_built_from_elsewhere(tmp_path: Path) -> None:
    copy = export(tmp_path / "checkout")
    before = sorted(copy.rglob("*"))
    words = [*PIP, "wheel", "-q", *OFFLINE, "-w", str(tmp_path), str(copy)]
    script = f'mount --bind "{copy}" "{copy}" && mount -o remount,ro,bind "{copy}" && ! touch "{copy}/x" && exec "$@"'
    done = run("unshare", "--mount", "sh", "-c", script, "sh", *words, timeout=200, L7_PURE_PYTHON="1")
    if "mount:" in done.stderr or "unshare:" in done.stderr:
        pytest.skip(done.stderr)
    assert done.returncode == 0, done.stderr
    assert sorted(copy.rglob("*")) == before
    (made,) = tmp_path.glob("l7-*.whl")
    assert packaged() <= set(zipfile.ZipFile(made).namelist())


@pytest.mark.parametrize("flag", ["--version", "-V"])
def test_module_is_the_command(flag: str) -> None:
    done = run(sys.executable, "-m", "l7", flag)
    assert (done.returncode, done.stderr) == (0, "")
    assert l7.__version__ in done.stdout
