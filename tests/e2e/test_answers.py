"""Redirects, own answers and error pages, as clients get them."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.harness import TIMEOUT
from tests.harness.accounts import root_only
from tests.harness.client import Client, exchange, get, request
from tests.harness.l7process import ROOT, STATUS, L7Process
from tests.harness.lifecycle import reload
from tests.harness.origin import Origin, Reply, Request
from tests.harness.ports import reserved
from tests.harness.stage import Stage

CONFIG = """\
access-log-format: json
limits: {{target-bytes: utf-8}}
backends:
  new: {{servers: ['{address}']}}
  old: {{redirect: 'https://new.example{{target}}'}}
  'm1, m2': {{redirect: {{to: 'https://www.{{host}}{{path}}?{{query}}', status: 301}}}}
  here: {{servers: ['{address}']}}
  here/gone: {{redirect: '{{path}}'}}
  here/any: {{redirect: {{to: '/{{query}}', status: 303}}}}
  fixed: {{respond: {{body: "User-agent: *\\nDisallow: /\\n"}}}}
  html: {{respond: {{status: 503, type: text/html, body: '<p>{{target}} {{request-id}}</p>'}}}}
  none: {{respond: {{status: 204}}}}
  json: {{respond: {{type: application/json, body: '{{"ok": true, "path": "{{path}}"}}'}}}}
