"""The ten wishes of docs/rules.rst: the files that are counted there do what the table says, as they stand.

The words of `docs.comparison.WISHES` by number; a proxy is not asked for what the table says that it has not.
"""

from __future__ import annotations

import base64
import gzip
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urljoin

import pytest

from tests.harness.checkout import CHECKOUT
from tests.harness.machine import INSIDE, Connection, Machine, on_a_machine
from tests.harness.origin import Origin, Reply, Request

FILES = CHECKOUT / "docs" / "comparison"
SITE, OLD = "https://example.com", "https://old.example.com"
LOGIN = ("Authorization", "Basic " + base64.b64encode(b"ops:secret").decode())
PAGE = b"<p>Back soon.\n"
TEXT = b"so much text " * 1000

STARTS = {
    "nginx": ("nginx", "-c", "/etc/site/nginx.conf", "-e", "stderr", "-g", "daemon off; pid /etc/site/pid;"),
    "caddy": ("caddy", "run", "--adapter", "caddyfile", "--config", "/etc/site/Caddyfile"),
    "l7": (sys.executable, "-m", "l7", "--config", "/etc/site/l7.yml", "--control", "off", "--run-as", "root"),
}
WITHOUT = {"nginx": set[int](), "caddy": {4}, "l7": set[int]()}
"""The wishes that docs/comparison.py has no count for."""


def serve(request: Request) -> Reply:
    """The server of the site, and that of its API."""
    fields = [(b"X-Powered-By", b"magic"), (b"Content-Type", b"text/plain")]
    moved = request.header(b"x-location")
    if moved is not None:
        return Reply(201, [*fields, (b"Location", moved)])
    body = TEXT if request.target == b"/text" else b"%s env=%s" % (request.target, request.header(b"x-env") or b"-")
    return Reply(200, fields, body)


class Wishes:
    """The checks, one a wish."""

    def __init__(self, machine: Machine) -> None:
        self.ask = machine.ask

    def check_1(self) -> None:
        led = self.ask("http://example.com/a?b=c")
        assert (led.status in (301, 308), led.headers["location"]) == (True, f"{SITE}/a?b=c")
        assert self.ask(f"{SITE}/a").status == 200

    def check_2(self) -> None:
        led = self.ask(f"{OLD}/a/b?c")
        assert (led.status, led.headers["location"]) == (308, f"{SITE}/a/b?c")

    def check_3(self) -> None:
        assert self.ask(f"{SITE}/api/things?x=1").body.split()[0] == b"/things?x=1"
        for own in ("/things/7", f"{SITE}/things/7"):
            moved = self.ask(f"{SITE}/api/things", headers=[("X-Location", own)])
            assert urljoin(SITE, moved.headers["location"]) == f"{SITE}/api/things/7"

    def check_4(self) -> None:
        connection = Connection("https", "example.com")
        statuses = [connection.ask("/api/things").status for _ in range(150)]
        connection.close()
        assert statuses[:90] == [200] * 90, "those before have taken some of the hundred"
        assert 429 in statuses[90:]
        assert self.ask(f"{SITE}/api/things", source=INSIDE).status == 200, "another client"

    def check_5(self) -> None:
        page = f"{SITE}/admin/page"
        assert self.ask(page, headers=[LOGIN]).status == 403
        assert self.ask(page, source=INSIDE).status == 401
        assert self.ask(page, headers=[LOGIN], source=INSIDE).status == 200

    def check_6(self) -> None:
        for path, status in (("/", 200), ("/admin", 403)):
            answer = self.ask(SITE + path, headers=[LOGIN])
            assert answer.status == status
            assert answer.headers["strict-transport-security"] == "max-age=31536000"
            assert answer.headers["x-content-type-options"] == "nosniff"

    def check_7(self) -> None:
        for path in ("/a", "/api/a"):
            answer = self.ask(SITE + path, headers=[("X-Env", "mine")])
            assert answer.body.endswith(b"env=prod")
            assert "x-powered-by" not in answer.headers

    def check_8(self) -> None:
        answer = self.ask(f"{SITE}/robots.txt")
        assert answer.body == b"User-agent: *\nDisallow: /admin\n"
        assert answer.headers["content-type"].startswith("text/plain")

    def check_9(self, site: Origin) -> None:
        site.close()
        answer = self.ask(f"{SITE}/a")
        assert (answer.status in (502, 503, 504), answer.body) == (True, PAGE)
        assert answer.headers["content-type"].startswith("text/html")

    def check_10(self) -> None:
        answer = self.ask(f"{SITE}/text", headers=[("Accept-Encoding", "gzip")])
        assert (answer.headers["content-encoding"], gzip.decompress(answer.body)) == ("gzip", TEXT)
        assert self.ask(f"{SITE}/text").body == TEXT


@pytest.fixture
def directory(public: Path) -> Iterator[Path]:
    place = public / "machine"
    place.mkdir()
    yield place
    shutil.rmtree(place)


def furnish(machine: Machine) -> None:
    shutil.copytree(FILES, machine.etc / "site")
    (machine.etc / "site" / "50x.html").write_bytes(PAGE)
    machine.certify("site/site.crt", "example.com", "old.example.com", apart=True)


@pytest.mark.parametrize("proxy", STARTS)
def test_wishes_come_true(directory: Path, proxy: str) -> None:
    if shutil.which(STARTS[proxy][0]) is None:
        pytest.skip(f"{proxy} is not installed")

    def test(machine: Machine) -> None:
        furnish(machine)
        wishes = Wishes(machine)
        with Origin(serve, port=8081) as site, Origin(serve, port=9000), machine.running(*STARTS[proxy]):
            for number in (1, 2, 3, 5, 6, 7, 8, 10, 4):
                if number not in WITHOUT[proxy]:
                    getattr(wishes, f"check_{number}")()
            wishes.check_9(site)

    on_a_machine(directory, test)
