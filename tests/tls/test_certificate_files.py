"""Certificates as files: what cannot be used is an error with its place, what clients refuse a warning."""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from datetime import datetime, timedelta, timezone
from pathlib import Path
from types import SimpleNamespace

import pytest
import trustme
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    PrivateFormat,
    load_pem_private_key,
)

from l7.config.file_content import read_file
from l7.config.reading.loading import load
from l7.errors import ConfigError
from l7.tls import certificate_files
from l7.tls.certificate_files import TlsFiles, read_tls, renewals
from tests.harness.tls import EC, RSA, STRANGE, authority, chain_of, issue, strange, write_pair

NOW = datetime.now(timezone.utc)
BACKENDS = "backends: {a.test: {servers: [x]}}\n"
Read = Callable[..., TlsFiles]


@pytest.fixture
def read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Read:
    """Reads the certificates of a configuration, given by its lines below ``certificates``."""
    monkeypatch.setattr(certificate_files, "PAUSE", 0.0)
    monkeypatch.chdir(tmp_path)

    def read(*lines: str, backends: str = BACKENDS) -> TlsFiles:
        text = "tls:\n  certificates:\n" + "".join(f"  - {line}\n" for line in lines) + backends
        Path("config.yml").write_text(text)
        return read_tls(load(["-c", "config.yml"], {}), read_file)

    return read


def problems(read: Read, *lines: str) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        read(*lines)
    return [str(one) for one in caught.value.problems]


@pytest.mark.parametrize("late", [1, certificate_files.TRIES - 1, certificate_files.TRIES])
def test_a_pair_that_does_not_fit_is_read_again_for_a_moment(tmp_path, monkeypatch, late):
    """A renewal replaces the files one after the other: the key is the new one after ``late`` looks."""
    old, new = issue("a.test").private_key_pem.bytes(), issue("a.test")
    looks, pauses = [], []
    monkeypatch.setattr(certificate_files, "time", SimpleNamespace(sleep=pauses.append, time=time.time))

    def read_key_late(name: str) -> bytes:
        if name.endswith("key"):
            looks.append(name)
            return old if len(looks) <= late else new.private_key_pem.bytes()
        return chain_of(new) if name.endswith("crt") else read_file(name)

    config = tmp_path / "config.yml"
    config.write_text(f"tls: {{certificates: [{{cert: /x/new.crt, key: /x/new.key}}]}}\n{BACKENDS}")
    loaded = load(["-c", str(config)], {})
    if late < certificate_files.TRIES:
        assert read_tls(loaded, read_key_late).certificates
    else:
        with pytest.raises(ConfigError, match="does not fit"):
            read_tls(loaded, read_key_late)
    assert pauses == [certificate_files.PAUSE] * min(late, certificate_files.TRIES - 1)


@pytest.mark.parametrize("key", [EC, RSA])
def test_a_pair_in_two_files_and_in_one(read, tmp_path, key):
    leaf = issue("a.test", "*.b.test", "192.0.2.1", key=key)
    Path("one.pem").write_bytes(leaf.private_key_pem.bytes() + chain_of(leaf))
    found = read(write_pair(tmp_path, "two", leaf), "one.pem")
    assert not found.warnings
    for one in found.certificates:
        assert one.info.names == ("a.test", "*.b.test", "192.0.2.1")
        assert one.info.key_type == ("EC" if key is EC else "RSA")
        assert "trustme" in one.info.issuer
    assert found.certificates[0].chain == found.certificates[1].chain