"""


@pytest.fixture(scope="module")
def running(spoken):
    with Stage(CONFIG, inherit=False) as stage:
        yield stage


@pytest.mark.parametrize(
    ("host", "target", "status", "location"),
    [
        ("old", "/a?b=%20c", 308, b"https://new.example/a?b=%20c"),
        ("old:8080", "//x/../y\\", 308, b"https://new.example//x/../y%5C"),
        ("m1", "/a?b", 301, b"https://www.m1/a?b"),
        ("M2.", "/", 301, b"https://www.m2/?"),
        ("old", "/\xc3\xa4", 308, b"https://new.example/%C3%A4"),
        ("here", "/any?//evil.test", 303, b"/evil.test"),
        ("here", "/any?\\evil.test", 303, b"/%5Cevil.test"),
        ("here", "/gone//evil.test", 308, b"/gone//evil.test"),
    ],
)
def test_where_requests_are_sent(proxy, host, target, status, location):
    answer = request(proxy.address, host=host, target=target)
    assert (answer.status, answer.values(b"location")) == (status, [location])
    assert answer.body == b"moved to " + location + b"\n"


def test_every_method_is_answered_and_the_connection_kept(proxy):
    body = b"x" * 60_000
    with Client(proxy.address) as client:
        for method in (b"GET", b"HEAD", b"POST", b"PUT", b"DELETE", b"OPTIONS", b"PATCH"):
            for host, status in ((b"old", 308), (b"fixed", 200), (b"none", 204)):
                sends = method in (b"POST", b"PUT", b"PATCH")
                length = b"Content-Length: %d\r\n" % len(body) if sends else b""
                client.send(b"%b / HTTP/1.1\r\nHost: %b\r\n%b\r\n" % (method, host, length) + (body if sends else b""))
                answer = client.read_response(method)
                assert (answer.status, answer.closes) == (status, False)
                if method == b"HEAD" and host == b"fixed":
                    assert (answer.body, answer.header(b"content-length")) == (b"", b"26")
                elif host == b"fixed":
                    assert answer.body == b"User-agent: *\nDisallow: /\n"
        client.send(b"POST / HTTP/1.1\r\nHost: old\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n")
        assert client.read_response(b"POST").status == 308
        client.send(b"GET / HTTP/1.1\r\nHost: new\r\n\r\n")
        assert client.read_response(b"GET").status == 200


def test_a_long_body_does_not_keep_the_answer_from_its_client(proxy):
    answer = request(proxy.address, "POST", host="old", body=b"x" * 3_000_000)
    assert (answer.status, answer.header(b"location")) == (308, b"https://new.example/")


def test_many_at_a_time_are_answered_in_order(proxy):
    hosts = [b"old", b"fixed", b"new", b"none", b"html", b"json"] * 5
    raw = b"".join(b"GET /%d HTTP/1.1\r\nHost: %b\r\n\r\n" % (number, host) for number, host in enumerate(hosts))
    with Client(proxy.address) as client:
        client.send(raw)
        found = [client.read_response(b"GET") for _ in hosts]
    assert [one.status for one in found] == [308, 200, 200, 204, 503, 200] * 5
    assert found[24].header(b"location") == b"https://new.example/24"
    assert found[29].body == b'{"ok": true, "path": "/29"}'


def test_what_has_no_place_elsewhere(proxy):
    (answer,) = exchange(proxy.address, b"OPTIONS * HTTP/1.1\r\nHost: old\r\nConnection: close\r\n\r\n")
    assert (answer.status, answer.header(b"location")) == (400, None)


def test_own_answers(play):
    proxy = play.proxy
    answer = get(proxy.address, host="fixed")
    assert (answer.status, answer.header(b"content-type")) == (200, b"text/plain; charset=utf-8")
    answer = get(proxy.address, '/<script>"', host="html")
    shown = answer.header(b"content-type"), answer.body.partition(b" ")[0]
    assert (answer.status, *shown) == (503, b"text/html; charset=utf-8", b"<p>/&lt;script&gt;&quot;")
    answer = get(proxy.address, host="none")
    assert (answer.status, answer.header(b"content-type"), answer.header(b"content-length")) == (204, None, None)
    play.wait_for_log('"status": ?204')
    line = json.loads(play.wait_for_log('"status": ?503').string)
    assert (line["host"], line["termination"], line["server"] or "") == ("html", "--", "")


def test_they_are_no_servers_that_are_down(l7, origin):
    proxy = l7(CONFIG.format(address=origin().address), inherit=False, argv=["--control", STATUS])
    assert get(proxy.address, host="old").status == 308
    status = proxy.status()
    assert {one["backend"] for one in status["servers"]} == {"new", "here"}
    before = len(proxy.output)
    proxy.usr1()
    proxy.wait_for_output(r"to: .*new\.example.*  # .*config\.yml:5", start=before)
    assert get(proxy.address, host="fixed").status == 200
    config = proxy.config_path.read_text().replace("new.example", "newer.example").replace("Disallow: /", "Disallow:")
    start = len(proxy.events)
    reload(proxy, config)
    assert get(proxy.address, host="old").header(b"location") == b"https://newer.example/"
    assert get(proxy.address, host="fixed").body == b"User-agent: *\nDisallow:\n"
    told = "\n".join(proxy.events[start:])
    assert "backends.old.redirect.to" in told
    assert "none of its servers" not in told


def check(config: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "l7", "check", "-c", str(config)]
    return subprocess.run(command, cwd=ROOT, timeout=TIMEOUT, capture_output=True, text=True, check=False)


WRONG = {
    "{redirect: 'https://{query}/'}": "so that a client could say where it leads",
    "{redirect: '{host}/x'}": "a client could say where it leads",
    "{redirect: {to: 'https://b/', status: 200}}": "write 301, 302, 303, 307 or 308",
    "{redirect: 'https://b/', servers: [127.0.0.1:1]}": "servers and redirect exclude each other",
    "{redirect: 'https://b/', respond: {body: x}}": "redirect and respond exclude each other",
    "{retries: 1}": "redirect",
    "{respond: {status: 199}}": "199",
    "{respond: {status: 204, body: x}}": "has no body",
    "{respond: {status: 302}}": "write redirect",
    "{respond: {body: '{hots}'}}": "unknown variable",
    "{respond: {type: 'text/html; charset=latin-1', body: x}}": "UTF-8",
    "{servers: [], error-pages: {200: x.html}}": "200",
    "{servers: [], error-pages: {502: x.php}}": ".html, .json or .txt",
}
WITHOUT_EFFECT = {
    "{redirect: 'https://b/', strip-prefix: true}": "strip-prefix: has no effect beside redirect",
    "{respond: {body: x}, retries: 7}": "retries: has no effect beside respond",
    "{respond: {body: x}, health: {path: /}}": "health: has no effect beside respond",
}
UNREADABLE = {"{servers: [], error-pages: {502: missing.html}}": "missing.html: cannot be read"}


@pytest.mark.parametrize("wrong", [WRONG, WITHOUT_EFFECT, UNREADABLE], ids=["wrong", "without effect", "unreadable"])
def test_what_is_wrong_is_refused_with_its_line(tmp_path, wrong):
    path = tmp_path / "l7.yml"
    path.write_text("backends:\n" + "".join(f"  h{number}: {text}\n" for number, text in enumerate(wrong, 2)))
    done = check(path)
    assert done.returncode == 2, done.stderr
    for number, why in enumerate(wrong.values(), 2):
        said = [line for line in done.stderr.splitlines() if f"l7.yml:{number}: backends.h{number}" in line]
        assert any(why in line for line in said), done.stderr
    assert "Traceback" not in done.stderr


def test_a_host_of_a_wildcard_is_no_place_to_lead_to(tmp_path):
    path = tmp_path / "l7.yml"
    path.write_text("backends:\n  'a, *.b':\n    redirect: 'https://{host}{target}'\n")
    done = check(path)
    assert done.returncode == 2
    assert "l7.yml:3: backends.a, *.b.redirect: a client of *.b could say where {host} leads" in done.stderr


@pytest.mark.parametrize(
    ("backends", "warned"),
    [
        ("{a: {redirect: 'http://a{target}'}}", ["a"]),
        ("{a: {redirect: '/x{path}'}}", ["a"]),
        ("{a: {redirect: 'http://b/'}, b: {redirect: 'http://a/'}}", ["a", "b"]),
        ("{'*': {redirect: 'http://a{target}'}}", ["*"]),
        ("{a: {redirect: 'http://b/'}, '*': {respond: {body: x}}}", []),
        ("{a: {redirect: 'https://a{target}'}}", []),  # nobody speaks TLS here
        ("{a: {redirect: 'http://a:81{target}'}}", []),
        ("{a/old: {redirect: /new}, a: {servers: []}}", []),
    ],
)
def test_a_redirect_to_itself_is_warned_of(tmp_path, backends, warned):
    path = tmp_path / "l7.yml"
    path.write_text(f"backends: {backends}\n")
    done = check(path)
    assert done.returncode == 0, done.stderr
    lines = [line for line in done.stderr.splitlines() if "led back" in line]
    assert [line.split("requests for ")[1].split(" ")[0] for line in lines] == warned
    assert all(f"l7.yml:1: backends.{key}.redirect" in line for key, line in zip(warned, lines, strict=True))


# --- error pages ------------------------------------------------------------------------------------------------------

PAGES = """\
error-pages: {{404: {folder}/404.html, 5xx: {folder}/5xx.html, 4xx: {folder}/4xx.txt}}
users: {users}
limits: {{target: 100}}
access-log: off
backends:
  up: {{servers: ['{server}']}}
  down: {{servers: ['127.0.0.1:{closed}'], retry-for: 0s}}
  api: {{servers: ['127.0.0.1:{closed}'], retry-for: 0s, error-pages: {{502: {folder}/502.json}}}}
