"""TLS towards clients: handshakes, names, tickets, certificates, and everything else as without it."""

from __future__ import annotations

import hashlib
import json
import os
import socket
import ssl
import subprocess
import sys
import tempfile
import threading
import time
import warnings
from datetime import datetime, timedelta, timezone
from pathlib import Path

import pytest
from websockets.sync.client import connect as websocket

from tests.harness.client import TIMEOUT, Client, get
from tests.harness.l7process import STATUS, L7Process
from tests.harness.lifecycle import canary, reload, stop_successor, upgrade
from tests.harness.load import Gate
from tests.harness.origin import Reply
from tests.harness.stage import Stage
from tests.harness.tls import EC, RSA, TlsClient, chain_of, issue, refused, trusting, write_pair
from tests.harness.websocketserver import MAX_MESSAGE, WebSocketServer

CONFIG = "tls: {{certificates: [{certificates}]}}\nbackends: {{'*': {{servers: ['{server}']}}}}\n"
REQUEST = b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n"
VERSIONS = [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3]


@pytest.fixture(scope="module")
def running(spoken, tmp_path_factory):
    """One for the tests that need nothing of their own."""
    pair = write_pair(tmp_path_factory.mktemp("tls"), "localhost", issue("localhost"))

    def config(server: str) -> str:
        return CONFIG.format(certificates=pair, server=server) + "timeouts: {handshake: 1s}\n"

    with Stage(config) as stage:
        yield stage


@pytest.fixture
def pair(tmp_path: Path) -> str:
    """A certificate for localhost."""
    return write_pair(tmp_path, "localhost", issue("localhost"))


@pytest.fixture
def tls(l7, origin, pair):
    """Starts l7 with TLS on its one port."""

    def start(script=None, certificates: str = pair, more: str = "", **options) -> L7Process:
        server = origin(script) if script is not None else origin()
        text = CONFIG.format(certificates=certificates, server=server.address)
        return l7(text + more, **options)

    return start


def served(client: TlsClient) -> str:
    """The first server's answer to a plain request."""
    client.send(REQUEST)
    answer = client.read_response()
    assert answer.status == 200
    return answer.body.decode()


@pytest.mark.parametrize("version", VERSIONS)
def test_requests_are_served(tls, version):
    seen = []
    proxy = tls(lambda request: seen.append(request) or Reply(body=b"hello"), argv=["--access-log-format", "json"])
    with TlsClient(proxy.address, context=trusting(version), protocols=["h2", "http/1.1"]) as client:
        assert client.tls.selected_alpn_protocol() == "http/1.1"
        assert [served(client) for _ in range(3)] == ["hello"] * 3
        cipher = client.tls.cipher()[0]
    fields = dict(seen[0].headers)
    assert fields[b"X-Forwarded-Proto"] == b"https"
    assert fields[b"X-Forwarded-Port"] == b"443", "Host names no port"
    line = json.loads(proxy.wait_for_output(r"\{.*\}").group(0))
    assert line["scheme"] == "https"
    assert line["tls_version"] == version.name[-3:].replace("_", ".")
    assert line["tls_cipher"] == cipher
    assert (line["tls_sni"], line["tls_resumed"]) == ("localhost", False)


@pytest.mark.parametrize("version", VERSIONS)
def test_sessions_are_resumed_by_any_worker_and_after_a_reload(tls, version):
    proxy = tls(workers=2)
    context = trusting(version)
    with TlsClient(proxy.address, context=context) as client:
        served(client)
        session = client.tls.session
    for again in range(8):
        if again == 4:
            reload(proxy)
        with TlsClient(proxy.address, context=context, session=session) as client:
            assert client.tls.session_reused, again
            served(client)
            session = client.tls.session


def test_a_session_outlives_a_reload_that_is_undone(tls):
    proxy = tls(leaks=False)
    context = trusting()
    with TlsClient(proxy.address, context=context) as client:
        served(client)
        session = client.tls.session
    text = proxy.config_path.read_text()
    proxy.write_config(text.replace("tls: {", "tls: {min-version: '1.3', ") + "canary-time: 20s\n")
    proxy.hup()
    canary(proxy).kill()
    proxy.wait_for_event("reload.undone")
    reload(proxy, f"{text}canary-time: 0s\n")
    with TlsClient(proxy.address, context=context, session=session) as client:
        assert client.tls.session_reused
        served(client)


