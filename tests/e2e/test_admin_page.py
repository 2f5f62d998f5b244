"""What the admin address serves besides figures: the page, recorded requests, and who may see them. No browser."""

from __future__ import annotations

import base64
import json
import os
import re
import threading
import time
from typing import Any
from urllib.parse import quote

import pytest

from tests.harness.client import BadResponse, Client, Response, get, request
from tests.harness.l7process import L7Process
from tests.harness.lifecycle import wait_for_control
from tests.harness.origin import Reply

CONFIG = """
canary-time: 100ms
access-log: off
admin: {admin}
backends:
  a: {{servers: ['{server}'], retries: 0}}
"""
READERS = 200


@pytest.fixture
def admin(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A path of its own, short enough for a socket."""
    return f"/tmp/l7-page-{os.getpid()}-{tmp_path_factory.mktemp('x').name[-6:]}"


def start(l7, origin, admin: str, **options: Any) -> L7Process:
    def answer(request):
        return Reply(500 if request.target.startswith(b"/bad") else 200)

    proxy = l7(CONFIG.format(admin=f"'unix:{admin}'", server=origin(answer).address), **options)
    wait_for_control(proxy, 1)
    proxy.wait_for_event("master.ready")
    return proxy


def requests(admin: str, query: str = "") -> list[dict[str, Any]]:
    answer = get(admin, f"/requests{query}")
    assert (answer.status, answer.values(b"content-type")) == (200, [b"application/json"])
    return json.loads(answer.body)["requests"]


def wait_for_records(proxy: L7Process, admin: str, count: int) -> None:
    # What was asked is good for a second; another limit is another question.
    limits = iter(range(400, 500))
    proxy.wait_for(lambda: len(requests(admin, f"?limit={next(limits)}")) == count, f"{count} records")


def test_recorded_requests_are_listed_and_told(l7, origin, admin):
    proxy = start(l7, origin, admin)
    for target in ("/good", "/bad?token=SECRET", "/<script>alert(1)</script>"):
        get(proxy.address, target, host="a")
    with Client(proxy.address) as client:
        client.send(b"GET /x\x1b[31m\x7f HTTP/1.1\r\nHost: a\r\n\r\n")
        assert client.read_response().status == 400
    wait_for_records(proxy, admin, 4)
    found = requests(admin)
    assert [one["status"] for one in found] == [400, 200, 500, 200], "the last one first"
    raw = get(admin, "/requests").body
    assert (
        b"SECRET" not in raw and b"<" not in raw and raw.isascii() and not re.search(rb"[\x00-\x09\x0b-\x1f\x7f]", raw)
    )
    assert found[1]["target"] == "/<script>alert(1)</script>" and found[2]["target"] == "/bad?token=…"
    for query, statuses in (
        ("?failed=1", [500]), ("?status=5xx", [500]), ("?status=400-499,200&limit=2", [400, 200]),
        ("?route=a&slower=9", []),
        ("?host=A&nothing=1", [200, 500, 200]), (f"?server={quote(found[3]['server'])}&slower=0s", [200, 500, 200]),
        ("?target=/bad&client=&host=", [500]), ("?host=nobody.test", []),
        ("?limit=1&limit=100000", [400, 200, 500, 200]),
    ):  # fmt: skip
        assert [one["status"] for one in requests(admin, query)] == statuses, query
    bad = found[2]
    for end in (bad["request-id"], bad["request-id"][-7:], f"%22{bad['request-id'][-7:]}%22"):
        (told,) = requests(admin, f"/{end}")
        assert {**told, **bad} == told
        assert told["story"][:2] == [f"request {bad['request-id']}", "GET /bad?token=…"]
        assert told["time-line"] and told["ended-by"] and told["situations"]
    head = request(admin, "HEAD", "/requests")
    assert head.status == 200 and not head.body and int(head.values(b"content-length")[0]) == len(raw)
    what_is_none_is_refused_in_words(admin)


def what_is_none_is_refused_in_words(admin: str) -> None:
    for path, status, words in (
        ("/requests/0123456789abcdef", 404, '{"requests": []}'),
        ("/requests/abc", 400, "'abc' is no id; write the id of a request, or the last 4 characters of it or more"),
        ("/requests/", 400, "'' is no id"),
        ("/requests/%3Cscript%3E%1b", 400, "'<script>\\x1b' is no id"),
        ("/requests/%FF%FE%FD%FC", 400, "is no id"),
        ("/requests?status=abc", 400, "status: must be statuses, as 502, 5xx or 400-499"),
        ("/requests?slower=abc", 400, "slower: 'abc' is not a duration"),
        ("/requests?limit=0", 400, "limit: '0' is not a number of requests; write 1 to 500"),
        ("/requests?failed=maybe", 400, "failed: 'maybe' is neither 1 nor 0"),
        ("/nothing", 404, "there is /, /overview, /requests, /status, /metrics, /healthz and /readyz"),
        ("/../setup.cfg", 404, "there is /"),
        ("/__init__.py", 404, "there is /"),
    ):
        answer = get(admin, path)
        assert (answer.status, words in answer.body.decode()) == (status, True), answer.body
        assert answer.values(b"x-content-type-options") == [b"nosniff"]
    for method in ("POST", "PUT", "DELETE", "OPTIONS"):
        assert request(admin, method, "/requests").status == 405


def test_users_come_into_force_by_a_reload(l7, origin, admin):
    proxy = start(l7, origin, admin)
    config = proxy.config_path.read_text()

    def asked(login: str = "", **options: Any) -> int:
        fields = [("Authorization", "Basic " + base64.b64encode(login.encode()).decode())] if login else []
        return get(admin, "/requests", headers=fields, **options).status

    assert (asked(), asked(host="x"), asked(host="127.0.0.1:80")) == (200, 200, 200)
    section = f"{{address: 'unix:{admin}', users: {{me: one}}}}"
    for generation, password in ((2, "one"), (3, "two")):
        proxy.write_config(config.replace(f"'unix:{admin}'", section.replace("one", password)))
        proxy.hup()
        proxy.wait_for_event("reload.done", generation=generation)
        wait_for_control(proxy, generation)
        proxy.wait_for(lambda password=password: asked(f"me:{password}") == 200, "the new password")
        assert (asked(), asked("me:three")) == (401, 401)
        assert get(admin, "/healthz", host="whoever").status == 200
    proxy.write_config(config + "recorder: off\n")
    proxy.hup()
    proxy.wait_for_event("reload.done", generation=4)
    wait_for_control(proxy, 4)
    proxy.wait_for(lambda: get(admin, "/").status == 200, "the page without users")
    assert json.loads(get(admin, "/overview").body)["recorder"] is False
    for path in ("/requests", "/requests/abcdef"):
        answer = get(admin, path)
        assert (answer.status, b"the recorder is off" in answer.body) == (404, True)


def test_two_hundred_pages_are_open_over_a_reload(l7, origin, admin):
    """As browsers do it: each on a connection that it keeps, for as long as l7 does."""
    proxy = start(l7, origin, admin)
    for _ in range(30):
        get(proxy.address, "/bad", host="a")
    wait_for_records(proxy, admin, 30)
    faults: list[str] = []
    answered = [0] * READERS
    over = threading.Event()

    def look(number: int) -> None:
        client = Client(admin)
        try:
            while not over.is_set():
                for path in ("/overview", f"/requests?failed=1&limit={20 + number % 5}"):
                    answer = _ask(client, path)
                    if answer is None:  # a reload: the next one answers
                        client.close()
                        client = Client(admin)
                        answer = _ask(client, path)
                    if answer is None or answer.status != 200 or not json.loads(answer.body):
                        faults.append(f"{path}: {answer}")
                    answered[number] += 1
                over.wait(0.5)
        except Exception as error:
            faults.append(repr(error))
        finally:
            client.close()

    readers = [threading.Thread(target=look, args=(number,)) for number in range(READERS)]
    for one in readers:
        one.start()
    try:
        proxy.wait_for(lambda: min(answered) >= 2, "all have seen something")
        before = time.monotonic()
        assert get(admin, "/healthz").status == 200
        assert time.monotonic() - before < 5
        proxy.hup()
        proxy.wait_for_event("reload.done", generation=2)
        seen = list(answered)
        proxy.wait_for(lambda: all(now > then + 1 for now, then in zip(answered, seen, strict=True)), "all go on")
    finally:
        over.set()
        for one in readers:
            one.join()
    assert not faults, faults[:3]


def _ask(client: Client, path: str) -> Response | None:
    """Ask on a connection that was kept; None where it has ended."""
    try:
        client.send(f"GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
        return client.read_response()
    except (OSError, BadResponse):
        return None
