"""What goes on, to the byte."""

from __future__ import annotations

import pytest

from l7.http import forwarding
from l7.http.messages import ABSENT, CHUNKED, UNTIL_CLOSE, RequestHead, ResponseHead
from l7.http.parser import RequestParser, ResponseParser

HOP = forwarding.Hop("192.0.2.7", 8080, b"proxy.test:8080")
DATE = b"Sun, 06 Nov 1994 08:49:37 GMT"


def parse(*fields: bytes, line: bytes = b"GET /p HTTP/1.1", host: bytes | None = b"Host: a.test:1") -> RequestHead:
    return RequestParser(20, 1000).parse(b"\r\n".join([line, *([host] if host else []), *fields]))


def forward(*fields: bytes, believed: bytes | None = None, **options: bytes | None) -> list[bytes]:
    head = HOP.request_head(parse(*fields, **options), b"id1", believed)
    assert head.endswith(b"\r\n\r\n")
    return head[:-4].split(b"\r\n")


def answer(*fields: bytes, line: bytes = b"HTTP/1.1 200 OK", method: bytes = b"GET") -> ResponseHead:
    return ResponseParser(20).parse(b"\r\n".join([line, *fields]), method)


def respond(head: ResponseHead, length: int, connection: bytes = b"") -> list[bytes]:
    raw = HOP.response_head(head, length, DATE, connection)
    assert raw.endswith(b"\r\n\r\n")
    return raw[:-4].split(b"\r\n")


FORWARDED = [
    b"X-Forwarded-For: 192.0.2.7", b"X-Real-IP: 192.0.2.7", b"X-Forwarded-Proto: http", b"X-Forwarded-Port: 1"
]  # fmt: skip


def test_a_request():
    assert forward(b"X-B:1", b"cookie:  x") == [
        b"GET /p HTTP/1.1",
        b"Host: a.test:1",
        b"X-B:1",
        b"cookie:  x",
        *FORWARDED,
        b"X-Forwarded-Host: a.test:1",
        b"Via: 1.1 l7",
        b"X-Request-ID: id1",
    ]


def test_http_1_0_without_host_is_named_after_the_listener():
    lines = forward(line=b"GET / HTTP/1.0", host=None)
    assert lines[:2] == [b"GET / HTTP/1.1", b"Host: proxy.test:8080"]
    assert b"X-Forwarded-Host: proxy.test:8080" in lines and b"Via: 1.0 l7" in lines


def test_absolute_form_becomes_origin_form_with_its_own_host():
    lines = forward(line=b"GET http://b.test/x?y HTTP/1.1")
    assert lines[:2] == [b"GET /x?y HTTP/1.1", b"Host: b.test"] and b"X-Forwarded-Host: b.test" in lines
    assert sum(line.startswith(b"Host:") for line in lines) == 1


@pytest.mark.parametrize(
    ("field", "written"),
    [
        (b"Content-Length: 0007", [b"Content-Length: 7"]),
        (b"content-length:0", [b"Content-Length: 0"]),
        (b"Transfer-Encoding: CHUNKED", [b"Transfer-Encoding: chunked"]),
        (b"X: y", []),
    ],
)
def test_framing_is_written_anew(field, written):
    lines = forward(field, line=b"POST / HTTP/1.1")
    assert [line for line in lines if line.lower().startswith((b"content-length", b"transfer-encoding"))] == written


def test_what_clients_say_of_earlier_hops_is_replaced():
    lines = forward(
        b"X-Forwarded-For: 6.6.6.6",
        b"x-forwarded-proto: https",
        b"Forwarded: for=6",
        b"X-Real-IP: 6",
        b"X-Request-ID: 6",
    )
    assert not any(b"6" in line.partition(b":")[2] for line in lines)
    assert [line for line in lines if line.startswith((b"X-F", b"X-Real"))] == [
        *FORWARDED,
        b"X-Forwarded-Host: a.test:1",
    ]


def test_via_is_added_to():
    lines = forward(b"Via: 1.0 inner", b"X: y")
    assert [line for line in lines if line.startswith(b"Via")] == [b"Via: 1.0 inner", b"Via: 1.1 l7"]


def test_expect_travels_where_there_is_a_body():
    assert b"Expect: 100-continue" in forward(b"Expect: 100-Continue", b"Content-Length: 1")
    assert not any(line.startswith(b"Expect") for line in forward(b"Expect: 100-continue"))


