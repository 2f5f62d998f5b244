"""Packaging: everything declarative lives in ``setup.cfg``; here is how the hot modules are compiled.

The extensions are optional. Without Cython or a C compiler the install works, says so, and l7 runs as pure Python.
"""

from __future__ import annotations

import importlib.util
import json
import os
import sys
from pathlib import Path

from setuptools import Extension, setup
from setuptools.command.build_ext import build_ext

ROOT = Path(__file__).resolve().parent
_spec = importlib.util.spec_from_file_location("compiled", ROOT / "l7" / "compiled.py")
assert _spec is not None and _spec.loader is not None
compiled = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(compiled)


def recorded_types() -> str:
    """The digest of the types that were compiled last in this folder; empty when there is none."""
    try:
        return str(json.loads((ROOT / "l7" / compiled.RECORD).read_text("utf-8"))[compiled.TYPES])
    except (OSError, ValueError, KeyError, TypeError):
        return ""


def extensions() -> list[Extension]:
    """The hot modules as extensions; none where there is no Cython or ``L7_PURE_PYTHON`` is set."""
    if os.environ.get("L7_PURE_PYTHON"):
        return []
    try:
        from Cython.Build import cythonize
    except ImportError:
        print("l7: no Cython: the hot modules stay pure Python", file=sys.stderr)
        return []
    wanted = [Extension(compiled.extension_of(name), [compiled.source_of(name)]) for name in compiled.HOT]
    directives = {"language_level": "3", "annotation_typing": False, "binding": False, "embedsignature": False}
    stale = recorded_types() != compiled.digest_of_types(ROOT)  # Cython does not follow all that a changed type means
    made = cythonize(wanted, compiler_directives=directives, build_dir="build/cython", quiet=True, force=stale)
    for extension in made:
        extension.optional = True  # cythonize drops what the Extension said
        extension.extra_compile_args = ["-O2", "-g0"]
        extension.depends = [str(path) for path in sorted((ROOT / "l7").rglob("*.pxd"))]
    return list(made)


class BuildExtensions(build_ext):
    """Builds what can be built, says what cannot, and records from which sources."""

    built: list[str]
    """What is up to date after this run."""

    def build_extension(self, ext: Extension) -> None:
        """Build one; what fails is optional, so only here is known what did not."""
        super().build_extension(ext)
        self.built.append(ext.name)

    def run(self) -> None:
        """Build, then write the record beside ``l7/compiled.py``; without a build the old one stays true."""
        self.built = []
        try:
            super().run()
        except Exception as failure:  # whatever a machine lacks, the install must work
            print(f"l7: the hot modules stay pure Python: {failure}", file=sys.stderr)
        if os.environ.get("L7_PURE_PYTHON"):
            return
        record = {compiled.TYPES: compiled.digest_of_types(ROOT)}
        for name in compiled.HOT:
            if compiled.extension_of(name) in self.built:  # or an older extension would be taken for one of this source
                record[name] = compiled.digest((ROOT / compiled.source_of(name)).read_bytes())
        if len(record) <= len(compiled.HOT):
            print(f"l7: {len(record) - 1} of {len(compiled.HOT)} hot modules compiled", file=sys.stderr)
        where = ROOT if self.inplace else Path(self.build_lib)
        target = where / "l7" / compiled.RECORD
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(json.dumps(record, indent=1), "utf-8")


setup(ext_modules=extensions(), cmdclass={"build_ext": BuildExtensions})
