"""A log is to be opened anew when its path leads to another file; when it leads to none, at the second look."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from l7.telemetry.access_log import open_log
from l7.telemetry.log_rotation import LogRotation, rotation_of
from tests.harness.accounts import root_only


@pytest.fixture
def log(tmp_path: Path) -> Path:
    return tmp_path / "log" / "access.log"


@pytest.fixture
def rotation(log: Path) -> Iterator[LogRotation]:
    log.parent.mkdir()
    descriptor = open_log(str(log))
    found = rotation_of(str(log), descriptor)
    assert found is not None
    assert not found.is_due()
    yield found
    os.close(descriptor)


def test_another_file_is_found_at_once(rotation: LogRotation, log: Path) -> None:
    log.rename(f"{log}.1")
    log.touch()
    assert rotation.is_due()


def test_no_file_is_found_at_the_second_look(rotation: LogRotation, log: Path) -> None:
    log.rename(f"{log}.1")
    assert [rotation.is_due(), rotation.is_due(), rotation.is_due()] == [False, True, True]
    Path(f"{log}.1").rename(log)
    assert not rotation.is_due()
    log.unlink()
    assert [rotation.is_due(), rotation.is_due()] == [False, True]


def test_a_file_that_is_truncated_or_has_another_name_as_well_is_the_same(rotation: LogRotation, log: Path) -> None:
    os.link(log, f"{log}.1")
    os.truncate(log, 0)
    assert [rotation.is_due(), rotation.is_due()] == [False, False]


CLOSED = """
import os, sys
sys.path.insert(0, sys.argv[2])
from l7.telemetry.log_rotation import rotation_of
log, when = sys.argv[1], sys.argv[3]
descriptor = os.open(log, os.O_WRONLY | os.O_CREAT)
os.chmod(os.path.dirname(log), 0o700)
if when == "before":
    os.rename(log, log + ".1")
os.seteuid(65534)
found = rotation_of(log, descriptor)
looks = [found.is_due(), found.is_due()]
if when == "after":
    os.seteuid(0)
    os.rename(log, log + ".1")
    os.seteuid(65534)
print(looks + [found.is_due(), found.is_due()])
"""
"""Looks for a rotation in a directory that only root may enter; the file is renamed before or after that begins."""


@root_only
@pytest.mark.parametrize(
    ("when", "looks"), [("after", [False, False, False, True]), ("before", [False, True, True, True])]
)
def test_in_a_directory_that_is_closed_the_name_of_the_open_file_counts(
    tmp_path: Path, when: str, looks: list[bool]
) -> None:
    folder = tmp_path / "closed"
    folder.mkdir()
    words = [sys.executable, "-c", CLOSED, str(folder / "access.log"), os.getcwd(), when]
    done = subprocess.run(words, capture_output=True, text=True, timeout=30, check=False)
    assert (done.stdout, done.stderr) == (f"{looks}\n", "")


def test_what_is_no_file_of_that_name_is_not_watched(tmp_path: Path) -> None:
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    descriptor = os.open(fifo, os.O_RDWR)
    try:
        assert rotation_of(str(fifo), descriptor) is None
        assert rotation_of("-", 1) is None
        with open(tmp_path / "file", "w", encoding="utf-8") as file:
            assert rotation_of(f"/dev/fd/{file.fileno()}", file.fileno()) is None
    finally:
        os.close(descriptor)