def test_upgrade_and_te_travel_with_connection():
    lines = forward(b"Upgrade: websocket, h2c", b"Connection: keep-alive, Upgrade, TE", b"TE: gzip, trailers")
    assert lines[-3:] == [b"Upgrade: websocket", b"TE: trailers", b"Connection: Upgrade, TE"]
    assert not any(
        line.startswith((b"Connection", b"Upgrade")) for line in forward(b"Upgrade: h2c", b"Connection: upgrade")
    )


def test_max_forwards_is_counted_down():
    lines = forward(b"Max-Forwards: 7", line=b"OPTIONS * HTTP/1.1")
    assert lines[0] == b"OPTIONS * HTTP/1.1" and b"Max-Forwards: 6" in lines
    assert b"Max-Forwards: 7" in forward(b"Max-Forwards: 7")


def test_loops_are_counted_by_our_name():
    assert not forwarding.loops(parse(b"Via: 1.1 other"))
    assert not forwarding.loops(parse(*[b"Via: 1.1 l7"] * (forwarding.MOST_HOPS - 1)))
    assert forwarding.loops(parse(b"Via: " + b", ".join([b"1.1 l7"] * forwarding.MOST_HOPS)))


def test_request_ids_are_taken_when_they_are_ids():
    assert forwarding.request_id_of(parse(b"X-Request-ID: abc-1")) == b"abc-1"
    for value in (b"", b"a b", b'a"', b"x" * 129, b"a\\b", b"\xe9"):
        assert forwarding.request_id_of(parse(b"X-Request-ID: " + value)) == b""
    assert forwarding.request_id_of(parse(b"X-Request-ID: a", b"X-Request-ID: b")) == b""


# -------------------------------------------------------------------------------------------- trusted proxies


def trusted(client: str) -> bool:
    return client.startswith("10.") or client == "192.0.2.7"


@pytest.mark.parametrize(
    ("chain", "client"),
    [
        (b"1.2.3.4", "1.2.3.4"),
        (b"6.6.6.6, 1.2.3.4, 10.0.0.1", "1.2.3.4"),
        (b"10.0.0.2,10.0.0.1", "10.0.0.2"),
        (b"unknown, 10.0.0.1", "10.0.0.1"),
        (b"1.2.3.4, junk", "192.0.2.7"),
        (b"", "192.0.2.7"),
        (b",", "192.0.2.7"),
        (b"[2001:db8::1]", "2001:db8::1"),
        (b"1.2.3.4:80", "1.2.3.4"),
        (b"6.6.6.6, [2001:db8::1]:443, ::ffff:10.0.0.1", "2001:db8::1"),
        (b"6.6.6.6, unknown, 10.0.0.1:99", "10.0.0.1"),
        (b"1.2.3.4, , 10.0.0.1", "1.2.3.4"),
        (b"\xe9", "192.0.2.7"),
    ],
)
def test_the_client_is_the_last_address_that_is_not_trusted(chain, client):
    head = parse(b"X-Forwarded-For: " + chain)
    found, lines = forwarding.believe(head, HOP, trusted)
    assert found == client
    assert lines.split(b"\r\n")[0].endswith(b"192.0.2.7")


def test_what_a_trusted_proxy_says_travels_on():
    head = parse(
        b"X-Forwarded-For: 1.1.1.1", b"x-forwarded-for:2.2.2.2", b"X-Forwarded-Proto: https",
        b"X-Forwarded-Host: b.test",
        b"X-Forwarded-Port: 443", b"Forwarded: for=1.1.1.1", b"X-Forwarded-Prefix: /x",
    )  # fmt: skip
    client, lines = forwarding.believe(head, HOP, trusted)
    assert client == "2.2.2.2"
    assert lines.split(b"\r\n") == [
        b"X-Forwarded-For: 1.1.1.1, 2.2.2.2, 192.0.2.7",
        b"X-Real-IP: 2.2.2.2",
        b"X-Forwarded-Proto: https",
        b"X-Forwarded-Port: 443",
        b"X-Forwarded-Host: b.test",
        b"Forwarded: for=1.1.1.1",
        b"X-Forwarded-Prefix: /x",
    ]
    raw = HOP.request_head(head, b"id", lines)
    assert raw.count(b"X-Forwarded-For") == 1 and b"https" in raw


