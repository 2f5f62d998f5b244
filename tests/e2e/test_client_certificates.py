"""Certificates of clients: who gets in, what servers are told of them, and that nobody else can say it."""

from __future__ import annotations

import hashlib
import itertools
import os
import ssl
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from datetime import datetime, timedelta, timezone
from pathlib import Path

import pytest
import trustme
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)
from cryptography.x509.name import _ASN1Type
from cryptography.x509.oid import ExtensionOID, NameOID

from tests.harness.client import Client, get
from tests.harness.l7process import L7Process
from tests.harness.lifecycle import reload
from tests.harness.origin import Origin, Reply
from tests.harness.tls import TlsClient, issue, trusting, write_pair

VERSIONS = [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3]
REQUEST = b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n"
LIE = (
    b"GET / HTTP/1.1\r\nHost: localhost\r\nX-Client-Cert-Verified: ok\r\nX-Client-Cert-Subject: CN=root\r\n"
    b"X_Client_Cert_Verified: ok\r\nx-client_cert-fingerprint: 00\r\nX-Client-Cert-Fingerprint: 00\r\n"
    b"X-Client-Cert: kept\r\nConnection: x-client-cert-verified\r\n\r\n"
)
PREFIX = b"x-client-cert-"


@pytest.fixture
def clients() -> trustme.CA:
    """Who signs the certificates of clients."""
    return trustme.CA()


def certificate(ca: trustme.CA, name: str = "alice", **options) -> trustme.LeafCert:
    """A client's certificate."""
    return ca.issue_cert(f"{name}.test", common_name=name, organization_name="A, Inc.", **options)


def showing(leaf: trustme.LeafCert | None, version: ssl.TLSVersion | None = None) -> ssl.SSLContext:
    """The context of a client with this certificate."""
    context = trusting(version)
    if leaf is not None:
        leaf.configure_cert(context)
    return context


def told(request) -> dict[bytes, bytes]:
    """What a request says of its client's certificate."""
    found = [(name.lower().replace(b"_", b"-"), value) for name, value in request.headers]
    fields = [(name.removeprefix(PREFIX), value) for name, value in found if name.startswith(PREFIX)]
    assert len(dict(fields)) == len(fields), "each once"
    return dict(fields)


class Site:
    """An l7 with TLS, and what its server has seen."""

    def __init__(self, l7, origin, directory: Path, clients: trustme.CA) -> None:
        self.seen: list = []
        self.ca = directory / "clients.pem"
        self.ca.write_bytes(clients.cert_pem.bytes())
        self._server = origin(lambda request: self.seen.append(request) or Reply(body=b"ok"))
        self._pair = write_pair(directory, "localhost", issue("localhost", "other.test"))
        self._l7 = l7

    def text(self, own: str, more: str = "") -> str:
        """The configuration: ``own`` is what the listener sets, ``more`` follows."""
        return (
            f"listeners: [{{address: '127.0.0.1:0', tls: {own}}}]\ntls: {{certificates: [{self._pair}]}}\n"
            f"backends: {{'*': {{servers: ['{self._server.address}']}}}}\n{more}"
        )

    def asking(self, how: str = "require") -> str:
        """What the listener sets to ask for certificates."""
        return f"{{client-auth: {how}, client-ca: {self.ca}}}"

    def start(self, own: str | None = None, more: str = "", **options):
        """Start it."""
        return self._l7(self.text(self.asking() if own is None else own, more), **options)

    def ask(self, proxy, context: ssl.SSLContext, request: bytes = REQUEST, **options) -> dict[bytes, bytes]:
        """Send a request on a new connection; returns what the server was told of the certificate."""
        with TlsClient(proxy.address, context=context, **options) as client:
            client.send(request)
            assert client.read_response().status == 200
        return told(self.seen[-1])


@pytest.fixture
def site(l7, origin, tmp_path, clients) -> Site:
    return Site(l7, origin, tmp_path, clients)


