"""Packaging: everything declarative lives in ``setup.cfg``; here is how the hot modules are compiled.

``L7_PURE_PYTHON=1`` compiles nothing. Otherwise all hot modules are compiled, or the build fails and says what to do:
uncompiled, a request costs about six times the CPU. An editable install stays uncompiled: an extension would hide the
source that is edited. A tree that cannot be written to is built from elsewhere. An older Python than l7 needs can read
this far, and says so.
"""

import atexit
import gzip
import importlib.util
import io
import os
import re
import shutil
import stat
import subprocess
import sys
import sysconfig
import tarfile
import tempfile
import zipfile
from pathlib import Path

if sys.version_info < (3, 10):  # noqa: UP036, an older Python reads this
    raise SystemExit("\nl7: this is Python {}.{}, and l7 needs Python 3.10 or newer: make the environment "
                     "with a newer one".format(*sys.version_info))  # fmt: skip

import setuptools
from setuptools import Extension, setup
from setuptools.command.build_ext import build_ext
from setuptools.command.build_py import build_py
from setuptools.command.sdist import sdist

try:
    from setuptools.command.bdist_wheel import bdist_wheel
    from setuptools.command.build import build
except ImportError:
    raise SystemExit(f"\nl7: setuptools {setuptools.__version__} is too old to build it: "
                     "pip install 'setuptools>=70.1', or let pip isolate the build") from None  # fmt: skip

ROOT = Path(__file__).resolve().parent
_spec = importlib.util.spec_from_file_location("l7_compiled", ROOT / "l7" / "compiled.py")
assert _spec is not None and _spec.loader is not None
compiled = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(compiled)

OLDEST_CYTHON = (3, 1)
"""As in ``pyproject.toml``, which an install with ``--no-build-isolation`` does not read."""
OR_PURE = f"or set {compiled.PURE_PYTHON}=1 to install l7 uncompiled, at six times the CPU of a request"
DIRECTIVES = {
    "language_level": "3",
    "annotation_typing": False,
    "auto_pickle": False,  # else a fifth of the C is for pickling what is never pickled
    "binding": False,
    "embedsignature": False,
}
STRICT = "-Werror=incompatible-pointer-types"
"""What is an error for gcc 14 is one for all: such a call would fail, or worse, when it runs."""
FLAGS = ["-O2", "-g0", STRICT]
"""For the compiler, where ``CFLAGS`` says nothing else."""
FLAGS_OF_SELDOM = ["-O1", "-g0", STRICT]
SELDOM = {
    "l7.balancing.members", "l7.balancing.policies", "l7.balancing.routing", "l7.http.authority", "l7.http.framing",
    "l7.rules.access", "l7.rules.body_limit", "l7.rules.heads.header_rules",
    "l7.telemetry.access_log", "l7.telemetry.counters", "l7.workers.downstream.accept_balancer",
    "l7.workers.downstream.body", "l7.workers.downstream.client_exchange",
    "l7.workers.downstream.connection_handler", "l7.workers.downstream.request_handler", "l7.workers.limits",
    "l7.workers.request_ids", "l7.workers.upstream.backend", "l7.workers.upstream.request_deadline",
}  # fmt: skip
"""Half of the C, and a sixteenth of the instructions of a small request: quick to compile counts for more."""
_CIMPORT = re.compile(r"^\s*from\s+(l7[\w.]*)\s+cimport\s+(.+)$", re.MULTILINE)


def fail(sentence: str) -> None:
    """End the build with one sentence."""
    raise SystemExit(f"\nl7: {sentence}")


def demand_cython() -> None:
    """End the build where there is no Cython that can write the C."""
    advice = "pip install 'Cython>=3.1', or let pip isolate the build"
    try:
        from Cython import __version__ as version
    except ImportError:
        fail(f"there is no Cython: {advice}, {OR_PURE}")
    if tuple(int(number) for number in re.findall(r"\d+", version)[:2]) < OLDEST_CYTHON:
        fail(f"Cython {version} is too old: {advice}, {OR_PURE}")


def compiles(text: str) -> bool:
    """Whether the compiler that extensions are built with takes a C source."""
    command = (os.environ.get("CC") or sysconfig.get_config_var("CC") or "cc").split()
    include = [f"-I{sysconfig.get_path(name)}" for name in ("include", "platinclude")]
    with tempfile.TemporaryDirectory() as name:
        source = Path(name) / "tried.c"
        source.write_text(text, "utf-8")
        try:
            done = subprocess.run([*command, *include, "-c", str(source), "-o", f"{name}/tried.o"], capture_output=True)
        except OSError:
            return False
        return done.returncode == 0


def demand_compiler() -> None:
    """End the build where nothing can be compiled."""
    if compiles("#include <Python.h>\n"):
        return
    debian = "on Debian: apt-get install gcc python3-dev"
    if not compiles("int tried;\n"):
        fail(f"there is no working C compiler: install one ({debian}), {OR_PURE}")
    fail(f"the C compiler finds no Python.h: install the headers of this Python ({debian}), {OR_PURE}")


def types_of(name: str) -> set[str]:
    """The ``.pxd`` files that the compiled module ``name`` depends on: its own, and those of what they name."""
    found: set[str] = set()
    waiting = [name]
    while waiting:
        path = (ROOT / compiled.source_of(waiting.pop())).with_suffix(".pxd")
        if path.exists() and str(path) not in found:
            found.add(str(path))
            for module, names in _CIMPORT.findall(path.read_text("utf-8")):
                waiting += [module, *(f"{module}.{one.strip()}" for one in names.split(","))]
    return found


