"""Files that are read anew: nobody is waited for, and nothing without an end is taken."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from l7.config import held
from l7.config.document import read
from l7.config.held import HeldFiles


@pytest.fixture
def files() -> Iterator[HeldFiles]:
    """Closed in the end."""
    made = HeldFiles()
    yield made
    made.close()


def test_what_is_written_into_the_file_is_read(files: HeldFiles, tmp_path: Path) -> None:
    path = tmp_path / "config.yml"
    for content in (b"port: 1\n", b"port: 22\n", b""):
        path.write_bytes(content)
        assert files.read(str(path)) == content


@pytest.mark.timeout(60)
def test_reading_a_pipe_anew_waits_for_no_writer(files: HeldFiles, tmp_path: Path) -> None:
    path = tmp_path / "config.yml"
    path.write_bytes(b"port: 1\n")
    files.read(str(path))
    path.unlink()
    os.mkfifo(path)
    assert files.read(str(path)) == b""
    writer = os.open(path, os.O_RDWR)
    with pytest.raises(BlockingIOError):
        files.read(str(path))
    os.close(writer)


@pytest.mark.parametrize("reader", [held.read_file, HeldFiles().read])
def test_a_file_without_an_end_is_refused(reader: Callable[[str], bytes]) -> None:
    with pytest.raises(OSError, match="it has more than 64MiB"):
        reader("/dev/zero")
    assert str(read("/dev/zero", reader).problems[0]) == "/dev/zero: cannot be read: it has more than 64MiB"
