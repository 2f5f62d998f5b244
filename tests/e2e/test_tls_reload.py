"""TLS connections live through reloads: their TLS stays with the worker that shook hands, and others serve them."""

from __future__ import annotations

import hashlib
import json
import os
import signal
import socket
import ssl
import threading
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import psutil
import pytest
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect as websocket

from tests.harness.client import TIMEOUT
from tests.harness.l7process import STATUS, L7Process
from tests.harness.lifecycle import reload, stop_successor, upgrade
from tests.harness.load import Gate
from tests.harness.origin import Origin, Reply, pattern_sha256, routes
from tests.harness.proxy_headers import v1
from tests.harness.tls import TlsClient, issue, trusting, write_pair
from tests.harness.websocketserver import WebSocketServer

RELOADS = int(os.environ.get("L7_TEST_RELOADS", "6"))
"""How many reloads connections are kept over under load."""
CLIENTS = int(os.environ.get("L7_TEST_CLIENTS", "3"))
"""How many clients ask all the time meanwhile."""
REQUEST = b"GET /headers HTTP/1.1\r\nHost: localhost\r\n\r\n"
VERSIONS = [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3]
LARGE = 8_000_000


class Site:
    """A running l7 with TLS, whose server is another one after each reload."""

    def __init__(self, start: Any, origin: Any, certificates: str, script: Any = routes, more: str = "") -> None:
        self._servers: list[Origin] = [origin(script), origin(script)]
        self._certificates = certificates
        self._reloads = 0
        self.more = more
        self.proxy: L7Process = start(self._config(), argv=["--control", STATUS], workers=2)

    def _config(self) -> str:
        return (
            f"tls: {{certificates: [{self._certificates}]}}\n"
            f"backends: {{'*': {{servers: ['{self.server.address}']}}}}\n"
            f"canary-time: 0\n{self.more}"
        )

    @property
    def server(self) -> Origin:
        """The server of the present configuration."""
        return self._servers[self._reloads % 2]

    def reload(self, *, times: int = 1, wait: bool = True) -> None:
        for _ in range(times):
            self._reloads += 1
            reload(self.proxy, self._config())
        if wait:
            self.proxy.wait_for(lambda: self.relayed() or not self.served(1), "all to be handed over")

    def workers(self, state: str) -> list[dict[str, Any]]:
        return [one for one in self.proxy.status()["workers"] if one["state"] == state]

    def relayed(self) -> int:
        """How many connections old workers have the TLS of."""
        return sum(one["relayed"] for one in self.proxy.status()["workers"])

    def served(self, generation: int = 0) -> int:
        """How many connections the workers of a generation serve, or all."""
        entries = self.proxy.status()["workers"]
        return sum(one["connections"] for one in entries if generation in (0, one["generation"]))

    def connect(self, **options: Any) -> TlsClient:
        return TlsClient(self.proxy.address, **options)

    def ends(self, client: TlsClient) -> None:
        """The connection ends with one of its next answers, all of them by the present configuration."""
        closes = False
        while not closes:
            client.send(REQUEST)
            answer = client.read_response()
            assert answer.status == 200 and answer.json["origin"] == [self.server.port]
            closes = answer.closes
        assert client.read_until_closed() == b"" and client.end == "eof"

    def answers(self, client: TlsClient) -> dict[str, Any]:
        """What the server of the present configuration was asked by ``client``."""
        client.send(REQUEST)
        answer = client.read_response()
        assert answer.status == 200
        assert not answer.closes
        assert answer.json["origin"] == [self.server.port], "answered by the new configuration"
        return answer.json


@pytest.fixture
def site(l7, origin, tmp_path: Path):
    """Starts l7 with TLS and two servers that take turns."""

    def start(script: Any = routes, more: str = "", **options: Any) -> Site:
        pair = write_pair(tmp_path, "localhost", issue("localhost"))
        return Site(lambda *args, **kwargs: l7(*args, **{**kwargs, **options}), origin, pair, script, more)

    return start


@pytest.fixture
def echo() -> Iterator[WebSocketServer]:
    server = WebSocketServer()
    yield server
    server.close()


