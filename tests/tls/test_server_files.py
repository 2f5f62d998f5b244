"""The files of TLS with servers: what is wrong with them is told with its place, all at once."""

from __future__ import annotations

import ssl
from datetime import datetime, timedelta, timezone
from pathlib import Path

import pytest
import trustme

from l7.config.file_content import read_file
from l7.config.reading.loading import load
from l7.errors import ConfigError
from l7.tls.servers.failure_numbers import EXPIRED, NOT_YET, UNKNOWN_ISSUER, WRONG_NAME, describe, refusal_number
from l7.tls.servers.files import AllTlsFiles, other_content, read_all
from l7.tls.servers.verification import explain_refusal
from tests.harness.tls import STRANGE, authority, issue, strange, write_pair
from tests.harness.tls_origin import write_authority, write_chain


@pytest.fixture
def read(tmp_path):
    """Reads a configuration of these backends, and the files that it names."""

    def read(backends: str, more: str = "") -> AllTlsFiles:
        path = tmp_path / "config.yml"
        path.write_text(f"{more}\nbackends:\n{backends}\n")
        return read_all(load(["-c", str(path)], {}), read_file, patient=False)

    return read


@pytest.fixture
def ca(tmp_path) -> str:
    return write_authority(tmp_path / "ca.pem")


def problems(read, backends: str, more: str = "") -> list[str]:
    """What is said of a configuration, without the path of its file."""
    with pytest.raises(ConfigError) as caught:
        read(backends, more)
    return [f"{Path(one.where).name}: {one.path}: {one.what}" for one in caught.value.problems]


def test_backends_of_the_same_settings_share_a_context(read, ca):
    files = read(
        f"  a: {{servers: ['https://a'], tls: {{ca: {ca}}}}}\n"
        f"  b: {{servers: ['https://b', c], tls: {{ca: {ca}, server-name: x}}}}\n"
        f"  c: {{servers: ['https://c'], tls: {{ca: {ca}, verify: true}}}}\n"
        "  d: {servers: ['https://c'], tls: {verify: false}}\n"
        "  e: {servers: [c]}"
    )
    assert sorted(files.contexts) == ["a", "b", "c", "d"]
    assert files.contexts["a"] is files.contexts["b"] is files.contexts["c"] is not files.contexts["d"]


def test_all_that_is_wrong_is_told_at_once(read, ca, tmp_path):
    pair = write_pair(tmp_path, "one", issue("one.test"))
    write_pair(tmp_path, "two", issue("two.test"))
    mixed = pair.replace("one.key", "two.key")[1:-1]
    found = problems(
        read,
        f"  a: {{servers: ['https://a'], tls: {{ca: {tmp_path}/none.pem}}}}\n"
        f"  b: {{servers: ['https://b'], tls: {{ca: {tmp_path}/one.key}}}}\n"
        f"  c: {{servers: ['https://c'], tls: {{{mixed}}}}}\n"
        f"  d: {{servers: ['https://d'], tls: {{cert: {tmp_path}/one.crt}}}}",
        more=f"tls: {{certificates: [{tmp_path}/none.crt]}}",
    )
    assert [one.replace(str(tmp_path), "DIR") for one in found] == [
        "config.yml:1: tls.certificates[0].cert: DIR/none.crt: cannot be read: no such file or directory",
        "config.yml:3: backends.a.tls.ca: DIR/none.pem: cannot be read: no such file or directory",
        "config.yml:4: backends.b.tls.ca: DIR/one.key: there is no certificate in it "
        "(PEM, -----BEGIN CERTIFICATE-----)",
        "config.yml:5: backends.c.tls.key: DIR/two.key: the private key does not fit the certificate: "
        "they are not of one pair",
        "config.yml:6: backends.d.tls.cert: DIR/one.crt: there is no private key beside it; write key: "
        "(PEM, -----BEGIN PRIVATE KEY-----)",
    ]


