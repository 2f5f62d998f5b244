"""The page of the admin address in Chromium: what it shows of a real l7, what cannot get into it, how it lasts."""

from __future__ import annotations

import contextlib
import importlib
import json
import math
import os
import re
import socket
import tempfile
import threading
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import ConsoleMessage, Page, Route, expect

from l7.telemetry.stories.times import lasted
from tests.harness import TIMEOUT
from tests.harness.browser import Chromium, chromium_path
from tests.harness.checkout import CHECKOUT
from tests.harness.client import Client
from tests.harness.client import request as send
from tests.harness.l7process import L7Process
from tests.harness.lifecycle import reload
from tests.harness.origin import Origin, Reply, Request

# What hangs in the browser ends by `PATIENCE`; what else does is not to interrupt the loop of playwright by a signal.
pytestmark = pytest.mark.timeout(240, method="thread")
PATIENCE = 80.0
"""Seconds after which the browser of a test is killed."""

CONFIG = """
canary-time: 100ms
access-log: off
workers: 1
trusted-proxies: [127.0.0.1]
admin: 'unix:{admin}'
backends:
  shop.example: {{servers: ['{up}']}}
  api.example/v1: {{servers: ['{up}', '{gone}'], health: {{path: /healthz, interval: 100ms, fall: 1}}}}
  broken.example: {{servers: ['{gone}'], retries: 0, retry-for: 0s}}
"""
MISSPELT = "backends: {shop.example: {servers: [{address: '127.0.0.1:9', wieght: 1}]}}\n"
MARKUP = "/<img/src=x/onerror=document.title='owned'>"
HOSTILE = (
    "<script>document.title='owned'</script><img src=x onerror=alert(1)>\x1b[31m\x07\x9b\u202egnp\u200b\ufeff\ud800"
)
SEEN = r"<script>document.title='owned'</script><img src=x onerror=alert(1)>\x1b[31m\x07\x9b\u202egnp\u200b\ufeff\ud800"
"""How that is to be shown."""

CONTRAST = """() => {
  const shade = (text) => {
    const [r, g, b, a = 1] = text.match(/[0-9.]+/g).map(Number);
    return { rgb: [r, g, b], a };
  };
  const light = ({ rgb }) => {
    const [r, g, b] = rgb.map((one) => (one /= 255) <= 0.03928 ? one / 12.92 : ((one + 0.055) / 1.055) ** 2.4);
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const ground = (one) => {
    for (; one; one = one.parentElement) {
      const found = shade(getComputedStyle(one).backgroundColor);
      if (found.a === 1) return found;
    }
  };
  const found = [];
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  let looked = 0;
  while (walker.nextNode()) {
    const one = walker.currentNode.parentElement;
    if (!walker.currentNode.data.trim() || !one.checkVisibility() || one.closest(".unseen, .skip, noscript")) continue;
    looked += 1;
    const [a, b] = [light(shade(getComputedStyle(one).color)), light(ground(one))].sort((x, y) => y - x);
    const ratio = (a + 0.05) / (b + 0.05);
    if (ratio < 4.5) found.push(`${ratio.toFixed(2)}: ${one.tagName} ${one.className} ${walker.currentNode.data}`);
  }
  return [looked, found];
}"""
"""The texts that are seen, and those of them that stand out too little (WCAG 2.2, 1.4.3)."""


