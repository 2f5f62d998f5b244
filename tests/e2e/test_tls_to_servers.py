"""TLS to servers: whom l7 believes, what it says where it does not, and everything else as in clear."""

from __future__ import annotations

import hashlib
import itertools
import os
import socket
import ssl
import tempfile
from contextlib import ExitStack
from datetime import datetime, timedelta, timezone

import pytest
import trustme

from l7.tls.self_signed import make
from tests.harness.client import TIMEOUT, Client, get, request
from tests.harness.l7process import STATUS
from tests.harness.lifecycle import reload
from tests.harness.origin import Reply, pattern, pattern_sha256, upgrade_echo
from tests.harness.tls import chain_of, issue
from tests.harness.tls_origin import TlsOrigin, server_context, write_authority, write_chain

VERSIONS = [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3]
NOW = datetime.now(timezone.utc)


@pytest.fixture
def ca(tmp_path) -> str:
    """The file of who signs the certificates of these tests."""
    return write_authority(tmp_path / "ca.pem")


@pytest.fixture
def secure():
    """Starts origins with TLS, by default with a certificate for 127.0.0.1."""
    started = []

    def start(script=None, leaf: trustme.LeafCert | None = None, **options) -> TlsOrigin:
        context = server_context(leaf or issue("127.0.0.1", "localhost"), **options)
        one = TlsOrigin(context) if script is None else TlsOrigin(context, script)
        started.append(one)
        return one

    yield start
    for one in started:
        one.close()
    violations = [violation for one in started for violation in one.violations]
    assert not violations, "\n".join(violations)


def config(*addresses: str, tls: str = "", more: str = "") -> str:
    """A configuration with one backend."""
    servers = ", ".join(f"'{one}'" for one in addresses)
    section = f", tls: {{{tls}}}" if tls else ""
    return f"backends: {{'*': {{servers: [{servers}]{section}{more}}}}}\n"


def by_host(tls: str, **addresses: str) -> str:
    """A configuration with a backend for each of these hosts."""
    backends = ", ".join(f"{host}: {{servers: ['{address}']}}" for host, address in addresses.items())
    return f"defaults: {{tls: {{{tls}}}}}\nbackends: {{{backends}}}\n"


def hello(_request) -> Reply:
    """Answers alike."""
    return Reply(body=b"hello")


# --- requests and answers ---------------------------------------------------------------------------------------------


def test_requests_are_served_on_one_connection(l7, secure, ca):
    old, new = (secure(hello, version=version) for version in VERSIONS)
    proxy = l7(by_host(f"ca: {ca}, server-name: localhost", old=old.https, new=new.https))
    for origin, host, version in ((old, "old", VERSIONS[0]), (new, "new", VERSIONS[1])):
        start = len(proxy.output)
        for _ in range(3):
            answer = get(proxy.address, host=host)
            assert (answer.status, answer.body) == (200, b"hello")
        assert origin.names == ["localhost"]
        assert len(origin.connections) == 1
        told = origin.requests[0].header(b"host")
        assert told == host.encode(), "it is asked for by another name, and told this one"
        assert origin.connections[0].sock.selected_alpn_protocol() is None
        assert origin.connections[0].sock.version() == version.name.replace("_", ".")
        assert f" {origin.https} " in proxy.wait_for_output("GET / HTTP.*", start=start).string


def test_an_ip_address_is_verified_and_not_asked_for(l7, secure, ca):
    origin = secure(hello)
    proxy = l7(config(origin.https, tls=f"ca: {ca}"))
    assert get(proxy.address).status == 200
    assert origin.names == [None]


