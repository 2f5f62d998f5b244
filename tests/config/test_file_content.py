"""Configuration files are read within bounds."""

from __future__ import annotations

import pytest

from l7.config.file_content import read_file
from l7.config.reading.document import read


def test_a_file_without_an_end_is_refused() -> None:
    with pytest.raises(OSError, match="it has more than 64MiB"):
        read_file("/dev/zero")
    assert str(read("/dev/zero").problems[0]) == "/dev/zero: cannot be read: it has more than 64MiB"