@pytest.fixture(scope="module")
def running(tmp_path_factory) -> Iterator[tuple[Site, L7Process, trustme.CA]]:
    """One that requires certificates of an authority, for the tests that only ask it."""
    authority = trustme.CA()
    with ExitStack() as stack:
        origins: list[Origin] = []

        def origin(handler) -> Origin:
            origins.append(stack.enter_context(Origin(handler)))
            return origins[-1]

        site = Site(None, origin, tmp_path_factory.mktemp("site"), authority)
        yield site, stack.enter_context(L7Process(site.text(site.asking()))), authority
        assert not [violation for one in origins for violation in one.violations]


@pytest.fixture
def requiring(running) -> tuple[Site, L7Process, trustme.CA]:
    """One test's share of it: the site, the proxy, and who signs the certificates of its clients."""
    running[0].seen.clear()
    return running


@pytest.fixture
def connect_tls() -> Iterator[Callable[..., TlsClient]]:
    """Open connections that are closed when the test ends."""
    with ExitStack() as stack:
        yield lambda *args, **options: stack.enter_context(TlsClient(*args, **options))


def shut_out(proxy, context: ssl.SSLContext, **options) -> None:
    """See that no request of this client is served: in TLS 1.3 it learns so when it first reads."""
    try:
        client = TlsClient(proxy.address, context=context, **options)
    except OSError:
        return
    with client:
        with suppress(OSError):
            client.send(REQUEST)
        assert client.read_until_closed() == b""


def test_servers_are_told_who_the_client_is(requiring):
    site, proxy, clients = requiring
    leaf = certificate(clients)
    der = ssl.PEM_cert_to_DER_cert(leaf.cert_chain_pems[0].bytes().decode())
    expected = hashlib.sha256(der).hexdigest().encode()
    for version, request in itertools.product(VERSIONS, (REQUEST, LIE)):
        fields = site.ask(proxy, showing(leaf, version), request)
        assert fields[b"verified"] == b"ok" and fields[b"fingerprint"] == expected
        assert fields[b"subject"].startswith(b"CN=alice,OU=Testing cert ") and rb",O=A\, Inc." in fields[b"subject"]
        assert ((b"X-Client-Cert", b"kept") in site.seen[-1].headers) is (request is LIE)


def test_what_a_resumed_session_says_is_the_same(site, clients):
    proxy = site.start(argv=["--workers", "2"])
    for version in VERSIONS:
        context = showing(certificate(clients), version)
        with TlsClient(proxy.address, context=context) as client:
            client.send(REQUEST)
            client.read_response()
            session = client.tls.session
        first = told(site.seen[-1])
        for _ in range(4):
            with TlsClient(proxy.address, context=context, session=session) as client:
                assert client.tls.session_reused
                client.send(REQUEST)
                client.read_response()
                assert told(site.seen[-1]) == first


BITS = x509.NameAttribute(NameOID.X500_UNIQUE_IDENTIFIER, b"\1\2", _ASN1Type.BitString)
NO_NAME = x509.UnrecognizedExtension(ExtensionOID.SUBJECT_ALTERNATIVE_NAME, b"\x30\x04\x82\x02\xff\xfe")