def test_all_problems_are_told_at_once_each_with_its_line(read, tmp_path):
    one, two = issue("a.test"), issue("b.test")
    write_pair(tmp_path, "one", one)
    write_pair(tmp_path, "two", two)
    key = load_pem_private_key(one.private_key_pem.bytes(), None)
    locked = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(b"secret"))
    Path("locked.key").write_bytes(locked)
    Path("locked-old.key").write_bytes(
        key.private_bytes(Encoding.PEM, PrivateFormat.TraditionalOpenSSL, BestAvailableEncryption(b"secret"))
    )
    Path("broken.crt").write_text("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n")
    Path("broken.key").write_text("-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n")
    Path("empty").write_text("")
    Path("turned.crt").write_bytes(authority().cert_pem.bytes() + one.cert_chain_pems[0].bytes())
    found = problems(
        read,
        "{cert: one.crt, key: two.key}",
        "{cert: one.crt, key: locked.key}",
        "{cert: one.crt, key: locked-old.key}",
        "one.crt",
        "{cert: none.crt, key: one.key}",
        "{cert: one.crt, key: none.key}",
        "{cert: empty, key: one.key}",
        "{cert: one.crt, key: empty}",
        "{cert: broken.crt, key: one.key}",
        "{cert: one.crt, key: broken.key}",
        "{cert: turned.crt, key: one.key}",
        "{cert: ., key: one.key}",
    )
    expected = [
        "config.yml:3: tls.certificates[0].key: two.key: the private key does not fit the certificate",
        "config.yml:4: tls.certificates[1].key: locked.key: the private key is encrypted; l7 never asks",
        "config.yml:5: tls.certificates[2].key: locked-old.key: the private key is encrypted; l7 never asks",
        "config.yml:6: tls.certificates[3].cert: one.crt: there is no private key beside it; write key:",
        "config.yml:7: tls.certificates[4].cert: none.crt: cannot be read: no such file or directory",
        "config.yml:8: tls.certificates[5].key: none.key: cannot be read: no such file or directory",
        "config.yml:9: tls.certificates[6].cert: empty: there is no certificate in it",
        "config.yml:10: tls.certificates[7].key: empty: there is no private key in it",
        "config.yml:11: tls.certificates[8].cert: broken.crt: a certificate in it cannot be read",
        "config.yml:12: tls.certificates[9].key: broken.key: the private key cannot be read",
        "config.yml:13: tls.certificates[10].cert: turned.crt: the certificate of the key is number 2 in the file",
        "config.yml:14: tls.certificates[11].cert: .: cannot be read: is a directory",
    ]
    assert len(found) == len(expected)
    for line, beginning in zip(found, expected, strict=True):
        assert line.startswith(beginning)
        assert "secret" not in line and "AAAA" not in line


def test_what_clients_refuse_is_warned_of(read, tmp_path):
    old = issue("a.test", not_before=NOW - timedelta(days=90), not_after=NOW - timedelta(days=1))
    early = issue("a.test", not_before=NOW + timedelta(days=1), not_after=NOW + timedelta(days=90))
    found = read(write_pair(tmp_path, "old", old), write_pair(tmp_path, "early", early))
    first, second = map(str, found.warnings)
    assert first.startswith("config.yml:3: tls.certificates[0].cert: ") and "has expired on" in first
    assert second.startswith("config.yml:4: tls.certificates[1].cert: ") and "is not valid before" in second


def test_a_chain_in_disorder_is_warned_of(read, tmp_path):
    other = trustme.CA()
    leaf = issue("a.test")
    write_pair(tmp_path, "one", leaf)
    Path("one.crt").write_bytes(leaf.cert_chain_pems[0].bytes() + other.cert_pem.bytes())
    (warning,) = read("{cert: one.crt, key: one.key}").warnings
    assert "number 2 in the file did not sign the one before it" in str(warning)


def test_hosts_that_no_certificate_is_for_are_named(read, tmp_path):
    backends = (
        "backends:\n"
        "  a.test: {servers: [x]}\n"
        "  b.a.test/api: {servers: [x]}\n"
        "  c.b.a.test: {servers: [x]}\n"
        "  '*.a.test': {servers: [x]}\n"
        "  other.test, a.test/x: {servers: [x]}\n"
        "  '*': {servers: [x]}\n"
    )
    pair = write_pair(tmp_path, "one", issue("a.test", "*.a.test"))
    assert [str(one).partition(":")[2].split(":")[0:3] for one in read(pair, backends=backends).warnings] == [
        ["7", " backends.c.b.a.test", " no certificate is for c.b.a.test"],
        ["9", " backends.other.test, a.test/x", " no certificate is for other.test"],
    ]


def test_certificates_that_no_listener_shows_are_warned_of(read, tmp_path):
    files = write_pair(tmp_path, "one", issue("a.test"))
    (warning,) = read(files, backends="listeners: ['*:80']\n" + BACKENDS).warnings
    assert str(warning).startswith("config.yml:1: tls: no listener has tls")
    assert not read(files, backends="listeners: ['*:80', {address: '*:443', tls: true}]\n" + BACKENDS).warnings