class KeptClient(threading.Thread):
    """Asks all the time, on one connection that must not end."""

    def __init__(self, site: Site, version: ssl.TLSVersion) -> None:
        super().__init__()
        self._client = site.connect(context=trusting(version))
        self.count = 0
        self.done = False
        self.wrong = ""

    def run(self) -> None:
        try:
            while not self.done:
                self._client.send(REQUEST)
                answer = self._client.read_response()
                assert answer.status == 200 and not answer.closes and not self._client.end, answer.head
                self.count += 1
        except Exception as failure:
            self.wrong = f"after {self.count}: {type(failure).__name__}: {failure}"
        self._client.close()


# --- reloads --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("version", VERSIONS)
def test_kept_connections_live_through_reloads(site, version):
    """Idle ones and those of clients that ask all the time: none fails, none ends, all reach the new configuration."""
    it = site()
    busy = [KeptClient(it, version) for _ in range(CLIENTS)]
    with ExitStack() as stack:
        kept = [stack.enter_context(it.connect(context=trusting(version))) for _ in range(6)]
        for client in kept:
            it.answers(client)
        for one in busy:
            one.start()
        try:
            for _ in range(RELOADS):
                it.reload(wait=False)
                for client in kept:
                    it.answers(client)
        finally:
            for one in busy:
                one.done = True
            for one in busy:
                one.join(TIMEOUT)
        assert [one.wrong for one in busy] == [""] * CLIENTS
        assert min(one.count for one in busy) > RELOADS
        assert {one["generation"] for one in it.workers("relaying")} == {1}, "and only the first generation relays"
    it.proxy.wait_for(lambda: not it.workers("relaying"), "the end of the old workers")


def test_what_has_said_nothing_yet_lives_on_too(site):
    it = site()
    with it.connect() as client, it.connect() as half:
        half.send(REQUEST[:20])
        it.reload(times=2)
        it.answers(client)
        half.send(REQUEST[20:])
        assert half.read_response().json["origin"] == [it.server.port]


def test_a_handshake_that_was_under_way_is_handed_over_at_its_end(site):
    it = site()
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    with it.connect() as other:
        it.answers(other)
        tls = trusting().wrap_bio(incoming, outgoing, server_hostname="localhost")
        with socket.create_connection(it.proxy.address, TIMEOUT) as sock:
            with pytest.raises(ssl.SSLWantReadError):
                tls.do_handshake()
            hello = outgoing.read()
            sock.sendall(hello[:50])
            it.proxy.wait_for(lambda: it.served() == 2, "the connection")
            it.reload()
            sock.sendall(hello[50:])
            while True:
                try:
                    tls.do_handshake()
                    break
                except ssl.SSLWantReadError:
                    sock.sendall(outgoing.read())
                    incoming.write(sock.recv(65536))
            tls.write(REQUEST)
            sock.sendall(outgoing.read())
            got = b""
            while b"}" not in got:
                incoming.write(sock.recv(65536))
                try:
                    got += tls.read(65536)
                except ssl.SSLWantReadError:
                    continue
            assert json.loads(got.partition(b"\r\n\r\n")[2])["origin"] == [it.server.port]


def test_a_request_in_flight_is_finished_first(site):
    gate = Gate()
    it = site(gate)
    with it.connect() as client:
        client.send(REQUEST + REQUEST)
        assert gate.entered.acquire(timeout=TIMEOUT)
        it.reload(wait=False)
        gate.opened.set()
        for _ in range(2):
            answer = client.read_response()
            assert answer.body == b"late" and not answer.closes
        assert [len(server.requests) for server in it._servers] == [1, 1], "the second went to the new server"
        client.send(REQUEST)
        assert client.read_response().body == b"late"