"""


def pages(folder: Path) -> None:
    (folder / "404.html").write_text("<h1>{status}</h1><p>{reason}</p><p>{target}</p>")
    (folder / "5xx.html").write_text("<h1>{status} {reason}</h1>{request-id}")
    (folder / "4xx.txt").write_text("{status} {reason} [{target}]")
    (folder / "502.json").write_text('{"status": {status}, "reason": "{reason}", "id": "{request-id}"}')


def fails_some(request: Request) -> Reply:
    return Reply(500, body=b"its own") if request.target == b"/500" else Reply()


@pytest.fixture(scope="module")
def shown(spoken, tmp_path_factory):
    """One for the tests that only look at what it shows."""
    folder = tmp_path_factory.mktemp("pages")
    pages(folder)
    with Origin(fails_some) as server:
        text = PAGES.format(folder=folder, server=server.address, closed=reserved(), users="{}")
        with L7Process(text, inherit=False) as proxy:
            yield proxy
            server.close()
            proxy.assert_no_leaks()


def test_what_l7_fails_is_shown_as_a_page(shown):
    answer = get(shown.address, host="down")
    assert (answer.status, answer.header(b"content-type")) == (502, b"text/html; charset=utf-8")
    assert answer.body.startswith(b"<h1>502 connection refused</h1>")
    assert len(answer.body) > len(b"<h1>502 connection refused</h1>") + 10
    assert answer.header(b"cache-control") == b"no-store"
    assert answer.header(b"etag") is None
    answer = get(shown.address, host="api")
    assert (answer.status, answer.json["reason"]) == (502, "connection refused")
    answer = get(shown.address, '/<b>"', host="unknown")
    assert answer.body == b"<h1>404</h1><p>no backend for this host: host unknown</p><p>/&lt;b&gt;&quot;</p>"
    answer = get(shown.address, "/500", host="up")
    assert (answer.status, answer.body) == (500, b"its own")


def test_who_asks_for_json_gets_it(shown):
    for accept, kind in (
        ("application/json", b"application/json"),
        ("text/html,application/json;q=0.9", b"text/html; charset=utf-8"),
        ("*/*", b"text/html; charset=utf-8"),
    ):
        answer = get(shown.address, host="down", headers=[("Accept", accept)])
        assert (answer.status, answer.header(b"content-type")) == (502, kind)
    answer = get(shown.address, host="down", headers=[("Accept", "application/json")])
    assert answer.json["reason"] == "connection refused"
    answer = get(shown.address, host="api", headers=[("Accept", "application/json")])
    assert "id" in answer.json


def test_without_a_body_for_head_and_without_a_request_for_what_is_none(shown):
    whole, head = get(shown.address, host="unknown"), request(shown.address, "HEAD", host="unknown")
    assert (head.status, head.body, head.header(b"content-length")) == (404, b"", b"%d" % len(whole.body))
    (answer,) = exchange(shown.address, b"GET / HTTP/1.1\r\nHost: a b\r\n\r\n")
    assert (answer.status, answer.closes) == (400, True)
    assert answer.body.startswith(b"400 ")
    assert answer.body.endswith(b"[]")
    answer = get(shown.address, "/" + "x" * 200, host="up")
    assert (answer.status, answer.body[:4]) == (414, b"414 ")


def test_the_challenge_and_when_to_come_back_stay(l7, origin, tmp_path):
    pages(tmp_path)
    text = PAGES.format(folder=tmp_path, server=origin().address, closed=reserved(), users="{me: secret}")
    proxy = l7(text.replace("  up:", "  empty: {servers: []}\n  up:"), inherit=False)
    answer = get(proxy.address, host="up")
    assert (answer.status, answer.header(b"www-authenticate")) == (401, b'Basic realm="l7"')
    assert answer.body == b"401 no or wrong credentials [/]"
    answer = get(proxy.address, host="empty", headers=[("Authorization", "Basic bWU6c2VjcmV0")])
    assert (answer.status, answer.header(b"retry-after")) == (503, b"1")
    assert answer.body.startswith(b"<h1>503 no server available: ")


def test_a_changed_page_is_a_change_and_a_missing_one_refuses_the_reload(l7, origin, tmp_path):
    pages(tmp_path)
    text = PAGES.format(folder=tmp_path, server=origin().address, closed=reserved(), users="{}")
    proxy = l7(text, inherit=False)
    page = tmp_path / "404.html"
    page.write_text("after")
    start = len(proxy.events)
    command = [sys.executable, "-m", "l7", "reload", "--dry-run", "-c", str(proxy.config_path)]
    tried = subprocess.run(command, cwd=ROOT, timeout=TIMEOUT, capture_output=True, text=True, check=False)
    assert f"error-pages: {page}: changed" in tried.stdout
    reload(proxy)
    assert f"error-pages: {page}: changed" in "\n".join(proxy.events[start:])
    assert get(proxy.address, host="unknown").body == b"after"
    page.unlink()
    start = len(proxy.events)
    proxy.hup()
    proxy.wait_for_event("reload.refused", start=start)
    assert "config.yml:1: error-pages.404" in "\n".join(proxy.events[start:])
    assert get(proxy.address, host="unknown").body == b"after"
    page.write_text("again {status}")
    reload(proxy)
    assert get(proxy.address, host="unknown").body == b"again 404"


def test_general_fields_and_pages_are_on_all_that_l7_says_itself(l7, origin, tmp_path):
    pages(tmp_path)
    proxy = l7(
        f"""\
