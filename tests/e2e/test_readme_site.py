"""The worked file of the README, as it stands: on its ports, with its paths, asked for everything that it says."""

from __future__ import annotations

import base64
import gzip
import re
import shutil
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.harness.checkout import CHECKOUT
from tests.harness.machine import INSIDE, Connection, Machine, on_a_machine
from tests.harness.origin import Origin, Reply, Request

SITE = "https://mydomain.com"
LOGIN = ("Authorization", "Basic " + base64.b64encode(b"ops:secret").decode())
TEXT = b"so much text " * 1000
SORRY = b"<p>Back soon.\n"


def the_file() -> str:
    """The one that says where it belongs."""
    blocks = re.findall(r"^\.\. code-block:: yaml\n\n((?:   .*\n|\n)+)", (CHECKOUT / "README.rst").read_text(), re.M)
    (found,) = [block for block in blocks if "# /etc/l7/config.yml\n" in block]
    return textwrap.dedent(found)


def serve(request: Request) -> Reply:
    if request.target == b"/moved":
        return Reply(302, [(b"Location", b"/things")])
    return Reply(200, [(b"Content-Type", b"text/plain")], TEXT if request.target == b"/text" else request.target)


@pytest.fixture
def directory(public: Path) -> Iterator[Path]:
    place = public / "machine"
    place.mkdir()
    yield place
    shutil.rmtree(place)


def furnish(machine: Machine) -> None:
    machine.certify("l7/mydomain.com.pem", "mydomain.com", "www.mydomain.com")
    (machine.etc / "l7" / "config.yml").write_text(the_file(), "utf-8")
    (machine.etc / "l7" / "sorry.html").write_bytes(SORRY)


def check_ways_in(machine: Machine) -> None:
    led = machine.ask("http://mydomain.com/a?b")
    assert (led.status, led.headers["location"]) == (308, f"{SITE}/a?b")
    led = machine.ask("https://www.mydomain.com/a?b")
    assert (led.status, led.headers["location"]) == (308, f"{SITE}/a?b")
    robots = machine.ask(f"{SITE}/robots.txt")
    assert (robots.status, robots.body) == (200, b"User-agent: *\nDisallow: /admin\n")
    text = machine.ask(f"{SITE}/text", headers=[("Accept-Encoding", "gzip")])
    assert (text.headers["content-encoding"], gzip.decompress(text.body)) == ("gzip", TEXT)


def check_admin(machine: Machine) -> None:
    statuses = [
        machine.ask(f"{SITE}/admin", headers=[LOGIN]).status,
        machine.ask(f"{SITE}/admin", source=INSIDE).status,
        machine.ask(f"{SITE}/admin", source=INSIDE, headers=[LOGIN]).status,
    ]
    assert statuses == [403, 401, 200]
    assert machine.ask(f"{SITE}/x/../%61dmin", headers=[LOGIN]).status == 403, "by another name it is the same"


def check_api(machine: Machine) -> None:
    assert machine.ask(f"{SITE}/api/things?x").body == b"/things?x"
    assert machine.ask(f"{SITE}/api/moved").headers["location"] == "/api/things"
    large = machine.ask(f"{SITE}/api/", method="POST", headers=[("Content-Length", "10000001")])
    assert large.status == 413
    connection = Connection("https", "mydomain.com")
    statuses = [connection.ask("/api/").status for _ in range(150)]
    connection.close()
    assert statuses[:90] == [200] * 90
    assert 429 in statuses[90:]
    assert machine.ask(f"{SITE}/api/", source=INSIDE).status == 200


def check_fields_and_pages(machine: Machine) -> None:
    for url, status in ((f"{SITE}/", 502), (f"{SITE}/admin", 403), (f"{SITE}/robots.txt", 200)):
        answer = machine.ask(url)
        assert answer.status == status
        assert answer.headers["strict-transport-security"] == "max-age=31536000"
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert (answer.body == SORRY) == (status == 502)


def test_the_file_of_the_readme(directory: Path) -> None:
    def test(machine: Machine) -> None:
        furnish(machine)
        command = (sys.executable, "-m", "l7", "--config", "/etc/l7/config.yml")
        with machine.running(*command):
            with Origin(serve, port=8081), Origin(serve, port=8082), Origin(serve, port=9000):
                check_ways_in(machine)
                check_admin(machine)
                check_api(machine)
            check_fields_and_pages(machine)

    on_a_machine(directory, test)
