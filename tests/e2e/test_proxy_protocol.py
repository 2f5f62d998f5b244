"""Listeners behind load balancers that speak the PROXY protocol: who the client is, who may say so, who is refused."""

from __future__ import annotations

import itertools
import json
import os
import random
import re
import socket
import time

import pytest

from tests.harness.client import Client, get
from tests.harness.lifecycle import reload
from tests.harness.origin import Reply
from tests.harness.proxy_headers import SIGNATURE, extension, v1, v2
from tests.harness.stage import Stage
from tests.harness.tls import TlsClient, issue, write_pair

REQUEST = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"
CONFIG = """\
listeners: [{{address: '127.0.0.1:0', proxy-protocol: [{senders}]}}]
access-log-format: json
timeouts: {{handshake: {seconds}}}
trusted-proxies: [192.0.2.9]
admin: unix:{admin}
backends: {{a: {{servers: ['{server}']}}}}
"""
NUMBERS = itertools.count()


def config(server: str, senders: str = "127.0.0.0/8", seconds: str = "10s") -> str:
    admin = f"/tmp/l7-admin-{os.getpid()}-{next(NUMBERS)}"
    return CONFIG.format(server=server, senders=senders, seconds=seconds, admin=admin)


@pytest.fixture(scope="module")
def running(spoken):
    with Stage(config, inherit=False) as stage:
        yield stage


@pytest.fixture
def server(origin):
    return origin()


@pytest.fixture
def proxy(l7, server):
    return l7(config(server.address), inherit=False)


def figures(proxy) -> dict[str, int]:
    """How many were refused, by reason; a worker closes first, and then counts."""
    proxy.settle()
    path = re.search(r"admin: unix:(\S+)", proxy.config_path.read_text("utf-8"))
    assert path is not None
    text = get(path[1], "/metrics").body.decode()
    found = re.findall(r'^l7_proxy_protocol_refused_total\{reason="(\w+)"\} (\d+)$', text, re.MULTILINE)
    return {reason: int(count) for reason, count in found if int(count)}


def is_closed(client: Client) -> bool:
    assert client.read_until_closed() == b""
    return bool(client.end)


@pytest.mark.parametrize(
    ("header", "client", "port"),
    [
        (v1("192.0.2.7", "198.51.100.1", 5, 8443), "192.0.2.7", b"8443"),
        (v1("2001:db8::7", "2001:db8::1", 5, 443), "2001:db8::7", b"443"),
        (v1("::ffff:192.0.2.7", "::ffff:192.0.2.1", 5, 443), "192.0.2.7", b"443"),
        (v2("192.0.2.7", "198.51.100.1", 5, 8443), "192.0.2.7", b"8443"),
        (v2("2001:db8::7", "2001:db8::1", 5, 443, extension(5, b"id"), checksum=True), "2001:db8::7", b"443"),
        (v1("192.0.2.7", "198.51.100.1", 5, 0), "192.0.2.7", b"80"),
        (b"PROXY UNKNOWN\r\n", "127.0.0.1", b"80"),
        (SIGNATURE + b"\x20\x11\x00\x0c" + bytes(12), "127.0.0.1", b"80"),
        (SIGNATURE + b"\x21\x00\x00\x00", "127.0.0.1", b"80"),
    ],
)
@pytest.mark.parametrize("how", ["whole", "byte", random.Random(7)], ids=["whole", "byte", "random"])
def test_the_header_says_who_the_client_is(play, header, client, port, how):
    server, connection = play(), play.connect()
    connection.send(header + REQUEST + REQUEST, how)
    assert [connection.read_response().status for _ in range(2)] == [200, 200]
    for request in server.requests[-2:]:
        assert request.header(b"x-forwarded-for") == request.header(b"x-real-ip") == client.encode()
        assert request.header(b"x-forwarded-port") == port
    logged = play.wait_for_log(f'"client": "{re.escape(client)}"')
    assert json.loads(logged.string)["status"] == 200


def test_who_the_header_names_is_trusted_as_a_peer_would_be_and_who_sends_it_is_not(play):
    server = play()
    forged = REQUEST[:-2] + b"X-Forwarded-For: 203.0.113.1\r\n\r\n"
    for client, expected in (("192.0.2.9", b"203.0.113.1, 192.0.2.9"), ("192.0.2.8", b"192.0.2.8")):
        with play.connect() as connection:
            connection.send(v1(client, "198.51.100.1") + forged)
            assert connection.read_response().status == 200
        assert server.requests[-1].header(b"x-forwarded-for") == expected