def test_bodies_both_ways(l7, secure, ca):
    def script(asked):
        assert asked.sha256 == pattern_sha256(size)
        return Reply(body=pattern(size), framing="chunked", trailers=[(b"X-End", b"1")])

    old, new = (secure(script, version=version).https for version in VERSIONS)
    proxy = l7(by_host(f"ca: {ca}", old=old, new=new))
    for host, size, framing in itertools.product((b"old", b"new"), (1, 20_000, 3_000_000), ("length", "chunked")):
        with Client(proxy.address) as client:
            if framing == "length":
                client.send(b"POST / HTTP/1.1\r\nHost: %b\r\nContent-Length: %d\r\n\r\n" % (host, size))
                client.send(pattern(size))
            else:
                client.send(b"POST / HTTP/1.1\r\nHost: %b\r\nTransfer-Encoding: chunked\r\n\r\n" % host)
                client.send(b"%x\r\n%s\r\n" % (len(piece), piece) for piece in pattern(size))
                client.send(b"0\r\n\r\n")
            answer = client.read_response(b"POST")
        assert answer.complete
        assert hashlib.sha256(answer.body).hexdigest() == pattern_sha256(size)


def test_an_answer_with_a_length(l7, secure, ca):
    origin = secure(lambda _: Reply(body=pattern(size)))
    proxy = l7(config(origin.https, tls=f"ca: {ca}"))
    for size in (10, 10, 700_000, 700_000):
        answer = get(proxy.address)
        assert hashlib.sha256(answer.body).hexdigest() == pattern_sha256(size)
    assert len(origin.connections) == 1


def test_a_client_that_waits_for_100_continue(l7, secure, ca):
    def script(asked):
        asked.connection.send(b"HTTP/1.1 100 Continue\r\n\r\n")
        return Reply(body=asked.body)

    proxy = l7(config(secure(script).https, tls=f"ca: {ca}"))
    with Client(proxy.address) as client:
        client.send(b"POST / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n")
        assert client.read_head().status == 100
        client.send(b"hello")
        assert client.read_response(b"POST").body == b"hello"


def test_websocket_messages_of_all_sizes(l7, secure, ca):
    proxy = l7(config(secure(upgrade_echo).https, tls=f"ca: {ca}"))
    with Client(proxy.address) as client:
        client.send(b"GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n")
        assert client.read_head().status == 101
        for size in (1, 16_384, 300_000):
            data = b"".join(pattern(size))
            client.send(data)
            assert client.read_exactly(size) == data
        client.half_close()
        assert client.read_until_closed() == b""
        assert client.end == "eof"