def test_what_is_warned_of(read, ca, tmp_path):
    now = datetime.now(timezone.utc)
    old = issue("l7.test", not_before=now - timedelta(9), not_after=now - timedelta(2))
    cert = write_chain(tmp_path / "old.pem", old)
    files = read(f"  a: {{servers: ['https://a'], tls: {{ca: {ca}, cert: {cert}}}}}")
    (warning,) = files.warnings
    assert warning.path == "backends.a.tls.cert"
    assert warning.what == f"{cert}: the certificate has expired on {now - timedelta(2):%Y-%m-%d}: servers refuse it"


def test_files_with_another_content(read, ca, tmp_path):
    cert = write_chain(tmp_path / "client.pem", issue("l7.test"))
    text = f"  a: {{servers: ['https://a'], tls: {{ca: {ca}, cert: {cert}}}}}"
    before = read(text)
    assert other_content(before, read(text)) == []
    write_chain(tmp_path / "client.pem", issue("l7.test", not_after=datetime(2039, 5, 6, tzinfo=timezone.utc)))
    Path(ca).write_bytes(authority().cert_pem.bytes() + trustme.CA().cert_pem.bytes())
    assert other_content(before, read(text)) == [
        "backends.a.tls.ca: other authorities",
        "backends.a.tls.cert: another certificate, valid until 2039-05-06",
    ]


@pytest.mark.parametrize(
    ("backend", "complaint"),
    [
        ("{servers: [b], tls: {ca: x}}", "a.tls.ca: no server of this backend has an address with https://"),
        ("{servers: [b], tls: {verify: false}}", "a.tls.verify: no server of this backend"),
        ("{servers: ['https://b'], tls: {key: x}}", "a.tls.key: write cert, too: the certificate of the key"),
        ("{servers: ['https://b'], tls: {ca: x, verify: false}}", "a.tls.ca: is not looked at with verify: false"),
        ("{servers: ['https://b'], tls: {server-name: '*.b'}}", "a.tls.server-name: '*.b' is not a host name"),
        ("{servers: ['https://b'], tls: {server-name: 'c:443'}}", "a.tls.server-name: 'c:443' is an address"),
        ("{servers: ['https://b'], tls: {server-name: 'https://c'}}", "a.tls.server-name: 'https://c' is an address"),
        ("{servers: ['https://b'], tls: {server-name: '{Host}'}}", "a.tls.server-name: '{Host}' is not a name"),
        ("{servers: ['https://b'], tls: off}", "a.tls: write a mapping"),
    ],
)
def test_settings_that_do_not_go_together(read, backend, complaint):
    (found,) = problems(read, f"  a: {backend}")
    assert found.startswith(f"config.yml:3: backends.{complaint}")


def test_defaults_need_not_have_a_use(read):
    defaults = "defaults: {tls: {verify: false, server-name: x, cert: y}}"
    assert read("  a: {servers: [b]}", more=defaults).contexts == {}


@pytest.mark.parametrize("what", STRANGE)
@pytest.mark.parametrize("code", [EXPIRED, NOT_YET, WRONG_NAME, UNKNOWN_ISSUER])
def test_a_certificate_that_cannot_be_read_is_refused_for_its_reason(what, code):
    """What a server shows may be anything; of one that cannot be read no more is told than what OpenSSL says."""
    certificate, _ = strange(what)
    words, _ = explain_refusal(code, [ssl.PEM_cert_to_DER_cert(certificate.decode())], "b.test")
    assert not words or code == UNKNOWN_ISSUER


@pytest.mark.parametrize(("year", "day"), [(2026, " on 2026-01-02"), (2149, " on 2149-01-02"), (2150, ""), (1950, "")])
def test_a_day_that_does_not_fit_into_a_number_is_left_out(year, day):
    number = refusal_number(EXPIRED, datetime(year, 1, 2, tzinfo=timezone.utc).timestamp())
    assert describe(number) == f"certificate has expired{day}"
