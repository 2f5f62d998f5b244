"""The checkout: where the sources and the documentation are, and a clean copy of what the repository has of them.

``python -m tests.harness.checkout DIRECTORY`` makes the copy, as `make test` does before it builds a wheel: what lies
about in the checkout and is in no repository cannot get into it. Only what has changed is written, so a build in the
copy compiles only that anew.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

CHECKOUT = Path(__file__).resolve().parents[2]
"""For tests that read sources or documentation; nothing is started or imported from there."""
BUILT = ("build", "l7.egg-info")
"""What stays in a copy, because a build puts it there."""


def tracked() -> list[Path]:
    """The files of the repository, as they are now, relative to the checkout; without one, all that is not built."""
    if not (CHECKOUT / ".git").exists():
        files = (path.relative_to(CHECKOUT) for path in CHECKOUT.rglob("*") if path.is_file())
        return [path for path in files if path.suffix not in (".pyc", ".so") and not _is_built(path)]
    command = ["git", "-c", f"safe.directory={CHECKOUT}", "-C", str(CHECKOUT), "ls-files", "-z"]
    listed = subprocess.run(command, capture_output=True, text=True, check=True, timeout=30).stdout
    return [Path(name) for name in listed.split("\0") if name and (CHECKOUT / name).is_file()]


def _is_built(path: Path) -> bool:
    return path.parts[0] in BUILT or path.parts[0].startswith(".venv") or "__pycache__" in path.parts


def export(copy: Path) -> Path:
    """Make the directory ``copy`` a clean copy of the checkout, but for what builds have left there; returns it."""
    files = tracked()
    wanted = {copy / path for path in files}
    for path in [path for path in copy.rglob("*") if path.is_file()]:
        if path not in wanted and path.relative_to(copy).parts[0] not in BUILT:
            path.unlink()
    for path in files:
        content = (CHECKOUT / path).read_bytes()
        target = copy / path
        if not target.exists() or target.read_bytes() != content:
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(content)
            target.chmod((CHECKOUT / path).stat().st_mode & 0o777)
    return copy


if __name__ == "__main__":
    export(Path(sys.argv[1]))