def is_older(path: Path, sources: list[str]) -> bool:
    """Whether a file is missing, or older than one of those that it is made from."""
    return not path.exists() or any(path.stat().st_mtime < os.stat(source).st_mtime for source in sources)


class Build(build):
    """Looks first whether it can be done."""

    def run(self) -> None:
        """Build all."""
        if self.distribution.ext_modules:
            demand_cython()
            demand_compiler()
        super().run()


class BuildPython(build_py):
    """Copies the sources into a directory that holds nothing from another build."""

    def run(self) -> None:
        """Remove what an older l7 left there, then copy."""
        suffix = sysconfig.get_config_var("EXT_SUFFIX")
        extensions = self.distribution.ext_modules or []
        kept = {compiled.source_of(extension.name).removesuffix(".py") + suffix for extension in extensions}
        for path in [] if self.editable_mode else list(Path(self.build_lib).rglob("*")):
            if path.is_file() and str(path.relative_to(self.build_lib)) not in kept:
                path.unlink()
        super().run()


class BuildExtensions(build_ext):
    """Compiles all hot modules, on all cores, or fails with a sentence."""

    def run(self) -> None:
        """Build; an editable install builds nothing."""
        if self.inplace or self.editable_mode:
            print("l7: an editable install runs its sources: nothing is compiled", file=sys.stderr)
            return
        if self.parallel is None:
            self.parallel = len(os.sched_getaffinity(0))
        try:
            self._translate()
            super().run()
        except Exception as failure:  # whatever ends a compiler
            fail(f"the hot modules could not be compiled ({failure}): see above, {OR_PURE}")

    def _translate(self) -> None:
        """Let Cython write the C of what has changed."""
        from Cython import __version__ as version
        from Cython.Build import cythonize

        directory = Path(self.build_temp).resolve() / f"cython-{version}"
        stale = []
        for extension in self.extensions:
            flags = FLAGS_OF_SELDOM if extension.name in SELDOM else FLAGS
            extension.extra_compile_args = [] if "CFLAGS" in os.environ else flags
            source = compiled.source_of(extension.name)
            made = directory / Path(source).with_suffix(".c")
            extension.depends = [source, *types_of(extension.name), __file__]
            if is_older(made, extension.depends):
                stale.append(Extension(extension.name, [source]))
            extension.sources = [str(made)]
        if stale:
            cythonize(
                stale, compiler_directives=DIRECTIVES, build_dir=str(directory), quiet=True, force=True,
                nthreads=min(self.parallel, len(stale)) if self.parallel > 1 else 0,
            )  # fmt: skip
        self.extensions.sort(key=lambda extension: -os.stat(extension.sources[0]).st_size)  # no core waits for the last


class ReproducibleSdist(sdist):
    """Makes the same archive of the same sources, where ``SOURCE_DATE_EPOCH`` says which time all of it is from."""

    def make_distribution(self) -> None:
        """Make the archives, then write them anew: setuptools puts in owners, modes and times as they are here."""
        super().make_distribution()
        epoch = os.environ.get("SOURCE_DATE_EPOCH")
        if epoch:
            for name in self.archive_files:
                if str(name).endswith(".tar.gz"):
                    rewrite_archive(Path(name), int(epoch))


def rewrite_archive(path: Path, epoch: int) -> None:
    """Order the members by name, and give them to nobody in particular, at ``epoch`` (seconds)."""
    content = io.BytesIO()
    with tarfile.open(path) as old, tarfile.open(fileobj=content, mode="w", format=tarfile.PAX_FORMAT) as new:
        for member in sorted(old.getmembers(), key=lambda member: member.name):
            member.uid = member.gid = 0
            member.uname = member.gname = ""
            member.mtime = epoch
            member.pax_headers = {}
            member.mode = 0o755 if member.isdir() or member.mode & 0o100 else 0o644
            new.addfile(member, old.extractfile(member) if member.isfile() else None)
    with path.open("wb") as file, gzip.GzipFile("", "wb", 9, file, mtime=epoch) as packed:
        packed.write(content.getvalue())


class ReproducibleWheel(bdist_wheel):
    """Makes the same wheel whatever the modes of the sources and the umask are; its times are ``SOURCE_DATE_EPOCH``."""

    def run(self) -> None:
        """Make the wheel, then write it anew."""
        super().run()
        for _, _, name in self.distribution.dist_files:
            if str(name).endswith(".whl"):
                rewrite_wheel(Path(name))


def rewrite_wheel(path: Path) -> None:
    """Let everybody read each file, and nobody but its owner write."""
    with zipfile.ZipFile(path) as old:
        members = [(one, old.read(one)) for one in old.infolist()]
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as new:
        for one, content in members:
            one.external_attr = (stat.S_IFREG | (0o755 if one.external_attr >> 16 & 0o100 else 0o644)) << 16
            new.writestr(one, content)


def elsewhere() -> dict[str, dict[str, str]]:
    """Options for a source tree that cannot be written to: a build leaves nothing in it."""
    if os.access(ROOT, os.W_OK):
        return {}
    directory = tempfile.mkdtemp(prefix="l7-build-")
    atexit.register(shutil.rmtree, directory, ignore_errors=True)
    return {"egg_info": {"egg_base": directory}, "build": {"build_base": directory}}


hot = [] if compiled.pure_wanted(os.environ) else compiled.HOT
setup(
    ext_modules=[Extension(name, [compiled.source_of(name)]) for name in hot],
    cmdclass={
        "build": Build,
        "build_py": BuildPython,
        "build_ext": BuildExtensions,
        "sdist": ReproducibleSdist,
        "bdist_wheel": ReproducibleWheel,
    },
    options=elsewhere(),
)
