"""Makes the pictures of the admin page in the documentation, of a made-up l7; ``make pictures`` does, with Chromium.

The files of the page are those of l7, answered here; what it asks for is made up (`docs/made_up.py`).
"""

from __future__ import annotations

import json
import os
import sys
import time
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import made_up
from playwright.sync_api import Browser, Page, Route, expect

from l7.workers.monitor.admin.static_files import INDEX, MEDIA_TYPES, PLACE
from tests.harness.browser import Chromium, chromium_path

URL = "http://l7.example.com:9180/"


def pictures(browser: Browser, directory: Path) -> list[Path]:
    """Write ``page.png`` and ``story.png``; whatever the page complains of is raised."""
    page, story = directory / "page.png", directory / "story.png"
    opened = _open(browser, {"width": 1200, "height": 860})
    opened.screenshot(path=page)
    opened = _open(browser, {"width": 880, "height": 1260}, f"#request={made_up.FAILED.request_id}")
    expect(opened.locator("#story pre")).to_contain_text("how it ended")
    opened.screenshot(path=story)
    return [page, story]


def _open(browser: Browser, size: Any, fragment: str = "") -> Page:
    context = browser.new_context(
        viewport=size, color_scheme="light", locale="en-GB", timezone_id=time.tzname[0], reduced_motion="reduce"
    )
    page = context.new_page()
    said: list[str] = []
    page.on("pageerror", lambda error: said.append(str(error)))
    page.on("console", lambda message: said.append(message.text))
    page.clock.set_fixed_time(made_up.NOW)
    page.route("**/*", _answer)
    page.goto(URL + fragment)
    try:
        expect(page.locator("#status-text")).to_have_text("Live")
    finally:
        assert not said, f"the page does not take what is made up: {said}"
    return page


def _answer(route: Route) -> None:
    path = urlsplit(route.request.url).path.lstrip("/")
    if path == "overview":
        route.fulfill(body=json.dumps(made_up.document()), content_type="application/json")
    elif path.startswith("requests/"):
        route.fulfill(body=json.dumps(made_up.requests()), content_type="application/json")
    else:
        file = PLACE / (path or INDEX)
        route.fulfill(body=file.read_bytes(), content_type=MEDIA_TYPES[file.suffix])


def main() -> None:
    """Make them; says so where there is no Chromium."""
    path = chromium_path()
    if path is None:
        sys.exit("there is no chromium, so the pictures stay as they are; on Debian: apt-get install chromium")
    one = Chromium(path)
    try:
        made = pictures(one.browser(), Path(__file__).parent)
    finally:
        one.close()
    print("\n".join(os.path.relpath(each) for each in made))


if __name__ == "__main__":
    main()