@pytest.mark.parametrize("reloads", [0, 1])
def test_large_bodies_go_on_over_a_reload(site, reloads):
    """On a connection whose worker shook hands itself, and on one that is relayed already."""
    it = site()
    data = os.urandom(LARGE)
    with it.connect() as client:
        it.answers(client)
        it.reload(times=reloads, wait=bool(reloads))
        client.send(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n" % LARGE + data[: LARGE // 2])
        it.reload(wait=False)
        client.send(data[LARGE // 2 :])
        assert client.read_response().json["sha256"] == hashlib.sha256(data).hexdigest()
        client.send(b"GET /bytes/%d HTTP/1.1\r\nHost: a\r\n\r\n" % LARGE)
        client.read_head()
        it.reload(wait=False)
        body = client.read_exactly(LARGE)
        assert hashlib.sha256(body).hexdigest() == pattern_sha256(LARGE)
        it.answers(client)


def test_a_slow_client_gets_all_of_it_and_nothing_is_hoarded(site):
    it = site()
    size = 40_000_000
    with it.connect() as client:
        it.answers(client)
        it.reload(times=2)
        relays = [psutil.Process(one["pid"]) for one in it.workers("relaying")]
        before = sum(one.memory_info().rss for one in relays)
        client.send(b"GET /bytes/%d HTTP/1.1\r\nHost: a\r\n\r\n" % size)
        client.read_head()
        assert len(client.read_exactly(size // 2)) == size // 2
        assert sum(one.memory_info().rss for one in relays) - before < 8_000_000
        assert len(client.read_exactly(size - size // 2)) == size - size // 2
        it.answers(client)


def test_what_is_said_of_the_client_stays_the_same(site):
    it = site(more="access-log-format: json\n")
    with it.connect() as client:
        before = told(it.answers(client))
        it.reload(times=2)
        assert told(it.answers(client)) == before
    it.proxy.wait_for(lambda: len(it.proxy.output) >= 2, "two lines")
    first, second = (json.loads(line) for line in it.proxy.output[:2])
    for name in ("scheme", "client", "tls_version", "tls_cipher", "tls_sni", "tls_resumed"):
        assert first[name] == second[name], name
    assert (first["scheme"], first["tls_sni"]) == ("https", "localhost")


def told(seen: dict[str, Any]) -> list[list[str]]:
    return [pair for pair in seen["headers"] if pair[0].startswith("X-Forwarded") or pair[0] == "Host"]


def test_the_client_that_a_proxy_header_named_stays_the_same(l7, origin, tmp_path):
    pair = write_pair(tmp_path, "localhost", issue("localhost"))
    text = (
        "listeners: [{address: '127.0.0.1:0', tls: true, proxy-protocol: [127.0.0.0/8]}]\n"
        f"tls: {{certificates: [{pair}]}}\nbackends: {{'*': {{servers: ['{origin(routes).address}']}}}}\n"
        "canary-time: 0\n"
    )
    proxy = l7(text, inherit=False)
    with TlsClient(proxy.address, before=v1("192.0.2.7", "192.0.2.1", 1234, 4433)) as client:
        seen = []
        for _ in range(3):
            client.send(REQUEST)
            answer = client.read_response()
            assert answer.status == 200 and not answer.closes
            seen.append(told(answer.json))
            reload(proxy)
        assert seen[0] == seen[1] == seen[2]
        assert ["X-Forwarded-For", "192.0.2.7"] in seen[0] and ["X-Forwarded-Port", "4433"] in seen[0]


# --- how connections end ----------------------------------------------------------------------------------------------


def test_an_answer_that_ends_with_its_connection_ends_with_close_notify(site):
    it = site(lambda _: Reply(body=b"all of it", framing="close"))
    with it.connect() as client:
        it.reload()
        client.send(b"GET / HTTP/1.0\r\n\r\n")
        assert client.read_until_closed().endswith(b"all of it")
        assert client.end == "eof", "and was not cut"


def test_a_large_last_answer_to_a_slow_client_ends_with_close_notify(site):
    it = site()
    with it.connect() as client:
        it.reload()
        client.send(b"GET /bytes/%d HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n" % LARGE)
        client.read_head()
        assert len(client.read_exactly(LARGE)) == LARGE
        assert client.read_until_closed() == b"" and client.end == "eof"


def test_an_idle_connection_ends_with_close_notify(site):
    it = site(more="timeouts: {idle: 1500ms}\n")
    with it.connect() as client:
        it.answers(client)
        it.reload(times=2)
        assert client.read_until_closed() == b"" and client.end == "eof"
    it.proxy.wait_for(lambda: not it.relayed(), "the end of the relay")


def test_an_answer_that_is_cut_short_is_cut_off(site):
    it = site(lambda _: Reply(headers=[(b"Content-Length", b"100")], body=b"half", framing="none", close=True))
    with it.connect() as client:
        it.reload()
        client.send(REQUEST)
        assert not client.read_response().complete
        assert client.end == "reset", "no close_notify"


def test_an_answer_that_only_its_end_would_end_is_reset(site):
    it = site(lambda request: request.connection.send(b"HTTP/1.1 200 OK\r\n\r\nhalf") or request.connection.reset())
    with it.connect() as client:
        it.reload()
        client.send(b"GET / HTTP/1.0\r\n\r\n")
        assert not client.read_response().complete
        assert client.end == "reset"


def test_a_worker_that_dies_cuts_its_clients_off(site):
    it = site(leaks=False)
    with it.connect() as client:
        it.answers(client)
        it.reload()
        it.proxy.wait_for(lambda: it.served(2) == 1, "the connection to arrive")
        for one in it.workers("ready"):
            os.kill(one["pid"], signal.SIGKILL)
        assert client.read_until_closed() == b"" and client.end == "reset", "no close_notify"
    it.proxy.wait_for(lambda: not it.relayed(), "the end of the relay")


def test_a_relay_that_dies_cuts_its_clients_off(site):
    gate = Gate()
    it = site(gate, leaks=False)
    with it.connect() as client:
        it.reload()
        client.send(REQUEST)
        assert gate.entered.acquire(timeout=TIMEOUT)
        for one in it.workers("relaying"):
            os.kill(one["pid"], signal.SIGKILL)
        assert client.read_until_closed() == b"" and client.end == "reset"
        it.proxy.wait_for_output(" 499 ")
        gate.opened.set()
    it.proxy.wait_for(lambda: not it.served(), "its connection's end")


def test_a_client_that_is_cut_off_within_a_body_is_seen(site):
    it = site()
    with it.connect() as client:
        it.answers(client)
        it.reload()
        client.send(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n" % LARGE + bytes(500_000))
        it.proxy.wait_for(lambda: it.server.requests, "the request")
        client.reset()
    it.proxy.wait_for_output(" 499 ")
    it.proxy.wait_for(lambda: not it.relayed() and not it.served(), "the connection's end")


def test_a_client_that_goes_while_its_answer_is_awaited_is_seen(site):
    gate = Gate()
    it = site(gate)
    with it.connect() as client:
        it.reload()
        client.send(REQUEST)
        assert gate.entered.acquire(timeout=TIMEOUT)
        client.reset()
    it.proxy.wait_for_output(" 499 ")
    gate.opened.set()
    it.proxy.wait_for(lambda: not it.relayed() and not it.served(), "the connection's end")


def test_a_client_that_has_ended_by_close_notify_gets_its_answer(site):
    gate = Gate()
    it = site(gate)
    with it.connect() as client:
        it.reload()
        client.send(REQUEST)
        assert gate.entered.acquire(timeout=TIMEOUT)
        client.half_close()
        gate.opened.set()
        assert client.read_response().body == b"late"
        assert client.read_until_closed() == b"" and client.end == "eof"
    it.proxy.wait_for(lambda: not it.relayed() and not it.served(), "the connection's end")


def test_a_client_that_takes_nothing_is_given_up(site):
    it = site(more="timeouts: {write: 1s}\n")
    with it.connect() as client:
        it.answers(client)
        it.reload()
        client.send(b"GET /bytes/%d HTTP/1.1\r\nHost: a\r\n\r\n" % (10 * LARGE))
        client.read_head()
        it.proxy.wait_for(lambda: not it.relayed() and not it.served(), "the connection's end")


def test_a_stop_finishes_requests_and_ends_with_close_notify(site):
    gate = Gate()
    it = site(gate)
    with it.connect() as client, it.connect() as idle:
        it.reload()
        client.send(REQUEST)
        assert gate.entered.acquire(timeout=TIMEOUT)
        it.proxy.term()
        assert idle.read_until_closed() == b"" and idle.end == "eof"
        gate.opened.set()
        assert client.read_response().body == b"late"
        assert client.read_until_closed() == b"" and client.end == "eof"
    assert it.proxy.wait() == 0


# --- upgraded connections ---------------------------------------------------------------------------------------------


def test_a_websocket_stays_with_its_worker_for_its_time_and_what_is_relayed_for_longer(l7, echo, tmp_path):
    pair = write_pair(tmp_path, "localhost", issue("localhost"))
    text = f"tls: {{certificates: [{pair}]}}\nbackends: {{'*': {{servers: ['{echo.address}']}}}}\ncanary-time: 0\n"
    proxy = l7(f"{text}drain-timeout: 4s\n", workers=1)
    url = f"wss://localhost:{proxy.port}/"
    with TlsClient(proxy.address) as kept, websocket(url, ssl=trusting(), sock=None) as client:
        kept.send(REQUEST)
        assert kept.read_response().status == 426, "this server wants an upgrade"
        client.send("before")
        assert client.recv(TIMEOUT) == "before"
        old = reload(proxy)
        client.send("after")
        assert client.recv(TIMEOUT) == "after"
        with pytest.raises(ConnectionClosed):
            client.recv(TIMEOUT)
        assert client.close_code == 1001
        assert set(old) <= set(proxy.workers())
        kept.send(REQUEST)
        assert kept.read_response().status == 426
        proxy.wait_for_event("relay.announced")


# --- when they are announced ------------------------------------------------------------------------------------------


def test_relayed_connections_end_with_their_next_answer_when_drain_timeout_is_over(site):
    it = site(more="drain-timeout: 3s\n")
    with it.connect() as client, it.connect() as silent:
        it.answers(client)
        it.answers(silent)
        it.reload(times=2)
        it.proxy.wait_for_event("relay.announced")
        it.ends(client)
        it.proxy.wait_for_event("relay.cut")
        assert silent.read_until_closed() == b""
    it.proxy.wait_for(lambda: not it.workers("relaying"), "the old workers' end")


def test_the_oldest_of_too_many_generations_is_announced(site):
    it = site()
    with ExitStack() as stack:
        kept = []
        for _ in range(9):
            kept.append(stack.enter_context(it.connect()))
            it.answers(kept[-1])
            it.reload()
        it.proxy.wait_for_event("relay.announced", generation=10)
        it.ends(kept[0])
        for client in kept[1:]:
            it.answers(client)


@pytest.mark.parametrize(
    "change",
    [
        "listeners: [{address: '127.0.0.1:0', tls: {min-version: '1.3'}}]",
        "listeners: [{address: '[::1]:0', tls: true}]",
    ],
)
def test_who_could_not_come_in_is_announced_by_the_old_worker(site, change):
    """Where the rules of a listener change, or it goes: the new generation serves none of its connections."""
    plain = "listeners: [{address: '127.0.0.1:0', tls: true}]\n"
    it = site(more=plain, inherit=False)
    with ExitStack() as stack:
        relayed = stack.enter_context(it.connect())
        it.answers(relayed)
        it.reload()
        old, client = it.server, stack.enter_context(it.connect())
        it.answers(client)
        it.more = change + "\n"
        it.reload(wait=False)
        for one in (client, relayed):
            one.send(REQUEST)
            answer = one.read_response()
            assert answer.closes and answer.json["origin"] == [old.port]
            assert one.read_until_closed() == b"" and one.end == "eof"


def test_an_upgrade_announces_them(site):
    it = site()
    with it.connect() as client:
        it.answers(client)
        it.reload()
        it.answers(client)
        pid = upgrade(it.proxy)
        it.ends(client)
    stop_successor(it.proxy, pid)