@pytest.mark.parametrize(
    ("sent", "reason"),
    [
        (REQUEST, "no_header"),
        (b"\x16\x03\x01\x02\x00", "no_header"),
        (b"\r\n\r\n\0\r\nQUIX", "no_header"),
        (b"PROXY TCP4 1.2.3.4 5.6.7.8 1 2 3\r\n" + REQUEST, "malformed"),
        (b"PROXY TCP4 1.2.3.4 5.6.7.8 1 2\n" + REQUEST, "malformed"),
        (b"PROXY UNKNOWN " + b"x" * 200, "malformed"),
        (v2("192.0.2.7", "198.51.100.1", tail=extension(3, b"lies")) + REQUEST, "malformed"),
        (SIGNATURE + b"\x21\x11\xff\xff", "malformed"),
    ],
)
def test_without_a_right_header_the_connection_is_closed_and_counted(play, sent, reason):
    server, proxy = play(), play.proxy
    for how in ("whole", "byte"):
        before = figures(proxy).get(reason, 0)
        with Client(proxy.address) as client:
            client.send(sent, how)
            assert is_closed(client)
        assert figures(proxy)[reason] == before + 1
    proxy.wait_for_event("proxy-protocol.refused", reason=reason, peer="127.0.0.1")
    assert not server.requests


def test_others_are_closed_with_or_without_a_header(l7, server):
    proxy = l7(config(server.address, "10.0.0.0/8, '::1'"), inherit=False)
    for sent in (b"", REQUEST, v1("192.0.2.7", "198.51.100.1") + REQUEST):
        with Client(proxy.address) as client:
            client.send(sent)
            assert is_closed(client)
    assert figures(proxy) == {"not_listed": 3}
    proxy.wait_for_event("proxy-protocol.refused", reason="not_listed", peer="127.0.0.1")
    told = [line for line in proxy.events if "proxy-protocol.refused" in line or "none of the networks" in line]
    assert len(told) == 1, "one line a minute for each reason"


def test_a_header_that_does_not_come_ends_the_connection_in_time(l7, server):
    proxy = l7(config(server.address, seconds="500ms"), inherit=False)
    for count, begun in enumerate((b"", b"PROXY TCP4 1.2.3.4", SIGNATURE + b"\x21\x11\x00\x0c"), 1):
        started = time.monotonic()
        with Client(proxy.address) as client:
            client.send(begun)
            assert is_closed(client)
            assert 0.4 < time.monotonic() - started < 5
        assert figures(proxy) == {"timeout": count}


def test_who_looks_whether_the_port_is_open_is_no_refusal(play):
    proxy = play.proxy
    before = figures(proxy)
    socket.create_connection(proxy.address, 5).close()
    with Client(proxy.address) as client:
        client.send(b"PROXY ")
    proxy.wait_for(lambda: figures(proxy) == before | {"closed": 1}, "the one that left within its header")


def test_the_head_of_the_request_has_its_own_time(l7, server):
    proxy = l7(config(server.address, seconds="300ms"), inherit=False)
    with Client(proxy.address) as client:
        client.send(v1("192.0.2.7", "198.51.100.1") + REQUEST[:10])
        client.pump(0.8)
        assert not client.end
        client.send(REQUEST[10:])
        assert client.read_response().status == 200


def test_connections_live_through_a_reload_and_know_their_clients(l7, origin):
    server = origin(lambda _: Reply(body=b"x"))
    proxy = l7(config(server.address, seconds="5m"), inherit=False, workers=2)
    with Client(proxy.address) as idle, Client(proxy.address) as begun, Client(proxy.address) as silent:
        idle.send(v1("192.0.2.7", "198.51.100.1", 5, 8443) + REQUEST)
        assert idle.read_response().status == 200
        begun.send(v1("192.0.2.6", "198.51.100.1")[:20])
        before = set(proxy.workers())
        reload(proxy)
        begun.send(v1("192.0.2.6", "198.51.100.1")[20:] + REQUEST)
        assert begun.read_response().status == 200
        assert server.requests[-1].header(b"x-forwarded-for") == b"192.0.2.6"
        silent.send(v1("192.0.2.5", "198.51.100.1") + REQUEST)
        assert silent.read_response().status == 200
        proxy.wait_for(lambda: not before & set(proxy.workers()), "the old workers' end")
        for client in (idle, begun, silent):
            client.send(REQUEST)
            answer = client.read_response()
            assert (answer.status, answer.closes) == (200, False)
        idle.send(REQUEST)
        assert idle.read_response().status == 200
        request = server.requests[-1]
        assert (request.header(b"x-forwarded-for"), request.header(b"x-forwarded-port")) == (b"192.0.2.7", b"8443")


