"""Packaging: everything declarative lives in ``setup.cfg``; here is how the hot modules are compiled.

``L7_PURE_PYTHON=1`` compiles nothing. Otherwise all hot modules are compiled or the build fails and says what to do: an
l7 without them takes about twice the CPU. An editable install stays without: an extension would hide the edited source.
"""

from __future__ import annotations

import gzip
import importlib.util
import io
import os
import re
import stat
import sys
import tarfile
import zipfile
from pathlib import Path

from setuptools import Extension, setup
from setuptools.command.bdist_wheel import bdist_wheel
from setuptools.command.build_ext import build_ext
from setuptools.command.sdist import sdist

ROOT = Path(__file__).resolve().parent
_spec = importlib.util.spec_from_file_location("l7_compiled", ROOT / "l7" / "compiled.py")
assert _spec is not None and _spec.loader is not None
compiled = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(compiled)

OLDEST_CYTHON = (3, 1)
OR_PURE = f"or set {compiled.PURE_PYTHON}=1 to install l7 uncompiled, which takes about twice the CPU"
DIRECTIVES = {"language_level": "3", "annotation_typing": False, "binding": False, "embedsignature": False}
FLAGS = ["-O2", "-g0"]
_CIMPORT = re.compile(r"^\s*from\s+(l7[\w.]*)\s+cimport\s", re.MULTILINE)


class BuildError(SystemExit):
    """Ends the build with one sentence."""

    def __init__(self, sentence: str) -> None:
        super().__init__(f"l7: {sentence}")


def types_of(name: str) -> set[str]:
    """The ``.pxd`` files that the compiled module ``name`` depends on: its own, and those of what they name."""
    found: set[str] = set()
    waiting = [name]
    while waiting:
        path = (ROOT / compiled.source_of(waiting.pop())).with_suffix(".pxd")
        if path.exists() and str(path) not in found:
            found.add(str(path))
            waiting += _CIMPORT.findall(path.read_text("utf-8"))
    return found


def is_older(path: Path, sources: list[str]) -> bool:
    """Whether a file is missing, or older than one of those that it is made from."""
    return not path.exists() or any(path.stat().st_mtime < os.stat(source).st_mtime for source in sources)


class BuildExtensions(build_ext):
    """Compiles all hot modules, on all cores, or fails with a sentence."""

    def run(self) -> None:
        """Build; an editable install builds nothing."""
        if self.inplace or getattr(self, "editable_mode", False):
            print("l7: an editable install runs its sources: nothing is compiled", file=sys.stderr)
            return
        if self.parallel is None:
            self.parallel = len(os.sched_getaffinity(0))
        try:
            self._translate()
            super().run()
        except Exception as failure:  # whatever ends a compiler
            raise BuildError(f"the hot modules could not be compiled ({failure}): see above, {OR_PURE}") from None

    def _translate(self) -> None:
        """Let Cython write the C of what has changed."""
        from Cython import __version__ as version
        from Cython.Build import cythonize

        directory = Path(self.build_temp).resolve() / f"cython-{version}"
        flags = [] if "CFLAGS" in os.environ else FLAGS  # those of the environment are to win
        stale = []
        for extension in self.extensions:
            extension.extra_compile_args = flags
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
        if epoch := os.environ.get("SOURCE_DATE_EPOCH"):
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


hot = [] if compiled.pure_wanted(os.environ) else compiled.HOT
setup(
    ext_modules=[Extension(name, [compiled.source_of(name)]) for name in hot],
    cmdclass={"build_ext": BuildExtensions, "sdist": ReproducibleSdist, "bdist_wheel": ReproducibleWheel},
)