listeners:
  - {{address: '127.0.0.1:0'}}
  - {{address: '127.0.0.2:0', redirect-to-https: 8443}}
response-headers: {{set: {{X-Frame-Options: DENY, X-Id: '{{request-id}}', Access-Control-Allow-Origin: '*'}}}}
error-pages: {{4xx: {tmp_path}/4xx.txt, 5xx: {tmp_path}/5xx.html}}
backends:
  a: {{servers: ['{origin().address}']}}
  b: {{respond: {{body: b}}, rate-limit: {{requests: 1, per: 1h}}}}
  c: {{redirect: /x, deny: [127.0.0.1], error-pages: {{403: {tmp_path}/502.json}}}}
""",
        inherit=False,
    )
    plain, led = proxy.ports()
    fields = b"x-frame-options", b"access-control-allow-origin", b"x-id"

    def has_fields(answer) -> bool:
        return all(answer.header(name) for name in fields)

    assert has_fields(get(plain, host="a"))
    assert has_fields(get(plain, host="b"))
    limited = get(plain, host="b")
    assert (limited.status, limited.body[:4], has_fields(limited)) == (429, b"429 ", True)
    assert int(limited.header(b"retry-after")) > 3000
    denied = get(plain, host="c")
    assert (denied.status, denied.json["status"], has_fields(denied)) == (403, 403, True)
    assert has_fields(get(plain, host="unknown"))
    to_https = get(("127.0.0.2", led), host="a")
    assert (to_https.status, has_fields(to_https)) == (308, True)
    (broken,) = exchange(plain, b"GET / HTTP/1.1\r\nHost: a b\r\n\r\n")
    assert (broken.status, has_fields(broken)) == (400, True)
    (last,) = exchange(plain, b"OPTIONS / HTTP/1.1\r\nHost: a\r\nMax-Forwards: 0\r\nConnection: close\r\n\r\n")
    assert (last.status, has_fields(last)) == (200, True)


@root_only
def test_pages_that_only_root_may_read(public):
    own = public / "own"
    own.mkdir(mode=0o700)
    try:
        page, config = own / "404.html", own / "l7.yml"
        page.write_text("before")
        config.write_text(f"error-pages: {{404: {page}}}\nbackends: {{a: {{servers: []}}}}\ncanary-time: 0s\n")
        page.chmod(0o600)
        words = ["--config", str(config), "--control", STATUS]
        with L7Process(argv=words, inherit=True, run_as=None, directory=public) as proxy:
            assert get(proxy.address, host="b").body == b"before"
            page.write_text("after")
            reload(proxy)
            assert get(proxy.address, host="b").body == b"after"
            assert any(f"opened {page}" in line for line in proxy.events)
            page.chmod(0o666)  # another account could write it
            start = len(proxy.events)
            proxy.hup()
            proxy.wait_for_event("reload.refused", start=start)
            assert get(proxy.address, host="b").body == b"after"
    finally:
        for file in own.iterdir():
            file.unlink()
        own.rmdir()
