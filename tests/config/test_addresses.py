"""Addresses of servers and keys of routes."""

from __future__ import annotations

import pytest

from l7.config.values.addresses import Address
from l7.config.values.routekeys import normal_route_key
from l7.http.authority import host_of


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("http://192.168.0.103:8081", "192.168.0.103:8081"),
        ("HTTP://nginx", "nginx:80"),
        ("//192.168.0.103:8082", "192.168.0.103:8082"),
        ("127.0.0.1:1337", "127.0.0.1:1337"),
        ("app", "app:80"),
        ("App.Example:80", "app.example:80"),
        ("App.Example.:80", "app.example.:80"),
        ("http://app./", "app.:80"),
        ("127.0.0.1.:80", "127.0.0.1:80"),
        ("srv:_http._tcp.Example.net", "srv:_http._tcp.example.net"),
        ("srv:_http._tcp.example.net.", "srv:_http._tcp.example.net."),
        ("http://h:1/", "h:1"),
        ("[::1]:8081", "[::1]:8081"),
        ("http://[0:0::1]", "[::1]:80"),
        ("unix:/run/app.sock", "unix:/run/app.sock"),
        ("unix:///run/app.sock", "unix:/run/app.sock"),
        ("my_app-1:65535", "my_app-1:65535"),
    ],
)
def test_forms_of_an_address(text: str, shown: str) -> None:
    address = Address.parse(text)
    assert str(address) == shown
    assert Address.parse(shown) == address


@pytest.mark.parametrize(
    ("text", "shown", "authority"),
    [
        ("https://App.test", "https://app.test:443", "app.test"),
        ("HTTPS://app.test.:8443/", "https://app.test.:8443", "app.test:8443"),
        ("https://[::1]", "https://[::1]:443", "[::1]"),
        ("https://app.test:80", "https://app.test:80", "app.test:80"),
    ],
)
def test_https(text: str, shown: str, authority: str) -> None:
    address = Address.parse(text)
    assert (str(address), address.authority, address.tls) == (shown, authority, True)
    assert Address.parse(shown) == address
    assert not Address.parse("app.test:443").tls, "the port says nothing"


@pytest.mark.parametrize(
    ("text", "host"), [("a.test.:8080", "a.test:8080"), ("a.test", "a.test:80"), ("[::1]:81", "[::1]:81")]
)
def test_the_last_dot_is_for_resolvers_only(text: str, host: str) -> None:
    """As curl, which sends ``Host`` as it is and SNI without the dot, we tell no server of it."""
    assert Address.parse(text).authority == host
    assert Address.parse(text).named is (host != "[::1]:81")


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "empty"),
        ("http://:8080", "no host"),
        (":8080", "no host"),
        ("h:99999", "port 99999 is out of range"),
        ("h:0", "out of range"),
        ("h:", "is not a port"),
        ("h:http", "is not a port"),
        ("h:8０", "is not a port"),
        ("https://h:443/path", "has a path"),
        ("https://unix:/run/app.sock", "has a path"),
        ("ftp://h", "unknown scheme 'ftp'"),
        ("http://h:80/path", "has a path"),
        ("h:80?x", "has a query"),
        ("h#x", "has a fragment"),
        ("::1:80", "in brackets"),
        ("[::1", "as \\[::1\\]:8081"),
        ("[::1]80", "as \\[::1\\]:8081"),
        ("[a]:80", "as \\[::1\\]:8081"),
        ("[::g]:80", "is not an IPv6 address"),
        ("256.1.1.1:80", "is not an IPv4 address"),
        ("8081", "is not an IPv4 address; write HOST:PORT"),
        ("*:8081", "is not a host name or an IP address; write HOST:PORT"),
        ("-h:80", "is not a host name"),
        ("a..b", "is not a host name"),
        ("a b", "is not a host name"),
        ("bücher.example", "xn--"),
        ("unix:app.sock", "absolute"),
        ("unix:/" + "x" * 200, "at most 107 bytes"),
    ],
)
def test_what_is_no_address(text: str, why: str) -> None:
    with pytest.raises(ValueError, match=why):
        Address.parse(text)