@pytest.mark.parametrize(
    ("said", "client", "lines"),
    [
        ((b"for=1.2.3.4;proto=HTTPS;host=b.test",), "1.2.3.4", [b"1.2.3.4", b"https", b"443", b"b.test"]),
        ((b'for=1.2.3.4;host="b.test:99"',), "1.2.3.4", [b"1.2.3.4", b"http", b"99", b"b.test:99"]),
        ((b"for=1.2.3.4;proto=https, for=10.0.0.1",), "1.2.3.4", [b"1.2.3.4, 10.0.0.1", b"https", b"1", b"a.test:1"]),
        ((b'for="[2001::7]:443"', b"for=10.0.0.1"), "2001::7", [b"2001::7, 10.0.0.1", b"http", b"1", b"a.test:1"]),
        ((b"for=6.6.6.6, for=_hidden;proto=https",), "192.0.2.7", [b"6.6.6.6, unknown", b"http", b"1", b"a.test:1"]),
        ((b'for=6.6.6.6;x=", for=1.2.3.4',), "192.0.2.7", [b"unknown", b"http", b"1", b"a.test:1"]),
        ((b"for=1.2.3.4;for=6.6.6.6",), "192.0.2.7", [b"unknown", b"http", b"1", b"a.test:1"]),
        ((b'for=1.2.3.4;proto=gopher;host="a b"',), "1.2.3.4", [b"1.2.3.4", b"http", b"1", b"a.test:1"]),
    ],
)
def test_forwarded_stands_in_for_the_other_fields(said, client, lines):
    fields = [b"Forwarded: " + value for value in said]
    found, written = forwarding.believe(parse(*fields), HOP, trusted)
    chain, proto, port, host = lines
    assert found == client
    assert written.split(b"\r\n") == [
        b"X-Forwarded-For: " + chain + b", 192.0.2.7",
        b"X-Real-IP: " + client.encode(),
        b"X-Forwarded-Proto: " + proto,
        b"X-Forwarded-Port: " + port,
        b"X-Forwarded-Host: " + host,
        *fields,
    ]


def test_of_both_x_forwarded_for_counts():
    """Whoever sets one may pass the other on as a client wrote it; so nothing is taken of Forwarded then."""
    said = (b"Forwarded: for=6.6.6.6;proto=https;host=evil.test", b"X-Forwarded-For: 1.2.3.4")
    found, lines = forwarding.believe(parse(*said), HOP, trusted)
    assert found == "1.2.3.4"
    assert fields_of(lines)[b"X-Forwarded-Proto"] == b"http"
    assert fields_of(lines)[b"X-Forwarded-Host"] == b"a.test:1"


def fields_of(lines: bytes) -> dict[bytes, bytes]:
    return {name: value for name, _, value in (line.partition(b": ") for line in lines.split(b"\r\n"))}


@pytest.mark.parametrize(
    ("said", "client"),
    [
        ((b"x-real-ip: 1.2.3.4:5",), "1.2.3.4"),
        ((b"X-Real-IP: [2001:db8::7]:1",), "2001:db8::7"),
        ((b"X-Real-IP: unknown",), "192.0.2.7"),
        ((b"X-Real-IP: 6.6.6.6", b"X-Real-IP: 1.2.3.4"), "192.0.2.7"),
        ((b"X-Real-IP: 6.6.6.6", b"X-Forwarded-For: 1.2.3.4"), "1.2.3.4"),
        ((b"X-Real-IP: 6.6.6.6", b"Forwarded: for=1.2.3.4"), "1.2.3.4"),
        ((b"X-Real-IP: 6.6.6.6", b"X-Forwarded-For: unknown"), "192.0.2.7"),
    ],
)
def test_x_real_ip_is_the_client_that_the_log_names(said, client):
    """A proxy that says no more than that is believed; one that has a chain has said it there."""
    found, lines = forwarding.believe(parse(*said), HOP, trusted)
    assert found == client
    assert fields_of(lines)[b"X-Real-IP"] == client.encode()
    assert lines.lower().count(b"x-real-ip") == 1
    if len(said) == 1 and client != "192.0.2.7":
        assert fields_of(lines)[b"X-Forwarded-For"] == client.encode() + b", 192.0.2.7"


@pytest.mark.parametrize(
    ("host", "port"),
    [
        (b"a.test", b"80"),
        (b"a.test:8080", b"8080"),
        (b"a.test:", b"80"),
        (b"a.test:0443", b"443"),
        (b"[2001:db8::7]", b"80"),
        (b"[2001:db8::7]:81", b"81"),
    ],
)
def test_the_port_is_the_one_that_the_client_sees(host, port):
    """As with a mapped port: what l7 listens on may be another one."""
    assert b"X-Forwarded-Port: " + port in forward(host=b"Host: " + host)
    _, lines = forwarding.believe(parse(host=b"Host: " + host), HOP, trusted)
    assert fields_of(lines)[b"X-Forwarded-Port"] == port