def test_names_choose_the_certificate(tls, tmp_path):
    pairs = [
        write_pair(tmp_path, "first", issue("first.test", "also.test")),
        write_pair(tmp_path, "wild", issue("*.wild.test")),
        write_pair(tmp_path, "exact", issue("exact.wild.test")),
    ]
    proxy = tls(certificates=", ".join(pairs))
    context = trusting()
    context.check_hostname = False
    for name, shown in (
        ("first.test", "first.test"),
        ("ALSO.test", "first.test"),
        ("a.wild.test", "*.wild.test"),
        ("exact.wild.test", "exact.wild.test"),
        ("b.a.wild.test", "first.test"),
        ("wild.test", "first.test"),
        ("unknown.test", "first.test"),
        (None, "first.test"),
    ):
        with TlsClient(proxy.address, name=name, context=context) as client:
            assert shown in client.names, name


def test_two_kinds_of_keys_of_one_name_stand_side_by_side(tls, tmp_path):
    pairs = [write_pair(tmp_path, str(key), issue("localhost", key=key)) for key in (EC, RSA)]
    proxy = tls(certificates=", ".join(pairs))
    for suite, kind in (("ECDHE-ECDSA-AES128-GCM-SHA256", "ECDSA"), ("ECDHE-RSA-AES128-GCM-SHA256", "RSA")):
        context = trusting(ssl.TLSVersion.TLSv1_2)
        context.set_ciphers(suite)
        with TlsClient(proxy.address, context=context) as client:
            assert kind in client.tls.cipher()[0]
            served(client)


def test_weak_clients_are_refused_and_counted(tls, tmp_path):
    proxy = tls(argv=["--admin", f"unix:{tmp_path}/admin.sock"])
    weak = trusting(ssl.TLSVersion.TLSv1_2)
    weak.set_ciphers("ECDHE-ECDSA-AES128-SHA256")
    with pytest.raises(ssl.SSLError, match="HANDSHAKE_FAILURE"):
        TlsClient(proxy.address, context=weak)
    old = trusting()
    old.set_ciphers("ALL:@SECLEVEL=0")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        old.minimum_version = old.maximum_version = ssl.TLSVersion.TLSv1_1
    with pytest.raises(ssl.SSLError):
        TlsClient(proxy.address, context=old)
    distrusting = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    with pytest.raises(ssl.SSLCertVerificationError):
        TlsClient(proxy.address, context=distrusting)
    with TlsClient(proxy.address) as client:
        served(client)

    def figures() -> str:
        return get(f"{tmp_path}/admin.sock", "/metrics").body.decode()

    for line in (
        'l7_tls_handshake_failures_total{reason="no_shared_cipher"} 1',
        'l7_tls_handshake_failures_total{reason="unsupported_protocol"} 1',
        'l7_tls_handshake_failures_total{reason="certificate_rejected"} 1',
        'l7_tls_handshakes_total{version="1.3",resumed="false"} 1',
        'l7_tls_certificate_not_after_seconds{names="localhost"}',
    ):
        proxy.wait_for(lambda line=line: line in figures(), line)
    assert "Traceback" not in "\n".join(proxy.events)


def test_the_lowest_version_is_a_setting(tls):
    proxy = tls(argv=["--tls-min-version", "1.3"])
    with pytest.raises(ssl.SSLError):
        TlsClient(proxy.address, context=trusting(ssl.TLSVersion.TLSv1_2))
    with TlsClient(proxy.address) as client:
        served(client)


def test_plain_http_gets_its_answer_in_plain(play):
    proxy = play.proxy
    answer = get(proxy.address)
    assert answer.status == 400 and answer.closes
    assert b"speaks TLS" in answer.body and b"https://" in answer.body
    play.wait_for_log(r'"GET / HTTP/1\.1" 400 ')


