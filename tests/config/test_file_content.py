"""Configuration files are read within bounds."""

from __future__ import annotations

import os

import pytest

from l7.config.file_content import read_file, read_regular_file
from l7.config.reading.yaml_file import read


def test_a_file_without_an_end_is_refused() -> None:
    with pytest.raises(OSError, match="it has more than 64MiB"):
        read_file("/dev/zero")
    assert str(read("/dev/zero").problems[0]) == "/dev/zero: cannot be read: it has more than 64MiB"


def test_what_is_no_regular_file_is_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "text").write_bytes(b"12345")
    assert read_regular_file(str(tmp_path / "text"), 5) == b"12345"
    for name, most, why in [("text", 4, "more than"), ("pipe", 5, "no regular file"), (".", 5, "directory")]:
        with pytest.raises(OSError, match=why):
            read_regular_file(str(tmp_path / name), most)
    with pytest.raises(OSError, match="no regular file"):
        read_regular_file("/dev/zero", 5)