def test_a_password_in_an_address_is_not_repeated() -> None:
    with pytest.raises(ValueError, match="login in an address") as caught:
        Address.parse("http://me:hunter2@h:80")
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize(
    ("key", "normal"),
    [
        ("example.com", "example.com"),
        ("Example.COM.", "example.com"),
        ("*.Example.com", "*.example.com"),
        ("*", "*"),
        ("*/Api/", "*/Api"),
        ("example.com/", "example.com"),
        ("example.com/a/b%20c", "example.com/a/b%20c"),
        ("example.com/%61%7e%2D%3ab/caf%c3%a9%25", "example.com/a~-:b/caf%C3%A9%25"),
        ("[0:0::1]/x", "[::1]/x"),
        ("127.0.0.1", "127.0.0.1"),
        ("xn--bcher-kva.example", "xn--bcher-kva.example"),
        ("Example.com.,  www.Example.com/", "example.com, www.example.com"),
        ("a,b, c/x , *,[::01]/y", "a, b, c/x, *, [::1]/y"),
        ("a/x,y", "a/x,y"),
        ("a/x,y, b", "a/x,y, b"),
    ],
)
def test_normal_form_of_a_route(key: str, normal: str) -> None:
    assert normal_route_key(key) == normal
    assert normal_route_key(normal) == normal


@pytest.mark.parametrize(
    ("key", "why"),
    [
        ("", "host is empty"),
        ("/api", "host is empty"),
        ("example.com:80", "a route has no port; write 'example.com'"),
        ("http://example.com/x", "write the host alone, as in 'example.com/x'"),
        ("a.*.b", "stands alone or for the first labels"),
        ("*example.com", "stands alone"),
        ("bücher.example", "xn--"),
        ("h/a?b", "no query"),
        ("h/a#b", "no fragment"),
        ("h/a b", "escape"),
        ("h/a//b", "without '//'"),
        ("h/../b", "without"),
        ("h/%2e%2E/b", "without"),
        ("h/a;b", "differ in what they make of ';'"),
        ("h/a%2Fb", "differ in what they make of '%2F'"),
        ("h/a%5cb", "differ in what they make of '%5c'"),
        ("h/a%00", "differ"),
        ("a/%61pi, a/api", "'a/api' is named twice"),
        ("::1", "brackets"),
        ("[fe80::1%eth0]", "no request names a zone"),
        ("a, ", "a comma without a host"),
        (",a", "a comma without a host"),
        ("a,,b", "a comma without a host"),
        ("a, b, A.", "'a' is named twice"),
        ("a, b:80", "a route has no port; write 'b'"),
        ("a, http://b/", "write the host alone"),
    ],
)
def test_what_is_no_route(key: str, why: str) -> None:
    with pytest.raises(ValueError, match=why):
        normal_route_key(key)


@pytest.mark.parametrize(
    ("key", "named"),
    [
        ("Example.COM.", b"eXample.com:80"),
        ("example.com", b"example.com."),
        ("[2001:DB8:0::1]", b"[2001:db8::0:1]:8080"),
        ("[::ffff:192.0.2.1]", b"[::FFFF:c000:201]"),
        ("192.0.2.1.", b"192.0.2.1"),
        ("a_b.c", b"A_B.C"),
    ],
)
def test_a_host_of_a_route_and_that_of_a_request_have_the_same_normal_form(key: str, named: bytes) -> None:
    """They are compared as texts: two rules for one form would make a route that nothing reaches."""
    assert normal_route_key(key) == host_of(named)


@pytest.mark.parametrize(
    ("text", "host"),
    [
        ("http://App.internal:8081", "app.internal:8081"),
        ("app.internal.", "app.internal"),
        ("127.0.0.1:80", "127.0.0.1"),
        ("[::1]:80", "[::1]"),
        ("[::1]:8080", "[::1]:8080"),
        ("https://app.internal", "app.internal"),
        ("https://app.internal:80", "app.internal:80"),
        ("unix:/run/app.sock", "localhost"),
    ],
)
def test_host_that_a_server_gets_as_its_own(text: str, host: str) -> None:
    assert Address.parse(text).host_field == host