@pytest.mark.parametrize("data", [b"\r\n\r\n\0", b"\x80\x2e\1\3\1\0\x15", b"\x16\3\1\0\5hello", b"\0" * 100, b"\x16"])
def test_what_is_no_handshake_is_closed(play, data):
    proxy = play.proxy
    got = refused(proxy.address, data)
    assert not got or got[0] == 21, "an alert, or nothing"
    assert "Traceback" not in "\n".join(proxy.events)
    with TlsClient(proxy.address) as client:
        served(client)


def test_a_handshake_has_a_deadline(play):
    proxy = play.proxy
    begun = time.monotonic()
    with socket.create_connection(proxy.address, 10) as sock:
        sock.sendall(b"\x16\3\1\1\0\1")
        assert sock.recv(1) == b""
    assert time.monotonic() - begun < 5


def test_a_client_of_http2_alone_is_told(play):
    proxy = play.proxy
    with TlsClient(proxy.address) as client:
        client.send(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")
        assert client.read_response().status == 505


def test_a_name_that_is_not_ascii_leaves_no_traceback(play):
    proxy = play.proxy
    hello = _hello().replace(b"localhost", b"l\xff\xfealhost"[:9].ljust(9, b"x"))
    refused(proxy.address, hello)
    with TlsClient(proxy.address) as client:
        served(client)
    assert not [line for line in proxy.events if "Traceback" in line or "Exception" in line]


def _hello() -> bytes:
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    tls = trusting().wrap_bio(incoming, outgoing, server_hostname="localhost")
    with pytest.raises(ssl.SSLWantReadError):
        tls.do_handshake()
    return outgoing.read()


def test_a_handshake_may_come_in_pieces(tls):
    proxy = tls()
    for cut in (1, 3, 100):
        pieces(proxy, cut)


def pieces(proxy: L7Process, cut: int) -> None:
    with socket.create_connection(proxy.address, 10) as sock:
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        hello = _hello()
        for place in range(0, len(hello), cut):
            sock.sendall(hello[place : place + cut])
        assert sock.recv(3) == b"\x16\3\3"


def test_large_bodies_go_both_ways(play):
    data = os.urandom(3_000_000)
    digest = hashlib.sha256(data).hexdigest().encode()
    play(lambda request: Reply(body=request.sha256.encode()) if request.method == b"POST" else Reply(body=data))
    with TlsClient(play.proxy.address) as client:
        client.send(REQUEST)
        assert client.read_response().body == data
        client.send(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n" % len(data) + data)
        assert client.read_response().body == digest
        client.send(b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n")
        client.send(b"%x\r\n" % len(data) + data + b"\r\n0\r\n\r\n")
        assert client.read_response().body == digest


def test_an_answer_that_ends_with_its_connection_ends_with_close_notify(play):
    play(lambda _: Reply(body=b"all of it", framing="close"))
    with TlsClient(play.proxy.address) as client:
        client.send(b"GET / HTTP/1.0\r\n\r\n")
        assert client.read_until_closed().endswith(b"all of it")
        assert client.end == "eof", "and was not cut"


def test_a_connection_that_the_client_wants_closed_ends_with_close_notify(tls):
    proxy = tls(more="timeouts: {idle: 200ms}\n")
    with TlsClient(proxy.address) as client:
        client.send(b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
        assert client.read_response().status == 200
        assert client.read_until_closed() == b"" and client.end == "eof"
    with TlsClient(proxy.address) as client:  # and so does one that was idle for too long
        served(client)
        assert client.read_until_closed() == b"" and client.end == "eof"


def test_an_answer_that_is_cut_short_is_cut_off(play):
    play(lambda _: Reply(headers=[(b"Content-Length", b"100")], body=b"half", framing="none", close=True))
    with TlsClient(play.proxy.address) as client:
        client.send(REQUEST)
        assert not client.read_response().complete
        assert client.end == "reset", "no close_notify"


def test_a_stop_finishes_requests_and_ends_with_close_notify(tls):
    gate = Gate()
    proxy = tls(gate)
    with TlsClient(proxy.address) as client, TlsClient(proxy.address) as idle:
        client.send(REQUEST)
        assert gate.entered.acquire(timeout=10)
        with socket.create_connection(proxy.address, 10) as half:
            half.sendall(b"\x16\3\1")
            proxy.term()
            gate.opened.set()
            assert client.read_response().body == b"late"
            assert idle.read_until_closed() == b""
    assert proxy.wait() == 0


# --- certificates ---------------------------------------------------------------------------------------------------


def test_a_renewed_certificate_is_shown_after_a_reload(tls, tmp_path):
    proxy = tls()
    with TlsClient(proxy.address) as client:
        before = client.certificate["serialNumber"]
    write_pair(tmp_path, "localhost", issue("localhost"))
    reload(proxy)
    proxy.wait_for_event("reload: tls: certificate of localhost: new, valid until")
    with TlsClient(proxy.address) as client:
        assert client.certificate["serialNumber"] != before


def test_a_reload_with_a_broken_certificate_is_refused(tls, tmp_path):
    proxy = tls()
    issue("localhost").private_key_pem.write_to_path(str(tmp_path / "localhost.key"))
    proxy.hup()
    proxy.wait_for_event("the private key does not fit the certificate")
    proxy.wait_for_event("reload.refused", generation=1)
    with TlsClient(proxy.address) as client:
        served(client)


def test_status_tells_of_certificates(tls):
    proxy = tls(argv=["--control", STATUS])
    (one,) = proxy.status()["certificates"]
    assert one["names"] == ["localhost"] and one["issuer"] and one["not_after"].endswith("Z") and one["days_left"] > 0


def test_a_certificate_whose_time_is_up_is_warned_of(tls, tmp_path):
    now = datetime.now(timezone.utc)
    leaf = issue("localhost", not_before=now - timedelta(days=80), not_after=now + timedelta(days=9, hours=1))
    proxy = tls(certificates=write_pair(tmp_path, "old", leaf))
    proxy.wait_for_event(r"certificate\.due .*days=9.*the certificate of localhost ends on .*, in 9 days")


def test_listeners_come_one_by_one_and_a_port_changes_to_tls(l7, origin, pair):
    text = f"backends: {{'*': {{servers: ['{origin().address}']}}}}\n"
    proxy = l7(f"listeners: ['127.0.0.1:0']\n{text}", inherit=False)
    with Client(proxy.address) as plain:
        plain.send(REQUEST)
        assert plain.read_response().status == 200
        reload(proxy, f"listeners: [{{address: '127.0.0.1:0', tls: true}}]\ntls: {{certificates: [{pair}]}}\n{text}")
        with TlsClient(proxy.address) as client:
            assert client.names == {"localhost"}
            served(client)
        plain.send(REQUEST)
        assert plain.read_response().status == 200, "it lives on"


def test_a_listener_without_certificates_is_refused(l7, tmp_path):
    (tmp_path / "config.yml").write_text(
        "listeners: [{address: '127.0.0.1:0', tls: true}]\nbackends: {a: {servers: [b]}}\n"
    )
    done = _check(tmp_path)
    assert done.returncode == 2
    assert "config.yml:1: listeners[0].tls: there are no certificates" in done.stderr


def _check(directory: Path, *words: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "l7", "check", "-c", "config.yml", *words]
    env = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    return subprocess.run(command, cwd=directory, capture_output=True, text=True, timeout=60, check=False, env=env)


def test_the_certificate_is_renewed_where_only_root_may_read_it(l7, origin, tmp_path):
    """As certbot does: a new file behind a link, in directories that only root may enter."""
    if os.geteuid() != 0:
        pytest.skip("needs root")
    with tempfile.TemporaryDirectory(dir="/root", prefix="l7-test-") as name:
        live, archive = Path(name, "live"), Path(name, "archive")
        for directory in (live, archive):
            directory.mkdir(mode=0o700)
        for number in (1, 2):
            leaf = issue("localhost")
            (archive / f"fullchain{number}.pem").write_bytes(chain_of(leaf))
            leaf.private_key_pem.write_to_path(str(archive / f"privkey{number}.pem"))
            (archive / f"privkey{number}.pem").chmod(0o600)
        for one in ("fullchain", "privkey"):
            (live / f"{one}.pem").symlink_to(f"../archive/{one}1.pem")
        config = Path(name, "config.yml")
        config.write_text(
            f"tls: {{certificates: [{{cert: {live}/fullchain.pem, key: {live}/privkey.pem}}]}}\n"
            f"backends: {{'*': {{servers: ['{origin().address}']}}}}\n"
        )
        os.chmod(tmp_path, 0o755)
        proxy = l7(None, argv=["--config", str(config)], run_as="nobody")
        with TlsClient(proxy.address) as client:
            before = client.certificate["serialNumber"]
        for one in ("fullchain", "privkey"):
            (live / f"{one}.pem").unlink()
            (live / f"{one}.pem").symlink_to(f"../archive/{one}2.pem")
        reload(proxy)
        with TlsClient(proxy.address) as client:
            assert client.certificate["serialNumber"] != before


# --- what passes as without TLS ---------------------------------------------------------------------------------------


def test_websocket_messages(l7, pair):
    server = WebSocketServer()
    try:
        proxy = l7(CONFIG.format(certificates=pair, server=server.address))
        url = f"wss://127.0.0.1:{proxy.port}/chat"
        for size in (0, 125, 70_000, 4 << 20):
            data = os.urandom(size)
            with websocket(url, ssl=trusting(), server_hostname="localhost", max_size=MAX_MESSAGE) as connection:
                connection.send(data)
                assert connection.recv(TIMEOUT) == data
                connection.send("text")
                assert connection.recv(TIMEOUT) == "text"
    finally:
        server.close()


def test_pieces_of_an_answer_pass_at_once(play):
    gates = [threading.Event() for _ in range(3)]

    def events():
        for number, gate in enumerate(gates):
            yield b"data: %d\n\n" % number
            gate.wait(TIMEOUT)

    play(lambda _: Reply(headers=[(b"Content-Type", b"text/event-stream")], body=events(), framing="chunked"))
    with TlsClient(play.proxy.address) as client:
        client.send(REQUEST)
        client.read_head()
        for number, gate in enumerate(gates):
            assert client.read_exactly(len(b"9\r\ndata: 0\n\n\r\n")) == b"9\r\ndata: %d\n\n\r\n" % number
            gate.set()


def test_pipelined_requests_in_one_record_are_answered_in_order(play):
    play(lambda request: Reply(body=request.target))
    with TlsClient(play.proxy.address) as client:
        client.send(b"".join(b"GET /%d HTTP/1.1\r\nHost: a\r\n\r\n" % number for number in range(20)))
        assert [client.read_response().body for _ in range(20)] == [b"/%d" % number for number in range(20)]


def test_a_slow_reader_gets_all_of_a_large_answer(tls):
    data = os.urandom(8 << 20)
    proxy = tls(lambda _: Reply(body=data), send_buffer=8192)
    with TlsClient(proxy.address) as client:
        client.send(REQUEST)
        time.sleep(0.5)  # it does not read meanwhile
        assert client.read_response().body == data


SHORT_DAYS = """
import sys
from l7 import __main__
from l7.tls import contexts
contexts.SESSION_LIFE = 3.0
__main__.main()
"""


def test_the_keys_of_tickets_are_others_each_day_and_the_same_in_all_workers(tls):
    """With days of three seconds; a turn within an attempt is another attempt."""
    proxy = tls(argv=["--workers", "2"], program=[sys.executable, "-c", SHORT_DAYS])

    def connect(session: ssl.SSLSession | None = None) -> tuple[bool, ssl.SSLSession]:
        with TlsClient(proxy.address, context=context, session=session) as client:
            served(client)
            return client.tls.session_reused, client.tls.session

    def good_with_all() -> ssl.SSLSession:
        for _ in range(20):
            _, session = connect()
            if all(connect(session)[0] for _ in range(5)):
                return session
        raise AssertionError("the workers do not agree")

    def wait_for_the_end_of(session: ssl.SSLSession) -> None:
        proxy.wait_for(lambda: not connect(session)[0], "the end of a day")

    context = trusting(ssl.TLSVersion.TLSv1_2)
    wait_for_the_end_of(good_with_all())
    reload(proxy)
    wait_for_the_end_of(good_with_all())


def test_an_upgrade_serves_on_with_new_keys_of_tickets(tls):
    proxy = tls()
    pid = upgrade(proxy)
    with TlsClient(proxy.address) as client:
        served(client)
    stop_successor(proxy, pid)
