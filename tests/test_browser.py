"""The browser of the tests: what hangs in it is ended, named and started once more, and leaves no process."""

from __future__ import annotations

from pathlib import Path

import psutil
import pytest

from tests.harness.browser import BrowserHungError, Chromium, chromium_path


def test_a_script_that_never_ends_is_ended_and_the_next_one_has_another_browser() -> None:
    path = chromium_path()
    assert path, "there is no chromium; .ci/run installs it"
    one = Chromium(path)
    page = one.browser().new_page()
    hung = pytest.raises(BrowserHungError, match=r"(?s)a script took more than 1 s.*driver.*--type=renderer")
    with hung, one.within(1, "a script"):
        page.evaluate("new Promise(() => {})")
    assert psutil.Process().children() == []
    assert one.browser().new_page().evaluate("1 + 1") == 2
    one.close()
    assert psutil.Process().children() == []


def test_what_does_not_come_up_is_started_twice(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    driver = tmp_path / "driver"
    driver.write_text("#!/bin/sh\nexec sleep 1000\n")
    driver.chmod(0o755)
    monkeypatch.setenv("PLAYWRIGHT_NODEJS_PATH", str(driver))
    hung = "the driver's beginning took more than 0.5 s"
    with pytest.raises(BrowserHungError, match=rf"(?s)not come up twice\nfirst: {hung}.*\nthen: {hung}"):
        Chromium("", within=0.5).browser()
    assert psutil.Process().children() == []