@pytest.mark.parametrize(
    ("said", "host", "port"),
    [
        ((b"X-Forwarded-Proto: https",), b"a.test", b"443"),
        ((b"X-Forwarded-Proto: https",), b"127.0.0.1:8080", b"443"),  # Host is what the proxy calls l7
        ((b"X-Forwarded-Proto: https",), b"a.test:8443", b"8443"),  # Host is what the client wrote
        ((b"X-Forwarded-Proto: https", b"X-Forwarded-Host: b.test"), b"a.test:8443", b"443"),
        ((b"X-Forwarded-Proto: https", b"X-Forwarded-Host: b.test:444"), b"a.test", b"444"),
        ((b"X-Forwarded-Proto: https", b"X-Forwarded-Host: x:1, b.test:444"), b"a.test", b"444"),
        ((b"X-Forwarded-Proto: https", b"X-Forwarded-Host: 2001:db8::7"), b"a.test", b"443"),
        ((b"X-Forwarded-Proto: https", b"X-Forwarded-Host: b.test:99999"), b"a.test", b"443"),
        ((b"X-Forwarded-Proto: http, HTTPS",), b"a.test", b"443"),
        ((b"X-Forwarded-Proto: http",), b"a.test:8080", b"80"),
        ((b"X-Forwarded-Proto: wss",), b"a.test", b"443"),
        ((b"X-Forwarded-Proto: https", b"X-Forwarded-Port: 8080"), b"a.test", b"8080"),
        ((b"X-Forwarded-Host: b.test",), b"a.test:8080", b"80"),
        ((b"Forwarded: for=1.2.3.4;proto=https",), b"127.0.0.1:8080", b"443"),
        ((b"X-Forwarded-Proto: https", b"X-Forwarded-Port:", b"X-Forwarded-Host: "), b"a.test", b"443"),
    ],
)
def test_the_port_fits_what_a_trusted_proxy_says(said, host, port):
    _, lines = forwarding.believe(parse(*said, host=b"Host: " + host), HOP, trusted)
    assert fields_of(lines)[b"X-Forwarded-Port"] == port


def test_requests_for_several_hosts_on_one_connection():
    for host in (b"a.test:1", b"b.test", b"b.test", b"a.test:1"):
        lines = forward(host=b"Host: " + host)
        assert b"X-Forwarded-Host: " + host in lines
        assert b"X-Forwarded-Port: " + (b"1" if b":" in host else b"80") in lines


def test_without_via():
    hop = forwarding.Hop("192.0.2.7", 8080, b"proxy.test:8080", via=False)
    lines = hop.request_head(parse(b"Via: 1.0 inner"), b"id1").split(b"\r\n")
    assert [line for line in lines if line.startswith(b"Via")] == [b"Via: 1.0 inner"]
    assert b"X-Request-ID: id1" in lines


def test_the_login_is_said():
    assert HOP.request_head(parse(), b"id1", user=b"j\xc3\xb6").endswith(b"\r\nX-Forwarded-User: j\xc3\xb6\r\n\r\n")
    assert b"User" not in HOP.request_head(parse(), b"id1")
    lines = b"A: 1\r\nAUTHORIZATION: x\r\nAuthorizations: y\r\nauthorization:z"
    assert forwarding.without(lines, b"authorization") == b"A: 1\r\nAuthorizations: y"


UNIX_HOP = forwarding.Hop("unix:", 0, b"localhost")


def test_of_who_comes_by_a_unix_socket_nothing_is_said_that_is_not_known():
    """nginx writes ``X-Forwarded-For: unix:``, HAProxy and Caddy leave the address out."""
    lines = UNIX_HOP.request_head(parse(), b"id1")[:-4].split(b"\r\n")
    assert lines[2:] == [b"X-Forwarded-Host: a.test:1", b"Via: 1.1 l7", b"X-Request-ID: id1"]