class Bridge:
    """A port that leads to a unix socket, also to one that is not there now, or is there again."""

    def __init__(self, path: str) -> None:
        self.path = path
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        self._threads: list[threading.Thread] = []
        self._sockets: set[socket.socket] = set()
        self._begin(self._accept)

    def _begin(self, run: Callable[..., None], *arguments: Any) -> None:
        thread = threading.Thread(target=run, args=arguments, daemon=True)
        self._threads.append(thread)
        thread.start()

    def _accept(self) -> None:
        while True:
            try:
                near = self._listener.accept()[0]
            except OSError:
                return
            far = socket.socket(socket.AF_UNIX)
            far.settimeout(TIMEOUT)  # where nobody accepts, connecting to a unix socket waits for ever
            try:
                far.connect(self.path)
                far.settimeout(None)
            except OSError:
                near.close()
                far.close()
                continue
            self._sockets |= {near, far}
            self._begin(self._copy, near, far)
            self._begin(self._copy, far, near)

    @staticmethod
    def _copy(source: socket.socket, to: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(65536):
                to.sendall(data)
        for one in (source, to):
            with contextlib.suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        """Close everything, and wait for the threads."""
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for one in list(self._sockets):
            with contextlib.suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join(TIMEOUT)
        for one in self._sockets:
            one.close()


def answer(request: Request) -> Reply:
    """What the server says: a failure where the path asks for one."""
    return Reply(500 if request.target.startswith(b"/fail") else 200, body=b"ok")


class Site:
    """An l7 with a server that is there and one that is not, some traffic, and the page's address."""

    def __init__(self, directory: Path, up: str, gone: str) -> None:
        self.directory = directory
        self.config = CONFIG.format(admin=directory / "admin.sock", up=up, gone=gone)
        self.bridge = Bridge(str(directory / "admin.sock"))
        self.url = self.bridge.url
        self.start()

    def start(self) -> None:
        """Start l7, and let it have some requests."""
        self.proxy = L7Process(self.config, directory=self.directory)
        self.proxy.wait_for_event("master.ready")
        self.proxy.wait_for(lambda: os.path.exists(self.directory / "admin.sock"), "the admin socket is there")

    def get(self, host: str, target: str) -> int:
        """Send one request through l7."""
        return send(self.proxy.address, "GET", target, host=host).status

    def load(self) -> None:
        """Requests that go well, that fail, and that hold markup."""
        for number in range(6):
            assert self.get("shop.example", f"/basket/{number}") == 200
        assert self.get("shop.example", "/fail/pay") == 500
        assert self.get("broken.example", "/lost?user=me") == 502
        with Client(self.proxy.address) as client:
            client.send(f"GET {MARKUP} HTTP/1.1\r\nHost: broken.example\r\n\r\n".encode())
            assert client.read_response().status == 502

    def close(self) -> None:
        """Stop all of it; nothing may be left."""
        self.bridge.close()
        self.proxy.assert_no_leaks()
        self.proxy.stop()


@pytest.fixture(scope="module")
def chromium() -> Iterator[Chromium]:
    """One Chromium, the system's."""
    path = chromium_path()
    assert path, "the page is tested in chromium; .ci/run installs it"
    expect.set_options(timeout=TIMEOUT * 1000)
    one = Chromium(path)
    yield one
    one.close()


@pytest.fixture(scope="module")
def site() -> Iterator[Site]:
    """One l7 for all tests; its directory is short enough for a socket."""
    with Origin(answer) as up, Origin() as gone, tempfile.TemporaryDirectory(prefix="l7-page-") as directory:
        gone.close()
        site = Site(Path(directory), up.address, gone.address)
        try:
            site.load()
            yield site
            site.close()
        finally:
            site.proxy.kill()


@pytest.fixture
def visit(chromium: Chromium, site: Site) -> Iterator[Callable[..., Page]]:
    """Open the page; at the end nothing may have been asked for elsewhere, nor anything be said on the console."""
    browser = chromium.browser()
    asked: list[str] = []
    said: list[str] = []
    contexts = []

    def note(message: ConsoleMessage) -> None:
        if message.type != "error" or "Failed to load resource" not in message.text:
            said.append(f"{message.type}: {message.text}")

    def open_page(path: str = "/", change: Callable[[Page], Any] | None = None, **options: Any) -> Page:
        context = browser.new_context(**{"viewport": {"width": 1440, "height": 900}, **options})
        contexts.append(context)
        page = context.new_page()
        page.set_default_timeout(TIMEOUT * 1000)
        page.on("request", lambda request: asked.append(request.url.replace("me:SECRET@", "")))
        page.on("console", note)
        page.on("pageerror", lambda error: said.append(f"{error}"))
        if change:
            change(page)
        page.goto(site.url + path)
        expect(page.locator("main")).to_be_visible()
        return page

    with chromium.within(PATIENCE, "the test"):
        yield open_page
        for context in contexts:
            context.close()
    assert said == []
    assert [url for url in asked if not url.startswith(site.url)] == []


def altered(change: Callable[[dict[str, Any]], None]) -> Callable[[Page], None]:
    """Change what the overview says before the page has it."""

    def answer(route: Route) -> None:
        found = route.fetch()
        document = found.json()
        change(document)
        route.fulfill(response=found, body=json.dumps(document))

    return lambda page: page.route("**/overview", answer)


def row(page: Page, section: str, *words: str) -> Any:
    """The row of a section's table that has these words."""
    found = page.locator(f"#{section} tbody tr")
    for word in words:
        found = found.filter(has_text=word)
    return found


def test_it_shows_what_l7_does(visit, site):
    page = visit()
    expect(page.locator("#status-text")).to_have_text("Live")
    expect(page.locator("#facts")).to_contain_text(f"pid {site.proxy.pid}")
    expect(row(page, "routes", "shop.example").locator("td[data-label='Servers up']")).to_have_text("1 of 1")
    expect(row(page, "routes", "api.example/v1").locator("td[data-label='Servers up']")).to_have_text("1 of 2")
    down = row(page, "servers", "api.example/v1").first
    expect(down.locator(".state")).to_have_text("down")
    expect(down.locator(".since")).to_have_text(re.compile(r"since \d\d:\d\d:\d\d, \d+ s"))
    expect(down.locator(".why")).to_contain_text("refused")
    expect(page.locator("#attention")).to_contain_text("not up")
    expect(row(page, "requests", "/fail/pay")).to_contain_text("500")
    expect(row(page, "requests", "/lost?user=…")).to_contain_text("connection refused")
    expect(row(page, "requests", MARKUP)).to_have_count(1)
    expect(page.locator("#workers tbody tr")).to_have_count(1)
    expect(page.locator("#workers")).to_contain_text("monitor process: ready")
    expect(page.locator("#certificates")).to_contain_text("no listener speaks TLS")
    assert (
        page.title()
        == f"({page.locator('#servers .state:not([data-tone=good])').count()}) l7 {site.url.removeprefix('http://')}"
    )


def test_times_are_written_as_the_commands_write_them(visit):
    times = [one * 10.0**power for power in range(-6, 5) for one in (1.0, 1.26, 4.4, 9.9949, 9.996, 9.9999)]
    shown = visit().evaluate("async (times) => times.map((await import('/format.js')).lasted)", times)
    assert shown == [lasted(one).replace("us", "µs") for one in times]


def test_a_route_and_a_server_lead_to_their_requests(visit):
    page = visit()
    row(page, "routes", "shop.example").get_by_role("link").click()
    expect(row(page, "requests", "/basket/5")).to_contain_text("200")
    expect(row(page, "requests", "/lost")).to_have_count(0)
    page.get_by_label("Show", exact=True).select_option("5xx")
    expect(page.locator("#requests tbody tr")).to_have_count(1)
    page.get_by_role("button", name="route shop.example").click()
    expect(row(page, "requests", "/lost")).to_have_count(1)
    row(page, "servers", "broken.example").get_by_role("link").click()
    expect(page.locator("#requests tbody tr")).to_have_count(2)


def test_a_failure_opens_as_its_story_without_a_mouse(visit, site):
    page = visit()
    link = row(page, "requests", "/fail/pay").locator("a.line")
    link.focus()
    page.keyboard.press("Enter")
    story = page.locator("#story")
    expect(story).to_be_visible()
    expect(story.locator("h2")).to_have_text("GET /fail/pay")
    expect(story.locator(".verdict")).to_have_text("500")
    expect(story.locator("pre")).to_contain_text("how it ended")
    expect(story.locator(".next").first).to_contain_text("Look next: ")
    assert story.locator(".timeline rect").count() == story.locator(".timeline li").count() > 0
    address = page.url
    assert re.fullmatch(rf"{site.url}/#request=[0-9a-f]{{32}}", address)
    for _ in range(8):  # the focus stays within
        page.keyboard.press("Tab")
        assert page.evaluate("document.activeElement.matches('body, #story *')")
    page.keyboard.press("Escape")
    expect(story).to_be_hidden()
    expect(link).to_be_focused()
    expect(page).not_to_have_url(re.compile("#"))
    # The link leads there from elsewhere, and so does the end of the id, in the box.
    other = visit(address.removeprefix(site.url))
    expect(other.locator("#story h2")).to_have_text("GET /fail/pay")
    other.keyboard.press("Escape")
    other.get_by_label("Find a request").fill(address[-8:])
    other.keyboard.press("Enter")
    expect(other.locator("#story h2")).to_have_text("GET /fail/pay")
    other.keyboard.press("Escape")
    for words, told in (
        ("<b>", "is no request id"),
        ("0" * 31 + "1", "No request that is kept ends so"),
    ):
        other.get_by_label("Find a request").fill(words)
        other.keyboard.press("Enter")
        expect(other.locator("#story-body")).to_contain_text(told)
        other.keyboard.press("Escape")
    # A browser tells the page of a dialog's end some time after: meanwhile another one may have been asked for.
    other.goto(address)
    expect(other.locator("#story h2")).to_have_text("GET /fail/pay")
    for ask in ("location.hash = '#request=0001'", "story.showModal(); location.hash = '#request=0002'"):
        other.evaluate(f"() => {{ const story = document.getElementById('story'); story.close(); {ask} }}")
        expect(other.locator("#story-body")).to_contain_text("No request that is kept ends so")
        expect(other).to_have_url(re.compile("#request=000"))


def test_requests_that_stand_still_for_a_reader_are_not_taken_for_the_last(visit, site):
    page = visit()
    newer = page.get_by_role("button", name="There are newer ones")
    link = row(page, "requests", "/fail/pay").locator("a.line")
    link.focus()
    page.keyboard.press("Enter")
    expect(page.locator("#story .verdict")).to_be_visible()
    page.keyboard.press("Escape")
    expect(link).to_be_focused()
    expect(newer).to_be_hidden()
    send(site.proxy.address, "GET", "/fail/later", host="shop.example")
    expect(newer).to_be_visible()
    expect(row(page, "requests", "/fail/later")).to_have_count(0)
    newer.click()
    expect(row(page, "requests", "/fail/later")).to_have_count(1)
    expect(newer).to_be_hidden()


def test_requests_of_one_id_are_told_apart(visit, site):
    for number in range(2):
        fields = [("X-Request-ID", "chosen-by-a-client")]
        send(site.proxy.address, "GET", f"/fail/again-{number}", host="shop.example", headers=fields)
    page = visit()
    row(page, "requests", "/fail/again-0").locator("a.line").click()
    story = page.locator("#story")
    expect(story.locator("h2")).to_have_text("2 requests end with chosen-by-a-client")
    expect(story.locator("pre")).to_have_count(2)
    for number in range(2):
        one = story.locator("li", has=page.locator("summary", has_text=f"again-{number}"))
        one.locator("summary").click()
        expect(one.locator("pre")).to_be_visible()
        expect(one.locator("pre")).to_contain_text(f"GET /fail/again-{number}")


def test_a_login_in_the_address_goes_no_further(visit, site):
    page = visit()
    page.goto(site.url.replace("//", "//me:SECRET@") + "/")
    expect(page.locator("#status")).to_have_text("Live")
    row(page, "requests", "/fail/pay").locator("a.line").click()
    expect(page.locator("#story .verdict")).to_be_visible()
    page.evaluate("navigator.clipboard.writeText = async (link) => { window.copied = link }")
    page.get_by_role("button", name="Copy link").click()
    expect(page.get_by_role("button", name="Copied")).to_be_visible()
    assert re.fullmatch(rf"{site.url}/#request=[0-9a-f]{{32}}", page.evaluate("window.copied"))


def test_what_strangers_write_is_text(visit):
    def hostile(document: dict[str, Any]) -> None:
        for one in document["routes"]:
            one["route"] += HOSTILE
        for one in document["servers"]:
            one |= {"backend": HOSTILE, "why": HOSTILE, "last-error": {"what": HOSTILE, "ago": 1}, "state": "down"}
        failure = document["failures"][0]
        document["failures"] = [{**failure, "target": "/" + HOSTILE + "x" * 8192, "host": HOSTILE, "reason": HOSTILE}]
        document["reloads"] = [{"at": 1, "ok": False, "generation": 1, "changes": [HOSTILE], "reasons": [HOSTILE]}]
        document["certificates"] = [{"names": [HOSTILE], "issuer": HOSTILE, "not_after": HOSTILE, "days_left": -1}]
        document["configuration"] |= {"file": HOSTILE, "on-disk": "invalid", "problems": [HOSTILE]}
        document["version"] = HOSTILE

    page = visit(change=altered(hostile), viewport={"width": 390, "height": 844})
    for section in ("routes", "servers", "requests", "reloads", "certificates"):
        expect(page.locator(f"#{section}")).to_contain_text(SEEN)
    assert page.locator("main script, main img").count() == 0
    assert "owned" not in page.title()
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    page.set_viewport_size({"width": 1200, "height": 844})
    assert page.evaluate("document.documentElement.scrollWidth") <= 1200
    # What went wrong can be read beside the longest target, and a server is not broken in two.
    for column, least in ((".reason", 150), (".address", 140)):
        box = page.locator(f"#requests td{column}").first.bounding_box()
        assert box is not None and box["width"] >= least


def test_tables_are_sorted_and_filtered(visit):
    def more(document: dict[str, Any]) -> None:
        route = document["routes"][0]
        document["routes"] = [
            {**route, "route": f"host{number:03d}.example", "rate": number, "errors": 300 - number}
            for number in range(300)
        ]

    page = visit(change=altered(more))
    names = page.locator("#routes tbody th")
    expect(names).to_have_count(15)
    expect(names.first).to_have_text("host000.example")
    head = page.locator("#routes thead th").filter(has_text="Requests")
    head.get_by_role("button").focus()
    page.keyboard.press("Enter")
    expect(head).to_have_attribute("aria-sort", "descending")
    expect(names.first).to_have_text("host299.example")
    page.keyboard.press("Enter")
    expect(head).to_have_attribute("aria-sort", "ascending")
    expect(names.first).to_have_text("host000.example")
    page.keyboard.press("Enter")
    expect(head).not_to_have_attribute("aria-sort", re.compile(""))
    page.get_by_role("button", name="Show all 300 routes").click()
    expect(names).to_have_count(300)
    page.get_by_label("Filter routes").fill("HOST01")
    expect(names).to_have_count(10)
    page.get_by_label("Filter routes").fill("nowhere")
    expect(page.locator("#routes .none")).to_have_text("No route has “nowhere” in it.")


def test_it_can_be_read_by_day_by_night_and_on_a_phone(visit):
    page = visit()
    link = row(page, "requests", "/fail/pay").locator("a.line")
    for width in (1920, 1280, 800, 390):
        page.set_viewport_size({"width": width, "height": 844})
        assert page.evaluate("document.documentElement.scrollWidth") <= width
    for scheme, ground in (("light", "rgb(252, 252, 251)"), ("dark", "rgb(19, 22, 25)")):
        page.emulate_media(color_scheme=scheme)
        assert page.evaluate("getComputedStyle(document.documentElement).backgroundColor") == ground
        looked, poor = page.evaluate(CONTRAST)
        assert looked > 50 and poor == []
        link.click()
        expect(page.locator("#story pre")).to_be_visible()
        assert page.evaluate(CONTRAST)[1] == []
        assert page.evaluate("document.documentElement.scrollWidth") <= 390
        page.keyboard.press("Escape")


def test_it_says_why_it_cannot_show_anything(visit):
    now: dict[str, Any] = {}

    def prepare(page: Page) -> None:
        page.clock.install()
        page.route("**/overview", lambda route: route.fulfill(**now) if now else route.continue_())

    page = visit(change=prepare)
    for status, body, words in (
        (403, "403 Forbidden: write admin.users\n", "l7 refuses: write admin.users"),
        (503, "503 Service Unavailable: the master does not answer\n", "the master does not answer"),
        (200, "<html>", "what was answered is no JSON"),
        (200, "[]", "what was answered is no overview"),
        (200, '{"ok": true, "routes": 1}', "could not be shown"),
    ):
        now |= {"status": status, "body": body}
        page.clock.fast_forward(30_000)
        expect(page.locator("#status-text")).to_contain_text(words)
        expect(page.locator("#age")).to_contain_text("old; next try in")
    now.clear()
    page.clock.fast_forward(30_000)
    expect(page.locator("#status-text")).to_have_text("Live")
    # Where it is to log in, the browser has asked for that already, and is not to ask again and again.
    now |= {"status": 401, "body": "401 Unauthorized: no or wrong credentials\n"}
    page.clock.fast_forward(30_000)
    expect(page.locator("#status-text")).to_have_text("l7 wants a login for this page.")
    expect(page.locator("#age")).to_have_text("")
    now.clear()
    page.get_by_role("button", name="Load the page again").click()
    expect(page.locator("#status-text")).to_have_text("Live")


def test_it_says_what_is_special(visit, site):
    def special(document: dict[str, Any]) -> None:
        document |= {"recorder": False, "failures": [], "state": "rolling"}
        document["certificates"] = [{"names": ["a.example"], "issuer": "x", "not_after": "y", "days_left": 2.5}]
        some = document["servers"][0]
        document["servers"] = [{**some, "server": "10.0.0.1:80", "state": "up", "why": "takes no connections"}]

    page = visit(change=altered(special))
    expect(page.locator("#requests")).to_contain_text("The recorder is off")
    expect(page.locator("#status-text")).to_contain_text("Reloading: workers are replaced")
    expect(page.locator("#attention")).to_contain_text("The certificate of a.example ends in 2 days")
    expect(page.locator("#attention")).to_contain_text("10.0.0.1:80 is up, but: takes no connections")
    expect(page.locator("#servers .state")).to_have_attribute("data-tone", "warn")
    page.unroute("**/overview")
    altered(lambda document: document.update(version="99.0"))(page)
    expect(page.locator("#status-text")).to_contain_text("l7 is now 99.0")
    expect(page.get_by_role("button", name="Load the page again")).to_be_visible()


AGEING = """
  const later = window.setTimeout.bind(window);
  window.setTimeout = (run, wait) => later(run, wait / 1000);
  const ask = window.fetch.bind(window);
  let first = null;
  window.updates = 0;
  window.fetch = async (path, options) => {
    if (!String(path).endsWith("/overview")) return ask(path, options);
    first ??= await (await ask(path, options)).text();
    const now = JSON.parse(first);
    window.updates += 1;
    now.at += window.updates * 2;
    now.servers.forEach((one, number) => { one.server = `10.${window.updates % 200}.0.${number}:80`; });
    const many = (number, make) => Array.from({ length: number }, (_, at) => make(at));
    const [failure] = now.failures;
    now.failures = many(50, (at) => ({ ...failure, "request-id": `${window.updates}-${at}`.padStart(32, "0") }));
    now.reloads = many(20, (at) => ({ at: window.updates * 20 + at, ok: true, changes: ["x: 1 -> 2"], reasons: [] }));
    return new Response(JSON.stringify(now));
  };
"""
"""Time runs a thousand times as fast; each update brings other failures and reloads, and servers of other names."""
WAITED = "async (many) => { while (window.updates < many) await new Promise((done) => setTimeout(done, 5000)); }"


def test_a_day_leaves_nothing_behind_and_disturbs_nobody(visit):
    page = visit(change=lambda page: page.add_init_script(AGEING))
    session = page.context.new_cdp_session(page)

    def weigh(updates: int, most: float = math.inf) -> dict[str, int]:
        page.evaluate(WAITED, updates)
        for _ in range(20):  # what has gone may need more than one
            session.send("HeapProfiler.collectGarbage")
            found = session.send("Memory.getDOMCounters")
            if found["nodes"] <= most:
                break
        return found

    box = page.get_by_label("Find a request")
    box.fill("half an id")
    page.evaluate("getSelection().selectAllChildren(document.querySelector('#routes tbody th'))")
    page.evaluate("scrollTo({ top: 200, behavior: 'instant' })")
    before = weigh(10)
    elements = page.locator("*").count()
    most = before["nodes"] + 1000
    after = weigh(70, most)
    assert after["nodes"] <= most
    assert page.locator("*").count() <= elements + 20
    assert after["jsEventListeners"] <= before["jsEventListeners"] + 10
    expect(box).to_be_focused()
    assert box.input_value() == "half an id"
    assert page.evaluate("String(getSelection())") == page.locator("#routes tbody th").first.text_content()
    assert page.evaluate("scrollY") == 200
    # A tab that nobody sees asks for nothing; seen again, it asks at once.
    hidden = """async (hidden) => {
      Object.defineProperty(document, "hidden", { value: hidden, configurable: true });
      document.dispatchEvent(new Event("visibilitychange"));
      const before = window.updates;
      for (let waits = 0; waits < 20; waits += 1) await new Promise((done) => setTimeout(done, 4000));
      return window.updates - before;
    }"""
    assert page.evaluate(hidden, True) == 0
    assert page.evaluate(hidden, False) > 0


def test_it_goes_on_over_a_reload_and_a_restart(visit, site):
    page = visit()
    marked = "document.body.mark = 'the page was not loaded again'"
    page.evaluate(marked)
    text = site.config + "  new.example: {servers: ['127.0.0.1:9']}\n"
    reload(site.proxy, text)
    expect(row(page, "routes", "new.example")).to_have_count(1)
    expect(page.locator("#facts")).to_contain_text("generation 2")
    expect(page.locator("#reloads li").first).to_contain_text("applied")
    expect(page.locator("#reloads li").first).to_contain_text("new.example: added")
    site.proxy.write_config(MISSPELT)
    site.proxy.hup()
    expect(page.locator("#reloads")).to_contain_text("refused")
    expect(page.locator("#reloads")).to_contain_text("did you mean 'weight'?")
    expect(page.locator("#attention")).to_contain_text("The file on disk is invalid")
    site.proxy.stop()
    expect(page.locator("#status-text")).to_have_text("l7 does not answer.")
    expect(page.locator("#age")).to_contain_text("old; next try in")
    expect(page.locator("body")).to_have_attribute("data-stale", "")
    site.start()
    page.locator("#status-action").dispatch_event("click")  # unless it has asked by itself meanwhile
    expect(page.locator("#status-text")).to_contain_text("l7 was started anew")
    expect(page.locator("body")).not_to_have_attribute("data-stale", "")
    expect(row(page, "routes", "new.example")).to_have_count(0)
    assert page.evaluate("document.body.mark") == "the page was not loaded again"


def unlike(made: Any, real: Any, place: str = "") -> list[str]:
    """Where something made up has other parts than what it stands for; what either has none of is not compared."""
    if isinstance(made, list) and isinstance(real, list):
        return unlike(made[0], real[0], f"{place}[]") if made and real else []
    if not isinstance(made, dict) or not isinstance(real, dict):
        return []
    wrong = [f"{place}.{key}" for key in made.keys() ^ real.keys()]
    return wrong + [
        each for key in made.keys() & real.keys() for each in unlike(made[key], real[key], f"{place}.{key}")
    ]


def test_the_pictures_of_the_documentation_show_this_page(chromium, site, tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(CHECKOUT / "docs")
    made_up, pictures = (importlib.import_module(name) for name in ("made_up", "pictures"))
    with chromium.within(PATIENCE, "the pictures"):
        for path in pictures.pictures(chromium.browser(), tmp_path):
            assert path.read_bytes().startswith(b"\x89PNG"), path
    assert site.get("shop.example", "/fail/for-the-picture") == 500
    site.proxy.settle()
    for path, made in (("/overview", made_up.document()), (f"/requests/{last_failure(site)}", made_up.requests())):
        with urllib.request.urlopen(site.url + path, timeout=TIMEOUT) as answer:
            assert unlike(made, json.load(answer)) == []


def last_failure(site: Site) -> str:
    """Its id."""
    with urllib.request.urlopen(f"{site.url}/requests?failed=1&limit=1", timeout=TIMEOUT) as answer:
        return str(json.load(answer)["requests"][0]["request-id"])