def test_a_client_that_leaves_ends_its_request(l7, secure, ca):
    origin = secure(lambda asked: asked.connection.wait_closed() and None)
    proxy = l7(config(origin.https, tls=f"ca: {ca}"))
    with Client(proxy.address) as client:
        client.send(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        origin.wait_for(1)
    assert origin.connections[0].wait_closed()
    proxy.wait_for_output('"GET / HTTP/1.1" 499 ')


def test_an_answer_that_ends_with_its_connection(l7, secure, ca):
    """It is whole after close_notify, and without it cut short (RFC 9112, 9.8)."""

    def script(asked):
        asked.connection.send(b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n", b"some of it")
        asked.connection.sock.cuts_off = asked.target == b"/cut"
        asked.connection.close()

    proxy = l7(config(secure(script).https, tls=f"ca: {ca}"))
    for target, whole, code in (("/whole", True, "--"), ("/cut", False, "SD")):
        with Client(proxy.address) as client:
            client.send(f"GET {target} HTTP/1.1\r\nHost: a\r\n\r\n".encode())
            answer = client.read_response()
        assert (answer.body, answer.complete) == (b"some of it", whole)
        proxy.wait_for_output(f'"GET {target} HTTP/1.1" 200 .* {code}$')


# --- sessions and pools -----------------------------------------------------------------------------------------------


def test_sessions_are_resumed(l7, secure, ca):
    old, new = (secure(lambda _: Reply(close=True), version=version) for version in VERSIONS)
    proxy = l7(by_host(f"ca: {ca}", old=old.https, new=new.https))
    for host, origin in (("old", old), ("new", new)):
        for _ in range(4):
            assert get(proxy.address, host=host).status == 200
        assert origin.resumed == [False, True, True, True]


def test_connections_are_kept_apart_by_the_host_that_was_asked_for(l7, secure, ca):
    origin = secure(hello, issue("a.test", "b.test", "*.c.test"))
    proxy = l7(config(origin.https, tls=f"ca: {ca}, server-name: '{{host}}'"))
    for host in ("a.test", "b.test:8080", "a.test", "x.c.test", "B.test", "b.test."):
        assert get(proxy.address, host=host).status == 200
    assert origin.names == ["a.test", "b.test", "x.c.test"]
    by_connection = [{one.header(b"host") for one in each.requests} for each in origin.connections]
    assert by_connection == [{b"a.test"}, {b"b.test:8080", b"B.test", b"b.test."}, {b"x.c.test"}]


def test_servers_in_clear_stand_beside_those_asked_for_by_host(l7, secure, ca, origin):
    servers = [secure(hello, issue("a.test")), origin(hello)]
    proxy = l7(config(servers[0].https, servers[1].address, tls=f"ca: {ca}, server-name: '{{host}}'"))
    assert [get(proxy.address, host="a.test").status for _ in range(4)] == [200] * 4
    assert [len(one.requests) for one in servers] == [2, 2]


def test_a_host_that_a_client_has_made_up_ejects_nobody(l7, secure, ca):
    first, second = secure(hello, issue("a.test")), secure(hello, issue("a.test"))
    settings = f"ca: {ca}, server-name: '{{host}}'"
    proxy = l7(config(first.https, second.https, tls=settings), argv=["--control", STATUS])
    for host in ("made.up", "_", "x" * 80 + ".test", "10.0.0.1", "[::1]", "a..b") * 3:
        assert get(proxy.address, host=host).status in (400, 502)
    assert get(proxy.address, host="a.test").status == 200
    proxy.wait_for_event("server.tls", backend="*")
    assert {one["state"] for one in proxy.ask("status")["servers"]} == {"up"}


def test_a_request_without_a_host_is_for_no_server_that_is_verified_by_it(l7, secure, ca):
    origin = secure(hello, issue("a.test"))
    text = config(origin.https, tls=f"ca: {ca}, server-name: '{{host}}'")
    proxy = l7(text, argv=["--control", STATUS])
    for status in (502, 200):
        with Client(proxy.address) as client:
            client.send(b"GET / HTTP/1.0\r\n\r\n")
            assert client.read_response().status == status
        proxy.wait_for_event("TLS failed: there is no name to verify it by$")
        assert {one["state"] for one in proxy.ask("status")["servers"]} == {"up"}
        reload(proxy, text.replace(f"ca: {ca}", "verify: false"))
    assert len(origin.requests) == 1


# --- who is not believed ----------------------------------------------------------------------------------------------


def not_yet() -> trustme.LeafCert:
    """A certificate that is not valid yet."""
    return issue("127.0.0.1", not_before=datetime(2090, 1, 2, tzinfo=timezone.utc), not_after=NOW + timedelta(40_000))


REFUSED = [
    (lambda: issue("other.example", "b.test"), "certificate is for other.example, b.test, not for 127.0.0.1"),
    (lambda: trustme.CA().issue_cert("127.0.0.1"), r"certificate is of an unknown authority \(.*O=trustme.*\)"),
    (not_yet, "certificate is not valid before 2090-01-02T00:00:00Z"),
]


def test_why_a_certificate_is_refused(l7, secure, ca):
    cases = [(secure(hello, leaf(), version=version), why) for version in VERSIONS for leaf, why in REFUSED]
    proxy = l7(by_host(f"ca: {ca}", **{f"h{number}": one.https for number, (one, _) in enumerate(cases)}))
    for number, (origin, why) in enumerate(cases):
        answer = request(proxy.address, "POST", f"/{number}", host=f"h{number}", body=b"x")
        assert answer.status == 502
        assert b"reason: TLS failed\n" in answer.body, "how servers are connected stays inside"
        assert origin.requests == []
        assert proxy.wait_for_output(f'"POST /{number} HTTP/1.1" 502 .* SC$')
        proxy.wait_for_event("server.tls", backend=f"h{number}", server=origin.https)
        proxy.wait_for_event(f"server {origin.https}: TLS failed: {why}$")


def test_a_certificate_that_has_expired(l7, secure, ca):
    day = (NOW - timedelta(3)).replace(hour=0, minute=0, second=0, microsecond=0)
    leaf = issue("127.0.0.1", not_before=day - timedelta(9), not_after=day)
    proxy = l7(config(secure(hello, leaf).https, tls=f"ca: {ca}"), argv=["--control", STATUS])
    assert get(proxy.address).status == 502
    why = f"certificate has expired on {day:%Y-%m-%d}"
    proxy.wait_for_event(f"TLS failed: {why}$")
    (server,) = proxy.ask("status")["servers"]
    assert server["last-error"]["what"] == f"TLS: {why}"


def test_a_self_signed_certificate_is_believed_where_it_is_the_ca(l7, secure, tmp_path, ca):
    cert, key = make(["127.0.0.1"], 9)
    both = tmp_path / "self.pem"
    both.write_bytes(cert + key)
    context = server_context(issue("127.0.0.1"))
    context.load_cert_chain(both)
    origin = secure(hello)
    origin.context = context
    proxy = l7(config(origin.https, tls=f"ca: {ca}"))
    assert get(proxy.address).status == 502
    proxy.wait_for_event("TLS failed: certificate is self-signed$")
    proxy.write_config(config(origin.https, tls=f"ca: {both}"))
    reload(proxy)
    assert get(proxy.address).status == 200


def test_nothing_is_verified_where_that_is_said(l7, secure):
    origin = secure(hello, trustme.CA().issue_cert("other.example"))
    proxy = l7(config(origin.https, tls="verify: false"))
    assert get(proxy.address).status == 200
    assert origin.names == [None]


def test_the_authorities_of_the_system_are_believed(l7, secure, ca):
    origin = secure(hello)
    assert get(l7(config(origin.https), env={"SSL_CERT_FILE": ca}).address).status == 200
    other = l7(config(origin.https))
    assert get(other.address).status == 502
    other.wait_for_event("TLS failed: certificate is of an unknown authority")
    none = l7(config(origin.https), env={"SSL_CERT_FILE": "/none", "SSL_CERT_DIR": "/none"}, ready=None)
    assert none.wait() == 2
    words = "backends.*.tls: no CA certificates are where to look by SSL_CERT_DIR and SSL_CERT_FILE: write ca: FILE"
    assert any(words in line for line in none.events)


def test_a_request_is_sent_to_another_server_where_tls_fails(l7, secure, ca):
    """Nothing of it was sent, so a POST is, too."""
    bad, good = secure(hello, issue("other.example")), secure(lambda asked: Reply(body=asked.body))
    proxy = l7(config(bad.https, good.https, tls=f"ca: {ca}"), argv=["--control", STATUS])
    for _ in range(6):
        answer = request(proxy.address, "POST", body=b"hello")
        assert (answer.status, answer.body) == (200, b"hello")
    why = "TLS: certificate is for another name"
    proxy.wait_for_event("server.ejected", backend="*", server=bad.https)
    (server,) = [one for one in proxy.ask("status")["servers"] if one["server"] == bad.https]
    assert server["last-error"]["what"] == "TLS: certificate is for another address" != why
    assert server["state"] == "ejected"


def test_a_server_that_does_not_speak_tls(l7, ca):
    answers = {"http": b"HTTP/1.1 400 Bad Request\r\n\r\n", "mail": b"220 mail.test ESMTP\r\n", "zeros": b"\0" * 99}
    with ExitStack() as stack:
        listeners = {host: stack.enter_context(socket.create_server(("127.0.0.1", 0))) for host in answers}
        addresses = {host: f"https://127.0.0.1:{one.getsockname()[1]}" for host, one in listeners.items()}
        proxy = l7(by_host(f"ca: {ca}", **addresses))
        for host, answer in answers.items():
            with Client(proxy.address) as client:
                client.send(f"GET / HTTP/1.1\r\nHost: {host}\r\n\r\n".encode())
                sock = listeners[host].accept()[0]
                sock.sendall(answer)
                assert client.read_response().status == 502
                sock.close()
            proxy.wait_for_event(f"server {addresses[host]}: TLS failed: it does not speak TLS at this port$")


def test_a_handshake_that_is_closed_is_tried_again_for_a_while(l7, ca):
    """As a connection that is refused: a server that starts anew has closed what waited for it."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(TIMEOUT)
        proxy = l7(config(f"https://127.0.0.1:{listener.getsockname()[1]}", tls=f"ca: {ca}", more=", retry-for: 3s"))
        with Client(proxy.address) as client:
            client.send(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
            for _ in range(2):
                listener.accept()[0].close()
            listener.close()
            assert client.read_response().status == 502
        proxy.wait_for_event("TLS failed: closed within the TLS handshake$")


def test_the_time_to_connect_is_for_the_handshake_too(l7, ca):
    with socket.create_server(("127.0.0.1", 0)) as listener:
        address = f"https://127.0.0.1:{listener.getsockname()[1]}"
        more = ", timeouts: {connect: 300ms}, retry-for: 0s"
        proxy = l7(config(address, tls=f"ca: {ca}", more=more))
        assert get(proxy.address).status == 504
        proxy.wait_for_output('"GET / HTTP/1.1" 504 .* sC$')
        proxy.wait_for_event(r"TLS handshake timed out: not complete within 0\.[23]")


# --- client certificates ----------------------------------------------------------------------------------------------


def test_a_server_that_wants_a_certificate(l7, secure, ca, tmp_path):
    shown = write_chain(tmp_path / "client.pem", issue("l7.test"))
    old, new = (secure(hello, version=version, requires=True) for version in VERSIONS)
    proxy = l7(by_host(f"ca: {ca}, cert: {shown}", old=old.https, new=new.https))
    for host, origin in (("old", old), ("new", new)):
        assert get(proxy.address, host=host).status == 200
        subject = origin.connections[0].sock.getpeercert()["subjectAltName"]
        assert subject == (("DNS", "l7.test"),)


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("shown", [False, True])
def test_a_server_that_refuses_our_certificate(l7, secure, ca, tmp_path, version, shown):
    cert = write_chain(tmp_path / "client.pem", trustme.CA().issue_cert("l7.test"))
    refusing, good = secure(hello, version=version, requires=True), secure(hello)
    both = config(refusing.https, good.https, tls=f"ca: {ca}" + (f", cert: {cert}" if shown else ""))
    proxy = l7(both, argv=["--control", STATUS])
    assert [get(proxy.address).status for _ in range(4)] == [200] * 4, "tried elsewhere"
    assert refusing.requests == []
    proxy.wait_for_event(r"server.tls .*: (TLS failed|client certificate refused): the peer says: ")
    proxy.write_config(config(refusing.https, tls=f"ca: {ca}" + (f", cert: {cert}" if shown else "")))
    proxy.ask("reload", force=True)
    assert get(proxy.address).status == 502
    proxy.wait_for_output('"GET / HTTP/1.1" 502 .* SC$')


# --- checks, reloads, files -------------------------------------------------------------------------------------------

QUICK = "interval: 50ms, rise: 1, fall: 1"


@pytest.mark.parametrize("path", ["", "path: /healthz, "])
def test_checks_speak_tls(l7, secure, ca, path):
    origin = secure(hello)
    more = f", health: {{{path}{QUICK}}}"
    proxy = l7(config(origin.https, tls=f"ca: {ca}", more=more), argv=["--debug"])
    proxy.wait_for_event(f"server {origin.https} is up$")
    if path:
        assert origin.wait_for(3)[0].header(b"host") == origin.address.encode()
        assert not any(origin.resumed), "a server that resumes is not verified"
    origin.context.load_cert_chain(_file_of(issue("other.example")))
    proxy.wait_for_event(f"server {origin.https} is down: TLS: certificate is for other.example, not for 127.0.0.1")
    assert get(proxy.address).status == 502


def _file_of(leaf: trustme.LeafCert) -> str:
    with tempfile.NamedTemporaryFile(suffix=".pem", delete=False) as file:
        file.write(leaf.private_key_pem.bytes() + chain_of(leaf))
    return file.name


def test_checks_ask_for_a_host_where_requests_do(l7, secure, ca):
    origin = secure(hello, issue("a.test"))
    text = config(origin.https, tls=f"ca: {ca}, server-name: '{{host}}'", more=f", health: {{path: /, {QUICK}}}")
    proxy = l7(text.replace("'*'", "'*.b.test, a.test/x'"), argv=["--debug"])
    proxy.wait_for_event(f"server {origin.https} is up$")
    assert origin.names[0] == "a.test"
    assert origin.wait_for(1)[0].header(b"host") == b"a.test"


def test_a_reload_looks_ahead_with_tls(l7, secure, ca, tmp_path):
    origin = secure(hello)
    proxy = l7(config(origin.https, tls=f"ca: {ca}"), argv=["--control", STATUS])
    assert get(proxy.address).status == 200
    other = tmp_path / "other.pem"
    trustme.CA().cert_pem.write_to_path(str(other))
    proxy.write_config(config(origin.https, tls=f"ca: {other}"))
    answer = proxy.ask("reload")
    assert answer["ok"] is False
    (reason,) = answer["reasons"]
    assert f"{origin.https}: TLS failed: certificate is of an unknown authority" in reason
    assert get(proxy.address).status == 200


def test_a_client_certificate_that_ends_soon(l7, secure, ca, tmp_path):
    leaf = issue("l7.test", not_before=NOW - timedelta(90), not_after=NOW + timedelta(10, 3600))
    cert = write_chain(tmp_path / "client.pem", leaf)
    proxy = l7(config(secure(hello).https, tls=f"ca: {ca}, cert: {cert}"))
    proxy.wait_for_event("certificate.due", days=10)
    proxy.wait_for_event(r"tls: the client certificate of backends\.\* ends on 20..-..-.., in 10 days")


def test_it_is_explained(l7, secure, ca):
    origin = secure(hello)
    proxy = l7(config(origin.https, tls=f"ca: {ca}, server-name: localhost"), argv=["--control", STATUS])
    told = proxy.ask("explain", url="http://a/")
    assert told["servers"] == [origin.https]
    assert told["tls"] == f"verified by localhost and {ca}"


def test_files_are_read_again_by_a_reload(l7, secure, tmp_path):
    ca, other = tmp_path / "ca.pem", trustme.CA()
    other.cert_pem.write_to_path(str(ca))
    origin = secure(hello)
    proxy = l7(config(origin.https, tls=f"ca: {ca}"), argv=["--control", STATUS])
    assert get(proxy.address).status == 502
    write_authority(ca)
    answer = proxy.ask("reload")
    assert answer["ok"]
    assert any(line.startswith("backends.*.tls.ca: other authorities") for line in answer["changes"])
    assert get(proxy.address).status == 200
    ca.write_text("no certificate")
    answer = proxy.ask("reload")
    assert not answer["ok"]
    assert "config.yml:1: backends.*.tls.ca" in answer["reasons"][0]
    assert get(proxy.address).status == 200


@pytest.mark.skipif(os.geteuid() != 0, reason="root alone has files that others cannot read")
def test_files_that_only_root_may_read(l7, secure, ca, tmp_path):
    tmp_path.chmod(0o755)
    shown = tmp_path / "client.pem"
    write_chain(shown, issue("l7.test"))
    shown.chmod(0o600)
    origin = secure(hello, requires=True)
    proxy = l7(config(origin.https, tls=f"ca: {ca}, cert: {shown}"), argv=["--control", STATUS], run_as="nobody")
    assert get(proxy.address).status == 200
    write_chain(shown, issue("again.test"))
    answer = proxy.ask("reload")
    assert answer["ok"], answer
    proxy.wait_for_event("opener.opened", what=shown)
    assert get(proxy.address).status == 200
    assert origin.connections[-1].sock.getpeercert()["subjectAltName"] == (("DNS", "again.test"),)


@pytest.mark.skipif(os.geteuid() != 0, reason="root alone has files that others cannot read")
def test_files_that_flags_name_and_only_root_may_read(l7, secure, ca, tmp_path):
    tmp_path.chmod(0o755)
    shown = tmp_path / "client.pem"
    write_chain(shown, issue("l7.test"))
    shown.chmod(0o600)
    origin = secure(hello, requires=True)
    words = ["--defaults-tls-ca", ca, "--defaults-tls-cert", str(shown), f"*={origin.https}", "--control", STATUS]
    proxy = l7(None, argv=words, run_as="nobody")
    assert get(proxy.address).status == 200
    answer = proxy.ask("reload")
    assert answer["ok"], answer
    assert get(proxy.address).status == 200