@pytest.mark.parametrize(
    ("fields", "client", "lines"),
    [
        ((), "unix:", [b"X-Forwarded-Host: a.test:1"]),
        (
            (b"X-Forwarded-For: 6.6.6.6, 1.2.3.4", b"X-Forwarded-Proto: https", b"X-Forwarded-Port: 443"),
            "1.2.3.4",
            [
                b"X-Forwarded-For: 6.6.6.6, 1.2.3.4", b"X-Real-IP: 1.2.3.4", b"X-Forwarded-Proto: https",
                b"X-Forwarded-Port: 443", b"X-Forwarded-Host: a.test:1",
            ],
        ),
        (
            (b"Forwarded: for=1.2.3.4;proto=https",),
            "1.2.3.4",
            [
                b"X-Forwarded-For: 1.2.3.4", b"X-Real-IP: 1.2.3.4", b"X-Forwarded-Proto: https",
                b"X-Forwarded-Port: 1", b"X-Forwarded-Host: a.test:1",
                b"Forwarded: for=1.2.3.4;proto=https",
            ],
        ),
    ],
)  # fmt: skip
def test_a_trusted_proxy_by_a_unix_socket(fields, client, lines):
    found, written = forwarding.believe(parse(*fields), UNIX_HOP, trusted)
    assert (found, written.split(b"\r\n")) == (client, lines)


def test_a_trusted_proxy_that_says_nothing():
    client, lines = forwarding.believe(parse(), HOP, trusted)
    assert client == "192.0.2.7"
    assert lines.split(b"\r\n") == [*FORWARDED, b"X-Forwarded-Host: a.test:1"]


# -------------------------------------------------------------------------------------------------- responses


def test_a_response():
    head = answer(b"X-A:1", b"Content-Length: 05", b"Connection: close, x-b", b"X-B: 2", b"Keep-Alive: 5")
    assert respond(head, 5) == [b"HTTP/1.1 200 OK", b"X-A:1", b"Date: " + DATE, b"Content-Length: 5"]
    assert respond(head, 5, b"close")[-1] == b"Connection: close"
    assert respond(answer(b"Date: mine"), CHUNKED) == [b"HTTP/1.1 200 OK", b"Date: mine", b"Transfer-Encoding: chunked"]
    assert respond(answer(line=b"HTTP/1.0 404 No"), UNTIL_CLOSE) == [b"HTTP/1.1 404 No", b"Date: " + DATE]


def test_lengths_of_answers_without_a_body():
    assert b"Content-Length: 9" in respond(answer(b"Content-Length: 9", method=b"HEAD"), ABSENT)
    assert b"Content-Length: 9" in respond(answer(b"Content-Length: 9", line=b"HTTP/1.1 304 x"), ABSENT)
    for head in (
        answer(b"Content-Length: 9", line=b"HTTP/1.1 204 x"),
        answer(b"Transfer-Encoding: chunked", line=b"HTTP/1.1 204 x"),
        answer(method=b"HEAD"),
    ):
        assert not any(b"ength" in line or b"Encoding" in line for line in respond(head, ABSENT))


def test_interim_and_switching():
    head = answer(b"Link: </a>", b"Content-Length: 5", b"Connection: close", line=b"HTTP/1.1 103 Early")
    assert forwarding.interim_head(head) == b"HTTP/1.1 103 Early\r\nLink: </a>\r\n\r\n"
    head = answer(b"Upgrade: websocket", b"Connection: upgrade", b"Sec-X: 1", line=b"HTTP/1.1 101 S")
    assert forwarding.switching_head(head) == (
        b"HTTP/1.1 101 S\r\nSec-X: 1\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n"
    )


@pytest.mark.parametrize(
    ("fields", "minor", "framing"),
    [((b"Content-Length: 3",), 1, 3), ((b"Content-Length: 3",), 0, 3), ((b"Transfer-Encoding: chunked",), 1, CHUNKED),
     ((b"Transfer-Encoding: chunked",), 0, UNTIL_CLOSE), ((), 1, CHUNKED), ((), 0, UNTIL_CLOSE)],
)  # fmt: skip
def test_framing_towards_the_client(fields, minor, framing):
    assert HOP.framing(answer(*fields), minor) == framing


def test_no_body_stays_no_body():
    for minor in (0, 1):
        assert HOP.framing(answer(b"Transfer-Encoding: chunked", method=b"HEAD"), minor) == ABSENT


def test_what_clients_speak_is_what_their_listener_says():
    hop = forwarding.Hop("192.0.2.7", 8443, b"proxy.test:8443", b"https")
    lines = hop.request_head(parse(host=b"Host: a.test"), b"id1").split(b"\r\n")
    assert b"X-Forwarded-Proto: https" in lines and b"X-Forwarded-Port: 443" in lines
    _, believed = forwarding.believe(parse(), hop, trusted)
    assert b"X-Forwarded-Proto: https" in believed.split(b"\r\n")
    assert FORWARDED[2] in forward(), "of another listener on another port nothing has changed"