def test_a_host_has_a_certificate_from_a_file_or_by_acme(read, tmp_path):
    files = write_pair(tmp_path, "one", issue("a.test", "*.b.test"))
    acme = "  acme: {email: me@a.test, hosts: %s}\n" + BACKENDS
    with pytest.raises(ConfigError) as caught:
        read(files, backends=acme % "[a.test, c.b.test]")
    (problem,) = map(str, caught.value.problems)
    assert problem.startswith("config.yml:4: tls.acme.hosts: a.test is in a certificate of tls.certificates, too")
    assert read(files, backends=acme % "[c.b.test]").configured


def test_a_renewal_is_told(read, tmp_path):
    before = read(write_pair(tmp_path, "one", issue("a.test")))
    after = read(write_pair(tmp_path, "one", issue("a.test")))
    assert renewals(before, before) == []
    (line,) = renewals(before, after)
    assert line.startswith("tls: certificate of a.test: new, valid until ")


def test_a_renewal_is_due_at_a_third_and_of_a_short_life_at_a_half(read, tmp_path):
    def due(life: float, left: float) -> bool:
        leaf = issue("a.test", not_before=NOW - timedelta(days=life - left), not_after=NOW + timedelta(days=left))
        (one,) = read(write_pair(tmp_path, "one", leaf)).certificates
        return one.info.is_renewal_due(NOW.timestamp())

    assert (due(90, 31), due(90, 29)) == (False, True)
    assert (due(6, 3.1), due(6, 2.9)) == (False, True)


# --- authorities of clients ---------------------------------------------------------------------------------------


@pytest.fixture
def read_authorities(read: Read, tmp_path: Path) -> Read:
    """Reads a configuration that asks clients for certificates, by the file ``ca.pem`` with this content."""

    def read_authorities(content: bytes) -> TlsFiles:
        Path("ca.pem").write_bytes(content)
        more = "  client-auth: require\n  client-ca: ca.pem\n"
        return read(write_pair(tmp_path, "one", issue("a.test")), backends=more + BACKENDS)

    return read_authorities


def test_authorities_are_read_with_what_is_to_be_said_of_them(read_authorities):
    one, two = trustme.CA(), trustme.CA()
    found = read_authorities(b"words\n" + one.cert_pem.bytes() + two.cert_pem.bytes())
    assert not found.warnings
    assert found.authorities["ca.pem"].count("BEGIN CERTIFICATE") == 2 and "words" not in found.authorities["ca.pem"]
    old = issue("b.test", not_before=NOW - timedelta(days=9), not_after=NOW - timedelta(days=1))
    warnings = read_authorities(one.cert_pem.bytes() + old.cert_chain_pems[0].bytes()).warnings
    where = "config.yml:5: tls.client-ca: ca.pem: certificate number 2 in the file "
    assert [str(warning).removeprefix(where).partition(" on ")[0] for warning in warnings] == [
        "has expired",
        "is no authority: by it only the very same certificate is valid",
    ]


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "there is no certificate in it (PEM, -----BEGIN CERTIFICATE-----)"),
        (
            b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n",
            "a certificate in it cannot be read",
        ),
    ],
)
def test_authorities_that_cannot_be_used_are_refused(read_authorities, content, words):
    with pytest.raises(ConfigError) as caught:
        read_authorities(content)
    (problem,) = caught.value.problems
    assert str(problem).startswith(f"config.yml:5: tls.client-ca: ca.pem: {words}")


@pytest.mark.parametrize("what", STRANGE)
def test_a_certificate_that_cannot_be_read_is_refused(read, read_authorities, what):
    certificate, key = strange(what)
    with pytest.raises(ConfigError) as caught:
        read_authorities(certificate)
    (problem,) = caught.value.problems
    assert str(problem).startswith("config.yml:5: tls.client-ca: ca.pem: a certificate in it cannot be read: ")
    Path("strange.pem").write_bytes(certificate + key)
    (told,) = problems(read, "strange.pem")
    assert re.match(
        r"config.yml:3: tls.certificates\[0\].cert: strange.pem: (a cert.*|its names) cannot be read: ", told
    )


def test_missing_authorities_are_told_beside_other_problems(read):
    with pytest.raises(ConfigError) as caught:
        read("none.crt", backends="  client-auth: request\n  client-ca: none.pem\n" + BACKENDS)
    assert [str(one) for one in caught.value.problems] == [
        "config.yml:3: tls.certificates[0].cert: none.crt: cannot be read: no such file or directory",
        "config.yml:5: tls.client-ca: none.pem: cannot be read: no such file or directory",
    ]
