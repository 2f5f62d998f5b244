"""What `make test-asan` runs on: sanitizers are in every hot module, and each of them ends a process that errs."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import pytest

import l7
from l7 import compiled

pytestmark = pytest.mark.skipif("EXPECT_SANITIZED" not in os.environ, reason="for the build of `make test-asan`")

TABLE = """
from l7.errors import BAD_REQUEST
from l7.http.fields import REQUEST_FIELDS, Table
table = Table(REQUEST_FIELDS, BAD_REQUEST, 0)
print(table.scan(b"a: b\\r\\n\\r\\n", {at}, 9, [], [None] * 50))
"""
READER = """
from l7.http.framing import LengthReader
reader = LengthReader(5)
reader.skip({count})
print(reader.left)
"""
MEMORY = """
import ctypes
data = bytearray(100)
address = ctypes.addressof(ctypes.c_char.from_buffer(data))
print(len(ctypes.string_at(address, {size})))
"""


def _run(script: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=100)


CHECKS = {
    "octets": b"l7: octet %zd of %zd",
    "integers": b"cells in what holds no 64-bit integers",
    "line_writing": b"l7: byte %zd of a line in %zd",
}
"""What a helper that goes by an address says where it aborts."""


@pytest.mark.parametrize("name", compiled.HOT)
def test_a_hot_module_is_compiled_with_all_checks(name: str) -> None:
    spec = importlib.util.find_spec(name)
    assert spec is not None and spec.origin is not None
    content = Path(spec.origin).read_bytes()
    for check in (b"__asan_report_load8", b"__ubsan_handle_add_overflow", b"__ubsan_handle_type_mismatch"):
        assert check in content, f"{check.decode()} is not in {spec.origin}"
    types = Path(l7.__file__).parents[1] / Path(compiled.source_of(name)).with_suffix(".pxd")
    named = types.read_text("utf-8") if types.exists() else ""
    for module, words in CHECKS.items():
        assert words in content or f"cimport {module}" not in named, f"{spec.origin} has {module} without their checks"


@pytest.mark.parametrize(
    ("script", "right", "answer", "wrong", "report"),
    [
        (TABLE, {"at": 0}, "8", {"at": -8}, "l7: octet -8 of 8"),
        (READER, {"count": 2}, "3", {"count": -(2**63)}, "runtime error: signed integer overflow"),
        (MEMORY, {"size": 100}, "100", {"size": 104}, "AddressSanitizer: heap-buffer-overflow"),
    ],
    ids=["octet", "overflow", "memory"],
)
def test_a_mistake_ends_the_process_with_a_report(
    script: str, right: dict[str, int], answer: str, wrong: dict[str, int], report: str
) -> None:
    done = _run(script.format(**right))
    assert (done.returncode, done.stdout.strip()) == (0, answer), done.stderr
    failed = _run(script.format(**wrong))
    assert failed.returncode != 0 and not failed.stdout
    assert report in failed.stderr