def test_a_reload_turns_it_on_and_off(l7, server):
    on = config(server.address)
    off = on.replace("proxy-protocol: [127.0.0.0/8]", "proxy-protocol: []")
    proxy = l7(off, inherit=False)
    with Client(proxy.address) as kept:
        kept.send(REQUEST)
        assert kept.read_response().status == 200
        reload(proxy, on)
        kept.send(REQUEST)
        answer = kept.read_response()
        assert (answer.status, answer.closes) == (200, True)
        with Client(proxy.address) as new:
            new.send(v2("192.0.2.7", "198.51.100.1") + REQUEST)
            assert new.read_response().status == 200
        reload(proxy, off)
        with Client(proxy.address) as new:
            new.send(v1("192.0.2.7", "198.51.100.1") + REQUEST)
            assert new.read_response().status == 400


def test_a_stop_does_not_wait_for_headers(proxy):
    with Client(proxy.address) as silent, Client(proxy.address) as served:
        served.send(v1("192.0.2.7", "198.51.100.1") + REQUEST)
        assert served.read_response().status == 200
        started = time.monotonic()
        proxy.term()
        proxy.wait_for_event("master.stopped")
        assert time.monotonic() - started < 5
        assert is_closed(silent)


def test_a_unix_socket_may_send_headers_too(l7, server, tmp_path):
    path = str(tmp_path / "s")
    text = config(server.address).replace("'127.0.0.1:0'", f"'unix:{path}'").replace("127.0.0.0/8", "'unix:'")
    l7(text, inherit=False)
    with Client(path) as client:
        client.send(v1("192.0.2.7", "198.51.100.1", 5, 8443) + REQUEST)
        assert client.read_response().status == 200
    request = server.requests[-1]
    assert (request.header(b"x-forwarded-for"), request.header(b"x-forwarded-port")) == (b"192.0.2.7", b"8443")


@pytest.mark.parametrize("header", [v1("192.0.2.7", "198.51.100.1", 5, 8443), v2("192.0.2.7", "198.51.100.1", 5, 8443)])
def test_a_header_may_come_before_tls(l7, server, tmp_path, header):
    pair = write_pair(tmp_path, "localhost", issue("localhost"))
    text = config(server.address).replace("proxy-protocol", "tls: true, proxy-protocol").replace("a:", "localhost:")
    proxy = l7(f"{text}tls: {{certificates: [{pair}]}}\n", inherit=False)
    with TlsClient(proxy.address, before=header) as client:
        for _ in range(2):
            client.send(REQUEST.replace(b"Host: a", b"Host: localhost"))
            assert client.read_response().status == 200
    request = server.requests[-1]
    for name, value in (("for", b"192.0.2.7"), ("port", b"8443"), ("proto", b"https")):
        assert request.header(f"x-forwarded-{name}".encode()) == value
    assert json.loads(proxy.wait_for_output('"client": "192.0.2.7"').string)["tls_sni"] == "localhost"
    with Client(proxy.address) as client:
        client.send(b"\x16\x03\x01\x02\x00")
        assert is_closed(client)
    assert figures(proxy) == {"no_header": 1}
    proxy.wait_for_event("proxy-protocol.refused", reason="no_header", peer="127.0.0.1")
    assert "what looks like TLS" in "\n".join(proxy.events)
    with Client(proxy.address) as client:
        client.send(header + REQUEST)
        assert client.read_response().status == 400, "it knows plain HTTP also behind a header"


def test_header_and_handshake_share_one_time(l7, server, tmp_path):
    pair = write_pair(tmp_path, "localhost", issue("localhost"))
    text = config(server.address, seconds="3s").replace("proxy-protocol", "tls: true, proxy-protocol")
    proxy = l7(f"{text}tls: {{certificates: [{pair}]}}\n", inherit=False)
    started = time.monotonic()
    with Client(proxy.address) as client:
        client.pump(2.5)
        client.send(v1("192.0.2.7", "198.51.100.1"))
        client.read_until_closed()
        assert 2.9 < time.monotonic() - started < 5.4, "three seconds for both, not for each"
    assert not figures(proxy)
