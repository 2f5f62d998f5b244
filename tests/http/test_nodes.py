"""Who asked, as proxies write it.

The habit of the peers: nginx (``real_ip``) takes an address with or without a port and ignores the field where it
cannot be read; HAProxy takes ports and mapped addresses, quotes only in Forwarded; Caddy cuts ports and zones off.
"""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from l7.http.nodes import Element, address_of, elements_of
from l7.networks import canonical


@pytest.mark.parametrize(
    ("node", "address"),
    [
        (b"203.0.113.7", "203.0.113.7"),
        (b"203.0.113.7:51234", "203.0.113.7"),
        (b'"203.0.113.7:51234"', "203.0.113.7"),
        (b'"203.0.113.7"', "203.0.113.7"),
        (b"203.0.113.7:_port", "203.0.113.7"),
        (b"[203.0.113.7]:80", "203.0.113.7"),
        (b"2001:db8::7", "2001:db8::7"),
        (b"2001:DB8:0:0::7", "2001:db8::7"),
        (b"[2001:db8::7]", "2001:db8::7"),
        (b"[2001:db8::7]:443", "2001:db8::7"),
        (b'"[2001:db8::7]:443"', "2001:db8::7"),
        (b'"\\[2001:db8::7\\]:443"', "2001:db8::7"),
        (b"::ffff:1.2.3.4", "1.2.3.4"),
        (b"::FFFF:102:304", "1.2.3.4"),
        (b"[::ffff:1.2.3.4]:80", "1.2.3.4"),
        (b"fe80::1%eth0", "fe80::1"),
        (b"[fe80::1%eth0]:80", "fe80::1"),
        (b"[fe80::1%25eth0]", "fe80::1"),
        (b"::ffff:1.2.3.4%eth0", "1.2.3.4"),
    ],
)
def test_each_has_one_right_reading(node, address):
    assert address_of(node) == address == canonical(address)


@pytest.mark.parametrize(
    "node",
    b"unknown|Unknown|_hidden|_SEVKISEK:80|unknown:80|junk||unix:|-|1.2.3|1.2.3.4.5|01.2.3.4|1.2.3.256|1.2.3.4:"
    b"|1.2.3.4:123456|1.2.3.4:x|[1.2.3.4|[::1|::1]|[::1]x|[]|:::|fe80::1%|[fe80::1%]|%eth0|1.2.3.4%eth0"
    b'|"1.2.3.4|1.2.3.4"|""|"|1.2.3.4 5.6.7.8|http://1.2.3.4/|1.2.3.4\xb2|\xd9\xa1.2.3.4|host.test|g::1'.split(b"|"),
)
def test_what_names_no_address(node):
    assert address_of(node) == ""


@given(st.ip_addresses(), st.booleans(), st.sampled_from([b"", b":1", b":65535", b":_x"]))
def test_every_address_is_read_back(address, quoted, port):
    text = str(address).encode()
    node = (b"[" + text + b"]" if address.version == 6 else text) + port
    found = address_of(b'"' + node + b'"' if quoted else node)
    assert found == canonical(str(address))
    assert found == str(getattr(address, "ipv4_mapped", None) or address)


@given(st.binary(max_size=60))
def test_whatever_it_is_nothing_is_raised(junk):
    found = address_of(junk)
    assert found == "" or canonical(found) == found
    for element in elements_of([junk]):
        address_of(element.node)


@pytest.mark.parametrize(
    ("values", "elements"),
    [
        (["for=192.0.2.60;proto=http;by=203.0.113.43"], [("192.0.2.60", "http", "")]),
        (["for=1.1.1.1, For=2.2.2.2 ; PROTO=https"], [("1.1.1.1", "", ""), ("2.2.2.2", "https", "")]),
        (['for="[2001:db8::1]:4711";host="a.test:8080"'], [("[2001:db8::1]:4711", "", "a.test:8080")]),
        (["for=[2001:db8::1]:80"], [("[2001:db8::1]:80", "", "")]),
        (['for="_a,b;c"'], [("_a,b;c", "", "")]),
        (["for=a,, for=b;,"], [("a", "", ""), ("b", "", "")]),
        (["proto=https"], [("", "https", "")]),
        (["for=a", "for=b"], [("a", "", ""), ("b", "", "")]),
        ([""], []),
        ([","], []),
        (["junk, for=b"], [("", "", ""), ("b", "", "")]),
        (["for = a"], [("", "", "")]),
        (['for="a'], [("", "", "")]),
        (['for="a"b'], [("", "", "")]),
        (["for=a;FOR=b, for=c"], [("", "", ""), ("c", "", "")]),
        (["for=a;proto=https;proto=http"], [("", "", "")]),
        (["for=a;by=_x;secret=_y;host=h"], [("a", "", "h")]),
        (["for="], [("", "", "")]),
        (["=a", "for"], [("", "", ""), ("", "", "")]),
    ],
)
def test_what_forwarded_tells(values, elements):
    expected = [Element(*(part.encode() for part in element)) for element in elements]
    assert elements_of([value.encode() for value in values]) == expected


@given(st.text('for=;,"\\ 6.[]:', max_size=30))
def test_nothing_before_it_makes_the_last_hop_another_one(before):
    """What the trusted proxy adds behind the words of a client is read as that, or not at all."""
    for added in ("for=9.9.9.9", 'for="[2001:db8::9]:5";proto="https"'):
        last = elements_of([f"{before}, {added}".encode()])[-1]
        assert address_of(last.node) in ("9.9.9.9", "2001:db8::9", "")


def quoted(draw: st.DrawFn, value: str) -> str:
    """A value as it may be written: quoted, with backslashes where nobody needs them, or bare where it may be."""
    if not set(value) & set(',;"\\ ') and draw(st.booleans()):
        return value
    return '"' + "".join("\\" + one if one in '"\\' or draw(st.booleans()) else one for one in value) + '"'


@st.composite
def forwarded(draw: st.DrawFn) -> tuple[list[str], list[Element]]:
    """The values of Forwarded fields, as proxies may write them, and what they say."""
    values, told = [], []
    for _ in range(draw(st.integers(1, 3))):
        written = []
        for _ in range(draw(st.integers(1, 3))):
            said = draw(
                st.fixed_dictionaries(
                    {},
                    optional={
                        "for": st.sampled_from(["1.2.3.4", "[2001:db8::7]:443", "unknown", "_a,b;c", '_"\\']),
                        "proto": st.sampled_from(["http", "https"]),
                        "host": st.sampled_from(["a.test", "a.test:8080", "[::1]:80"]),
                        "by": st.sampled_from(["_l7", "10.0.0.1"]),
                        "x": st.text('ab,;"\\ ', min_size=1, max_size=5),
                    },
                ).filter(bool)
            )
            names = draw(st.permutations(sorted(said)))
            pairs = [f"{draw(st.sampled_from([name, name.upper()]))}={quoted(draw, said[name])}" for name in names]
            written.append(draw(st.sampled_from([";", " ; ", ";;"])).join(pairs))
            told.append(Element(*(said.get(name, "").encode() for name in ("for", "proto", "host"))))
        values.append(draw(st.sampled_from([",", ", ", " ,, "])).join(written))
    return values, told


@given(forwarded())
def test_however_it_is_written_it_says_the_same(case):
    values, told = case
    assert elements_of([value.encode() for value in values]) == told
