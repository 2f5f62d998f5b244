from __future__ import annotations

import ssl

import pytest
from cryptography import x509

from l7.tls.certificates import load_into
from l7.tls.parsing import certificate_of
from l7.tls.self_signed import make


def test_it_is_a_certificate_that_l7_takes():
    certificate = certificate_of(*make(["localhost", "*.example.com", "127.0.0.1", "::1"], 3))
    info = certificate.info
    assert info.names == ("localhost", "*.example.com", "127.0.0.1", "::1")
    assert info.days_left == 2 and info.key_type == "EC" and info.issuer == "CN=localhost"
    assert certificate.warnings == ()
    load_into(ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER), certificate)


def test_a_client_that_trusts_it_sees_its_names():
    cert, key = make(["localhost", "127.0.0.1"], 1)
    server, client = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER), ssl.create_default_context(cadata=cert.decode("ascii"))
    load_into(server, certificate_of(cert, key))
    for name in ("localhost", "127.0.0.1"):
        ours, theirs = ssl.MemoryBIO(), ssl.MemoryBIO()
        ends = [
            server.wrap_bio(ours, theirs, server_side=True),
            client.wrap_bio(theirs, ours, server_hostname=name),
        ]
        for end in [ends[1], ends[0], ends[1], ends[0]]:
            try:
                end.do_handshake()
            except ssl.SSLWantReadError:
                continue
        assert ends[1].getpeercert()["serialNumber"]


def test_a_long_name_and_another_key_each_time():
    long = ".".join(["a" * 50] * 3)
    made = [x509.load_pem_x509_certificate(make([long, "b"], 1)[0]) for _ in range(2)]
    assert [one.subject.rfc4514_string() for one in made] == ["CN=b", "CN=b"]
    assert made[0].public_key() != made[1].public_key() and made[0].serial_number != made[1].serial_number
    alone = x509.load_pem_x509_certificate(make([long], 1)[0])
    assert alone.subject.rfc4514_string() == "CN=l7"
    names = alone.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert names.get_values_for_type(x509.DNSName) == [long]
    assert names.get_values_for_type(x509.IPAddress) == []


def test_a_name_that_is_not_ascii_is_refused():
    with pytest.raises(ValueError, match=r"A-label|ASCII"):
        make(["jürgen.example"], 1)
