"""What servers are told of a client's certificate: in visible ASCII, within a bound, whatever it holds."""

from __future__ import annotations

import pytest
from cryptography import x509
from cryptography.x509.oid import NameOID

from l7.tls.client_certificates import LONGEST_SUBJECT, subject_of


def test_attributes_go_from_the_last_to_the_first():
    names = (
        (("countryName", "DE"),),
        (("organizationName", "Example"), ("organizationalUnitName", "Ops")),
        (("commonName", "alice"),),
    )
    assert subject_of(names) == "CN=alice,O=Example+OU=Ops,C=DE"
    assert subject_of(()) == ""


def test_others_than_those_of_the_rfc_go_by_name_or_number():
    names = ((("emailAddress", "a@b"),), (("1.2.3.4", "x"),), (("userId", "u"),))
    assert subject_of(names) == "UID=u,1.2.3.4=x,emailAddress=a@b"


@pytest.mark.parametrize(
    ("value", "escaped"),
    [
        ("a,b+c", r"a\,b\+c"),
        ('"<;>\\', r"\"\<\;\>\\"),
        ("#a#", r"\#a#"),
        (" a b ", r"\ a b\ "),
        (" ", r"\ "),
        ("", ""),
        ("a\r\nX-Client-Cert-Verified: ok", r"a\0D\0AX-Client-Cert-Verified: ok"),
        ("\0\x7f\t", r"\00\7F\09"),
        ("Jürgen €", r"J\C3\BCrgen \E2\82\AC"),
        ("\N{GRINNING FACE}", r"\F0\9F\98\80"),
    ],
)
def test_what_is_no_visible_ascii_is_escaped(value, escaped):
    told = subject_of(((("commonName", value),),))
    assert told == f"CN={escaped}"
    assert told.isascii() and told.isprintable()
    if value:
        parsed = x509.Name.from_rfc4514_string(told)
        assert [one.value for one in parsed.get_attributes_for_oid(NameOID.COMMON_NAME)] == [value]


def test_one_that_is_too_long_is_not_told_at_all():
    short = "a" * (LONGEST_SUBJECT - 3)
    assert subject_of(((("commonName", short),),)) == f"CN={short}"
    assert subject_of(((("commonName", short + "a"),),)) == ""


def test_one_with_a_value_that_is_no_text_is_not_told_at_all():
    assert subject_of(((("commonName", "a"),), (("x500UniqueIdentifier", b"\2"),))) == ""
