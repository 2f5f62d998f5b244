"""Whom a request is for."""

from __future__ import annotations

import ipaddress

import pytest
from hypothesis import given as generated
from hypothesis import strategies as st

from l7.errors import BAD_REQUEST, ProxyError
from l7.http import authority
from l7.http.grammar import AUTHORITY


@pytest.mark.parametrize(
    ("given", "host"),
    [
        (b"example.com", "example.com"),
        (b"EXAMPLE.com:8080", "example.com"),
        (b"example.com.", "example.com"),
        (b"example.com.:80", "example.com"),
        (b"example.com:", "example.com"),
        (b"example.com:0", "example.com"),
        (b"example.com:65535", "example.com"),
        (b"example.com:00080", "example.com"),
        (b"127.0.0.1", "127.0.0.1"),
        (b"[::1]", "[::1]"),
        (b"[2001:DB8::1]:443", "[2001:db8::1]"),
        (b"[::ffff:1.2.3.4]", f"[{ipaddress.IPv6Address('::ffff:1.2.3.4')}]"),
        (b"[0:0::0:1]", "[::1]"),
        (b"a_b-c~d", "a_b-c~d"),
        (b"a%41b", "a%41b"),
        (b"a!$&'()*+,;=b", "a!$&'()*+,;=b"),
        (b".", "."),
        (b"x" * 300, "x" * 300),
    ],
)
def test_host_of(given, host):
    assert authority.host_of(given) == host
    assert authority.host_of(given) == host  # the second time from memory


@pytest.mark.parametrize(
    "given",
    [b"", b":80", b"a:65536", b"a:99999", b"a:000080", b"a:+80", b"a:80x", b"a: 80", b"a:80:80", b"a b", b" a", b"a ",
     b"a\t",
     b"user@a", b"user:pw@a", b"@a", b"a@", b"a/b", b"a?b", b"a#b", b'a"b', b"a<b", b"a\\b", b"a^b", b"a`b", b"a{b}",
     b"a|b",
     b"a%", b"a%4", b"a%zz", b"[", b"[]", b"[::1", b"::1", b"::1]", b"[::1]x", b"[::1]:x", b"[::1]:99999", b"[g::1]",
     b"[1.2.3.4]",
     b"[v1.x]", b"[::1%25eth0]", b"[::1%eth0]", b"[:::::]", b"[" + b":" * 43 + b"]", b"a\x00", b"a\x7f",
     b"\xe9.example",
     b"a\xa0", b"a:\xd9\xa8", b"a:\xb2", b"http://a", b"a,b@c", b"a\r\nb", b"a\n", b"a:80\n"],
)  # fmt: skip
def test_refused(given):
    for _ in range(2):
        with pytest.raises(ProxyError) as caught:
            authority.host_of(given)
        assert caught.value.kind is BAD_REQUEST


@generated(st.from_regex(rb"[a-zA-Z0-9.-]{0,6}(:[0-9]{0,6})?", fullmatch=True))
def test_plain_names_are_what_the_pattern_says(given):
    """What is read in place is what the pattern of the grammar says."""
    match = AUTHORITY.fullmatch(given)
    if match is None or int(match.group(2) or 0) > 65535:
        with pytest.raises(ProxyError):
            authority.host_of(given)
    else:
        name = match.group(1).decode().lower()
        assert authority.host_of(given) == (name[:-1] if len(name) > 1 and name.endswith(".") else name)
