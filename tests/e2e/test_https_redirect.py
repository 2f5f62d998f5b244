"""A listener that leads to https: who is sent where, who is not, and what is said of it."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from tests.harness import TIMEOUT
from tests.harness.client import Client, exchange, request
from tests.harness.l7process import ROOT
from tests.harness.lifecycle import reload
from tests.harness.origin import Reply
from tests.harness.stage import Stage
from tests.harness.tls import TlsClient, issue, write_pair

CONFIG = """\
listeners: [{{address: '127.0.0.1:0', redirect-to-https: {port}}}]
users: {{me: secret}}
trusted-proxies: [{trusted}]
limits: {{target-bytes: utf-8}}
access-log-format: json
backends:
  a: {{servers: ['{server}']}}
  b/only: {{servers: ['{server}']}}
"""


def config(server: str, port: object = 8443, trusted: str = "") -> str:
    return CONFIG.format(server=server, port=port, trusted=trusted)


@pytest.fixture(scope="module")
def running(spoken):
    with Stage(config, inherit=False) as stage:
        yield stage


@pytest.mark.parametrize(
    ("line", "host", "location"),
    [
        ("GET / HTTP/1.1", "a", "https://a:8443/"),
        ("GET /x?y=1&z=%20#f HTTP/1.1", "a", None),
        ("POST //x/../%2e?y=1&z=%20 HTTP/1.1", "A.:80", "https://a:8443//x/../%2e?y=1&z=%20"),
        ("GET http://a:1/y HTTP/1.1", "b", "https://a:8443/y"),
        ("GET /\xc3\xa4 HTTP/1.1", "a", "https://a:8443/%C3%A4"),
        ("GET / HTTP/1.0", "a", "https://a:8443/"),
        ("GET /only/x HTTP/1.1", "b", "https://b:8443/only/x"),
        ("OPTIONS / HTTP/1.1", "a", "https://a:8443/"),
    ],
)
def test_where_requests_are_led(proxy, line, host, location):
    raw = f"{line}\r\nHost: {host}\r\nConnection: close\r\n\r\n".encode("latin-1")
    (answer,) = exchange(proxy.address, raw)
    assert answer.status == (400 if location is None else 308)
    if location is not None:
        assert answer.header(b"location") == location.encode()
        assert location.encode() in answer.body


@pytest.mark.parametrize(
    ("raw", "status"),
    [
        (b"GET / HTTP/1.1\r\nHost: c\r\n", 404),
        (b"GET /other HTTP/1.1\r\nHost: b\r\n", 404),
        (b"GET / HTTP/1.0\r\n", 400),
        (b"OPTIONS * HTTP/1.1\r\nHost: a\r\n", 400),
        (b"CONNECT a:443 HTTP/1.1\r\nHost: a:443\r\n", 405),
        (b"POST /.well-known/acme-challenge/x HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n", 308),
        (b"GET /.well-known/acme-challenge/x/../y HTTP/1.1\r\nHost: a\r\n", 308),
    ],
)
def test_who_cannot_be_led_anywhere(proxy, raw, status):
    (answer,) = exchange(proxy.address, raw + b"Connection: close\r\n\r\n")
    assert answer.status == status
    assert answer.header(b"www-authenticate") is None


def test_port_443_is_not_written(l7, origin):
    proxy = l7(config(origin().address, 443), inherit=False)
    answer = request(proxy.address, host="a:8080", target="/x")
    assert (answer.status, answer.header(b"location")) == (308, b"https://a/x")


def test_connections_are_kept_and_bodies_read(proxy):
    with Client(proxy.address) as client:
        for _ in range(3):
            client.send(b"PUT /x HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc")
            answer = client.read_response(b"PUT")
            assert (answer.status, answer.closes) == (308, False)


def test_a_challenge_passes_and_needs_no_login(l7, origin):
    server = origin(lambda _: Reply(body=b"token"))
    proxy = l7(config(server.address), inherit=False)
    answer = request(proxy.address, host="a", target="/.well-known/acme-challenge/abc_-1")
    assert (answer.status, answer.body) == (200, b"token")


def test_who_came_by_https_to_a_trusted_proxy_is_there_already(l7, origin):
    proxy = l7(config(origin().address, trusted="127.0.0.1"), inherit=False)
    for proto, status in (("https", 401), ("http", 308), ("HTTPS", 401)):
        answer = request(proxy.address, host="a", headers=[("X-Forwarded-Proto", proto)])
        assert answer.status == status
    proxy = l7(config(origin().address), inherit=False)
    assert request(proxy.address, host="a", headers=[("X-Forwarded-Proto", "https")]).status == 308


def test_it_is_logged_and_shown_by_explain(play):
    proxy = play.proxy
    assert request(proxy.address, host="a", target="/x").status == 308
    line = json.loads(play.wait_for_log('"status": ?308').string)
    assert (line["host"], line["status"], line["termination"], line["server"] or "") == ("a", 308, "--", "")

    def explained(url: str, *words: str) -> str:
        command = [sys.executable, "-m", "l7", "explain", url, "-c", str(proxy.config_path), "--offline", *words]
        done = subprocess.run(command, cwd=ROOT, timeout=TIMEOUT, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        return done.stdout

    assert "\nredirect: 308 to https://a:8443/x?y\n" in explained("http://a/x?y")
    found = json.loads(explained("a/x", "--json"))
    assert (found["listener"], found["redirect"], found["route"]) == ("127.0.0.1:0", "https://a:8443/x", "a")
    assert json.loads(explained("a/.well-known/acme-challenge/x", "--json"))["redirect"] is None


def test_a_reload_turns_it_on_and_off_for_connections_that_live_on(l7, origin):
    server = origin().address
    on = config(server).replace("users: {me: secret}\n", "")
    off = on.replace(", redirect-to-https: 8443", "")
    proxy = l7(off, inherit=False)
    with Client(proxy.address) as client:
        for text, status in ((off, 200), (on, 308), (off, 200)):
            reload(proxy, text)
            client.send(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
            answer = client.read_response()
            assert (answer.status, answer.closes) == (status, False)


def test_true_leads_to_the_first_listener_with_tls(l7, origin, tmp_path):
    pair = write_pair(tmp_path, "localhost", issue("localhost"))
    text = (
        "listeners: [{{address: '127.0.0.1:0', redirect-to-https: true}}, {{address: '127.0.0.2:0', tls: true}}]\n"
        "tls: {{certificates: [{pair}]}}\nbackends: {{localhost: {{servers: ['{server}']}}}}\n"
    )
    proxy = l7(text.format(pair=pair, server=origin().address), inherit=False)
    plain, https = proxy.ports()
    answer = request(("127.0.0.1", plain), host="localhost", target="/x")
    assert (answer.status, answer.header(b"location")) == (308, b"https://localhost:%d/x" % https)
    with TlsClient(("127.0.0.2", https)) as client:
        client.send(b"GET /x HTTP/1.1\r\nHost: localhost\r\n\r\n")
        assert client.read_response().status == 200