def write_strange(path: Path, ca: trustme.CA, *, bits: bool) -> Path:
    """Write a certificate with a subject of bits, or with a name of no character set, and its key."""
    key, now = ec.generate_private_key(ec.SECP256R1()), datetime.now(timezone.utc)
    builder = (
        x509.CertificateBuilder()
        .subject_name(x509.Name([BITS] if bits else []))
        .issuer_name(x509.load_pem_x509_certificate(ca.cert_pem.bytes()).subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
    )
    if not bits:
        builder = builder.add_extension(NO_NAME, critical=False)
    signed = builder.sign(load_pem_private_key(ca.private_key_pem.bytes(), None), SHA256())
    written = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    path.write_bytes(signed.public_bytes(Encoding.PEM) + written)
    return path


def test_a_certificate_that_cannot_be_told_is_known_by_its_fingerprint(requiring, tmp_path):
    site, proxy, clients = requiring
    for version, bits in itertools.product(VERSIONS, (True, False)):
        context = trusting(version)
        context.load_cert_chain(write_strange(tmp_path / "strange.pem", clients, bits=bits))
        with TlsClient(proxy.address, context=context) as client:
            client.send(REQUEST)
            assert client.read_response().status == 200
            session = client.tls.session
        first = told(site.seen[-1])
        assert set(first) == {b"verified", b"fingerprint"}
        if bits:
            assert site.ask(proxy, context, session=session) == first
        else:
            shut_out(proxy, context, session=session)


def test_a_client_without_one_is_none_where_it_is_only_requested(site, clients):
    proxy = site.start(site.asking("request"))
    assert site.ask(proxy, showing(None), LIE) == {b"verified": b"none"}
    assert site.ask(proxy, showing(certificate(clients)), LIE)[b"verified"] == b"ok"
    shut_out(proxy, showing(certificate(trustme.CA())))


def test_nobody_else_says_it_on_any_listener(site, l7, tmp_path):
    proxy = site.start("true", "trusted-proxies: [127.0.0.0/8]\n")
    assert site.ask(proxy, showing(None), LIE) == {}
    plain = l7(site.text("false"), inherit=False)
    with Client(plain.address) as client:
        client.send(LIE)
        assert client.read_response().status == 200
        client.send(LIE.replace(b"GET", b"POST").replace(b"\r\n\r\n", b"\r\nTransfer-Encoding: chunked\r\n\r\n"))
        client.send(b"1\r\na\r\n0\r\nX-Client-Cert-Verified: ok\r\n\r\n")
        assert client.read_response().status == 200
    assert [told(request) for request in site.seen[-2:]] == [{}, {}]


def test_a_trusted_proxy_cannot_say_it_either(site, clients):
    proxy = site.start(site.asking("request"), "trusted-proxies: [127.0.0.0/8]\n")
    request = LIE.replace(b"X-Client-Cert: kept", b"X-Forwarded-For: 192.0.2.1")
    assert site.ask(proxy, showing(None), request) == {b"verified": b"none"}
    assert dict(site.seen[-1].headers)[b"X-Forwarded-For"].startswith(b"192.0.2.1")


def test_who_is_not_let_in_is_counted_with_the_reason(site, clients, tmp_path):
    proxy = site.start(argv=["--admin", f"unix:{tmp_path}/admin.sock"])
    now = datetime.now(timezone.utc)
    old = certificate(clients, not_before=now - timedelta(days=3), not_after=now - timedelta(days=1))
    for leaf, version in itertools.product((None, certificate(trustme.CA()), old), VERSIONS):
        shut_out(proxy, showing(leaf, version))
    for reason in ("client_certificate_missing", "client_certificate_unknown_ca", "client_certificate_expired"):
        line = f'l7_tls_handshake_failures_total{{reason="{reason}"}} 2'
        proxy.wait_for(lambda line=line: line in get(f"{tmp_path}/admin.sock", "/metrics").body.decode(), line)
    assert site.seen == [] and "Traceback" not in "\n".join(proxy.events)
    for version in VERSIONS:
        assert site.ask(proxy, showing(certificate(clients), version))[b"verified"] == b"ok"


def test_a_certificate_of_an_intermediate_authority(requiring):
    site, proxy, clients = requiring
    assert site.ask(proxy, showing(certificate(clients.create_child_ca())))[b"verified"] == b"ok"


def test_the_general_section_is_for_listeners_that_say_nothing_else(site, l7, clients, origin):
    text = site.text("true").replace(
        "listeners: [", "listeners: [{address: '127.0.0.2:0', tls: {client-auth: off}}, "
    ).replace("tls: {certificates", f"tls: {{client-auth: require, client-ca: {site.ca}, certificates")  # fmt: skip
    proxy = l7(text, inherit=False)
    with TlsClient(("127.0.0.1", proxy.ports()[1])) as client:
        with suppress(OSError):
            client.send(REQUEST)
        assert client.read_until_closed() == b""
    with TlsClient(("127.0.0.2", proxy.ports()[0])) as client:
        client.send(REQUEST)
        assert client.read_response().status == 200
    assert told(site.seen[-1]) == {}


# --- 421 ----------------------------------------------------------------------------------------------------------


def test_another_host_than_tls_was_begun_for_is_misdirected(requiring):
    site, proxy, clients = requiring
    with TlsClient(proxy.address, context=showing(certificate(clients))) as client:
        for host, status in ((b"other.test", 421), (b"LocalHost.:8443", 200), (b"a", 421), (b"localhost", 200)):
            client.send(b"GET / HTTP/1.1\r\nHost: %b\r\n\r\n" % host)
            assert client.read_response().status == status
        client.send(b"POST / HTTP/1.1\r\nHost: other.test\r\nContent-Length: 3\r\n\r\nabc")
        answer = client.read_response()
        assert answer.status == 421 and b"TLS was begun for localhost" in answer.body
        client.send(b"GET / HTTP/1.0\r\n\r\n")
        assert client.read_response().status == 200, "it names no other"
    assert len(site.seen) == 3
    proxy.wait_for_output(r'"GET / HTTP/1\.1" 421 ')


def test_a_client_that_names_no_host_in_tls_may_ask_for_any(requiring):
    site, proxy, clients = requiring
    context = showing(certificate(clients))
    context.check_hostname = False
    assert site.ask(proxy, context, REQUEST.replace(b"localhost", b"other.test"), name=None)[b"verified"] == b"ok"


def test_elsewhere_host_and_sni_may_differ(site):
    proxy = site.start("true")
    assert site.ask(proxy, showing(None), REQUEST.replace(b"localhost", b"other.test")) == {}


# --- reloads ------------------------------------------------------------------------------------------------------


def test_an_old_ticket_does_not_let_in_who_is_shut_out(site, clients):
    proxy = site.start("true")
    nobodies = [showing(None, version) for version in VERSIONS]
    somebodies = [showing(certificate(clients), version) for version in VERSIONS]

    def session(context: ssl.SSLContext) -> ssl.SSLSession:
        with TlsClient(proxy.address, context=context) as client:
            client.send(REQUEST)
            client.read_response()
            return client.tls.session

    before = [session(nobody) for nobody in nobodies]
    for nobody, old in zip(nobodies, before, strict=True):
        with TlsClient(proxy.address, context=nobody, session=old) as client:
            assert client.tls.session_reused
    reload(proxy, site.text(site.asking()))
    for nobody, old in zip(nobodies, before, strict=True):
        shut_out(proxy, nobody, session=old)

    known = [session(somebody) for somebody in somebodies]
    site.ca.write_bytes(trustme.CA().cert_pem.bytes())  # the same file, with others in it
    reload(proxy)
    for somebody, old in zip(somebodies, known, strict=True):
        shut_out(proxy, somebody, session=old)
    reload(proxy, site.text(site.asking("request")))
    for nobody in nobodies:
        assert site.ask(proxy, nobody) == {b"verified": b"none"}
    site.ca.write_bytes(clients.cert_pem.bytes())
    reload(proxy)
    for somebody in somebodies:
        assert site.ask(proxy, somebody)[b"verified"] == b"ok"


def test_a_ticket_does_not_outlive_the_certificate(site, clients, tmp_path):
    proxy = site.start(argv=["--admin", f"unix:{tmp_path}/admin.sock"])
    end = datetime.now(timezone.utc).replace(microsecond=0) + timedelta(seconds=6)
    sessions = {}
    for version in VERSIONS:
        context = showing(certificate(clients, not_after=end), version)
        with TlsClient(proxy.address, context=context) as client:
            client.send(REQUEST)
            assert client.read_response().status == 200
            sessions[context] = client.tls.session
    proxy.wait_for(lambda: datetime.now(timezone.utc) > end + timedelta(seconds=1), "the end of the certificate")
    for context, session in sessions.items():
        shut_out(proxy, context, session=session)
    assert len(site.seen) == 2
    line = 'l7_tls_handshake_failures_total{reason="client_certificate_expired"} 2'
    proxy.wait_for(lambda: line in get(f"{tmp_path}/admin.sock", "/metrics").body.decode(), line)
    assert site.ask(proxy, showing(certificate(clients)))[b"verified"] == b"ok"


def test_a_session_lives_on_over_a_reload_that_changes_nothing(site, clients):
    proxy = site.start()
    context = showing(certificate(clients))
    with TlsClient(proxy.address, context=context) as client:
        client.send(REQUEST)
        client.read_response()
        session = client.tls.session
    reload(proxy)
    with TlsClient(proxy.address, context=context, session=session) as client:
        assert client.tls.session_reused


def test_a_connection_from_before_ends_with_its_next_answer(site, clients):
    proxy = site.start("true")
    with TlsClient(proxy.address) as client:
        client.send(REQUEST)
        client.read_response()
        reload(proxy, site.text(site.asking()))
        client.send(REQUEST)
        assert client.read_response().closes


def test_a_connection_lives_on_with_what_its_client_has_shown(site, clients, connect_tls):
    proxy = site.start()
    kept = [connect_tls(proxy.address, context=showing(certificate(clients), version)) for version in VERSIONS]
    first = []
    for client in kept:
        client.send(LIE)
        client.read_response()
        first.append(told(site.seen[-1]))
    for _ in range(2):
        reload(proxy)
        for client, before in zip(kept, first, strict=True):
            client.send(LIE)
            answer = client.read_response()
            assert answer.status == 200 and not answer.closes
            assert told(site.seen[-1]) == before and before[b"verified"] == b"ok"
            client.send(REQUEST.replace(b"localhost", b"other.test"))
            assert client.read_response().status == 421
    site.ca.write_bytes(clients.cert_pem.bytes() + trustme.CA().cert_pem.bytes())
    reload(proxy)
    for client in kept:
        client.send(REQUEST)
        assert client.read_response().closes, "it has to show its certificate again"


def test_a_reload_with_broken_authorities_is_refused(site, clients):
    proxy = site.start()
    site.ca.write_text("nothing")
    proxy.hup()
    proxy.wait_for_event(r"listeners\[0\]\.tls\.client-ca: .*there is no certificate in it")
    proxy.wait_for_event("reload.refused", generation=1)
    assert site.ask(proxy, showing(certificate(clients)))[b"verified"] == b"ok"


def test_authorities_that_only_root_may_read(l7, origin, tmp_path, clients):
    if os.geteuid() != 0:
        pytest.skip("needs root")
    with tempfile.TemporaryDirectory(dir="/root", prefix="l7-test-") as name:
        site = Site(l7, origin, Path(name), clients)
        config = Path(name, "config.yml")
        config.write_text(site.text(site.asking()))
        os.chmod(tmp_path, 0o755)
        proxy = l7(None, argv=["--config", str(config)], run_as="nobody", inherit=False)
        assert site.ask(proxy, showing(certificate(clients)))[b"verified"] == b"ok"
        others = trustme.CA()
        site.ca.write_bytes(others.cert_pem.bytes())
        reload(proxy)
        proxy.wait_for_event(f"opener.opened .*{site.ca}")
        assert site.ask(proxy, showing(certificate(others)))[b"verified"] == b"ok"
        shut_out(proxy, showing(certificate(clients)))


# --- kept over reloads ------------------------------------------------------------------------------------------------


def test_who_the_client_is_is_told_over_reloads(site, clients):
    """Its certificate is known to the worker that shook hands, and told to those that serve its requests."""
    proxy = site.start(more="canary-time: 0\n", inherit=False)
    with TlsClient(proxy.address, context=showing(certificate(clients))) as client:
        seen = []
        for _ in range(3):
            client.send(LIE)
            answer = client.read_response()
            assert answer.status == 200 and not answer.closes
            seen.append(told(site.seen[-1]))
            reload(proxy)
        assert seen[0][b"verified"] == b"ok" and seen[0] == seen[1] == seen[2]
        client.send(REQUEST.replace(b"localhost", b"other.test"))
        assert client.read_response().status == 421, "and the name that it has asked for"


@pytest.mark.parametrize("change", ["authorities", "off", "request"])
def test_who_might_not_come_in_any_more_is_served_once_more_by_the_old_worker(site, clients, change):
    proxy = site.start(more="canary-time: 0\n", inherit=False)
    with TlsClient(proxy.address, context=showing(certificate(clients))) as client:
        client.send(REQUEST)
        assert client.read_response().status == 200
        reload(proxy)  # from now on another worker serves it
        client.send(REQUEST)
        assert not client.read_response().closes
        if change == "authorities":
            site.ca.write_bytes(trustme.CA().cert_pem.bytes())
            own = site.asking()
        else:
            own = "true" if change == "off" else site.asking(change)
        reload(proxy, site.text(own, "canary-time: 0\n"))
        client.send(REQUEST)
        answer = client.read_response()
        assert answer.status == 200 and answer.closes
        assert client.read_until_closed() == b"" and client.end == "eof"
