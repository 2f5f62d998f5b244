"""The manual page: fresh, complete, and without a complaint of those who read such pages."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from l7.config.reading.command_options import COMMANDS, OF_OWN_HELP
from l7.config.reading.flags import build
from l7.config.rendering.manual import page
from l7.config.rendering.reference import parts

PAGE = Path(__file__).resolve().parents[2] / "docs" / "l7.1"


def test_the_page_is_fresh() -> None:
    assert PAGE.read_text("utf-8") == page(), "run: make generated"


def test_everything_is_on_it() -> None:
    text = page().replace("\\-", "-")
    for name in COMMANDS:
        assert f"\\fB{name}\\fR" in text
    for action in build()._actions:
        own_help = OF_OWN_HELP.intersection(action.option_strings)
        assert own_help or all(f"\\fB{name}" in text for name in action.option_strings)
    assert "SUPPRESS" not in text
    entries = [entry for part in parts() for entry in part.settings()]
    assert len(entries) > 50
    assert all(f"\n\\fB{entry.path}\\fR\n" in text for entry in entries)


@pytest.mark.parametrize(
    "command", [["mandoc", "-Tlint", "-Wstyle"], ["man", "--warnings", "-E", "UTF-8", "-l", "-Tutf8", "-Z"]]
)
def test_readers_do_not_complain(command: list[str]) -> None:
    if shutil.which(command[0]) is None:
        pytest.skip(f"needs {command[0]}")
    done = subprocess.run([*command, str(PAGE)], capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert command[0] != "mandoc" or not done.stdout


def test_a_text_is_no_request() -> None:
    from l7.config.rendering import manual

    assert manual._literal(".TH") == "\\&.TH"
    assert manual._text("a\\b-c `d-e`") == "a\\eb\\-c \\fBd\\-e\\fR"
