"""What belongs to one hop: Connection and what it names, upgrades, and what l7 tells of earlier hops."""

from __future__ import annotations

from tests.corpus.cases import Case, Family, Forward, Pairs, get, post

A = (b"X-A", b"1")
B = (b"X-B", b"2")

connection = Family("connection")
for name, fields, kept in (
    ("names-one", (b"Connection: X-A", b"X-A: 1", b"X-B: 2"), (B,)),
    ("names-one-before", (b"X-A: 1", b"X-B: 2", b"Connection: X-A"), (B,)),
    ("names-two", (b"Connection: X-A, X-B", b"X-A: 1", b"X-B: 2"), ()),
    ("two-lines", (b"Connection: X-A", b"Connection: X-B", b"X-A: 1", b"X-B: 2"), ()),
    ("other-case", (b"Connection: x-a", b"X-A: 1", b"X-B: 2"), (B,)),
    ("no-spaces", (b"Connection:X-A,X-B", b"X-A: 1", b"X-B: 2"), ()),
    ("empty-elements", (b"Connection: , ,X-A,,", b"X-A: 1", b"X-B: 2"), (B,)),
    ("tabs", (b"Connection:\tX-A\t,\tkeep-alive", b"X-A: 1", b"X-B: 2"), (B,)),
    ("every-occurrence", (b"Connection: X-A", b"X-A: 1", b"X-B: 2", b"X-A: 3"), (B,)),
    ("names-what-is-absent", (b"Connection: X-C", b"X-A: 1"), (A,)),
    ("keep-alive", (b"Connection: keep-alive", b"X-A: 1"), (A,)),
    ("empty", (b"Connection:", b"X-A: 1"), (A,)),
    ("prefix-is-no-match", (b"Connection: X", b"X-A: 1"), (A,)),
    ("quoted-is-no-match", (b'Connection: "X-A"', b"X-A: 1"), (A,)),
    ("closed-is-not-close", (b"Connection: closed", b"X-A: 1"), (A,)),
    ("itself", (b"Connection: Connection, X-A", b"X-A: 1"), ()),
):
    connection.forward(name, get(*fields), Forward(kept=kept, also=((b"connection", None),)))
for name, line in {
    "close": b"Connection: close",
    "close-upper-case": b"Connection: CLOSE",
    "close-in-a-list": b"Connection: foo, close, bar",
    "close-and-keep-alive": b"Connection: keep-alive, close",
    "close-on-the-second-line": b"Connection: keep-alive\r\nConnection: close",
}.items():
    connection.forward(name, get(line), Forward(closes=True, also=((b"connection", None),)))
for field_name in b"Host X-Forwarded-For X-Forwarded-Proto X-Forwarded-Host X-Forwarded-Port Via X-Request-ID".split():
    connection.forward(
        f"cannot-strip-{field_name.decode()}", get(b"Connection: " + field_name, b"X-A: 1"), Forward(kept=(A,))
    )
for value in (b"Content-Length", b"content-length, close", b"CONTENT-LENGTH"):
    connection.forward(
        f"cannot-strip-{value.decode().replace(', ', '-and-')}",
        post(b"Connection: " + value, b"Content-Length: 5", body=b"hello"),
        Forward(b"POST", body=b"hello", framing="length", closes=b"close" in value),
    )
connection.forward(
    "cannot-strip-Transfer-Encoding",
    post(b"Connection: Transfer-Encoding", b"Transfer-Encoding: chunked", body=b"5\r\nhello\r\n0\r\n\r\n"),
    Forward(b"POST", body=b"hello", framing="chunked"),
)
connection.forward(
    "cannot-strip-Authorization",
    get(b"Connection: Authorization", b"Authorization: Basic dTpw"),
    Forward(kept=((b"Authorization", b"Basic dTpw"),)),
)
connection.forward(
    "cannot-strip-Cookie", get(b"Connection: cookie", b"Cookie: a=b"), Forward(kept=((b"Cookie", b"a=b"),))
)

hop = Family("hop-by-hop")
for line in (
    b"Keep-Alive: timeout=5",
    b"Proxy-Connection: keep-alive",
    b"Proxy-Authorization: Basic dTpw",
    b"Proxy-Authenticate: Basic",
    b"TE: trailers",
    b"TE: gzip",
    b"Upgrade: websocket",
    b"HTTP2-Settings: AAMAAABkAAQAAP__",
    b"keep-alive: 5",
    b"PROXY-CONNECTION: x",
    b"te: trailers",
):
    hop.forward(
        f"drops-{line.partition(b':')[0].decode()}-{line.partition(b': ')[2].decode()[:8]}",
        get(line, b"X-A: 1"),
        Forward(kept=(A,), also=((b"te", None), (b"upgrade", None), (b"connection", None))),
    )
for name, fields, te in (
    ("te-trailers", (b"TE: trailers", b"Connection: TE"), b"trailers"),
    ("te-trailers-other-case", (b"te: Trailers", b"Connection: te"), b"trailers"),
    ("te-trailers-among-others", (b"TE: gzip;q=0.5, trailers", b"Connection: TE"), b"trailers"),
    ("te-without-trailers", (b"TE: gzip", b"Connection: TE"), None),
    ("te-not-named", (b"TE: trailers", b"Connection: keep-alive"), None),
):
    hop.forward(name, get(*fields), Forward(also=((b"te", te),)))

upgrade = Family("upgrade")
NONE = ((b"upgrade", None), (b"connection", None))
for name, fields, also in (
    (
        "websocket",
        (b"Connection: Upgrade", b"Upgrade: websocket"),
        ((b"upgrade", b"websocket"), (b"connection", b"Upgrade")),
    ),
    ("other-case", (b"connection: keep-alive, UPGRADE", b"UPGRADE: WebSocket"), ((b"upgrade", b"WebSocket"),)),
    ("h2c", (b"Connection: Upgrade, HTTP2-Settings", b"Upgrade: h2c", b"HTTP2-Settings: AAMAAABkAAQAAP__"), NONE),
    (
        "h2c-upper-case",
        (b"Connection: Upgrade, HTTP2-Settings", b"Upgrade: H2C", b"HTTP2-Settings: AAMAAABkAAQAAP__"),
        NONE,
    ),
    ("h2c-quoted", (b"Connection: Upgrade", b'Upgrade: "h2c"'), NONE),
    ("h2c-with-space", (b"Connection: Upgrade", b"Upgrade:  h2c "), NONE),
    ("h2c-version", (b"Connection: Upgrade", b"Upgrade: h2c/1"), NONE),
    ("h2c-twice", (b"Connection: Upgrade", b"Upgrade: h2c", b"Upgrade: h2c"), NONE),
    ("h2", (b"Connection: Upgrade", b"Upgrade: h2"), NONE),
    ("http-2", (b"Connection: Upgrade", b"Upgrade: HTTP/2.0"), NONE),
    ("h2c-among-others", (b"Connection: Upgrade", b"Upgrade: h2c, websocket"), ((b"upgrade", b"websocket"),)),
    (
        "h2c-on-the-second-line",
        (b"Connection: Upgrade", b"Upgrade: websocket", b"Upgrade: h2c"),
        ((b"upgrade", b"websocket"),),
    ),
    ("not-named", (b"Upgrade: websocket",), NONE),
    ("not-named-but-close", (b"Connection: foo", b"Upgrade: websocket"), NONE),
    ("named-but-absent", (b"Connection: upgrade",), NONE),
    ("empty", (b"Connection: upgrade", b"Upgrade:"), NONE),
):
    upgrade.forward(name, get(*fields), Forward(also=also))
upgrade.forward(
    "with-a-body",
    post(b"Connection: Upgrade", b"Upgrade: websocket", b"Content-Length: 5", body=b"hello"),
    Forward(b"POST", body=b"hello", framing="length", also=((b"upgrade", b"websocket"),)),
)
upgrade.forward(
    "h2c-with-a-body",
    post(
        b"Connection: Upgrade, HTTP2-Settings",
        b"Upgrade: h2c",
        b"HTTP2-Settings: AA",
        b"Content-Length: 5",
        body=b"hello",
    ),
    Forward(b"POST", body=b"hello", framing="length", also=NONE),
)

forwarded = Family("forwarded")
SPOOFS = (
    b"X-Forwarded-For: 10.0.0.1",
    b"x-forwarded-for: 10.0.0.1",
    b"X-FORWARDED-FOR: 10.0.0.1",
    b"X-Forwarded-For: 127.0.0.1, 10.0.0.1",
    b"X-Forwarded-For:",
    b"X-Forwarded-For: \xff",
    b"X-Forwarded-For: 1.1.1.1\r\nX-Forwarded-For: 2.2.2.2",
    b"X-Forwarded-Proto: https",
    b"X-Forwarded-Host: evil.test",
    b"X-Forwarded-Port: 443",
    b"X-Forwarded-Server: evil",
    b"X-Forwarded-Prefix: /evil",
    b"X-Forwarded-Whatever: evil",
    b"Forwarded: for=10.0.0.1",
    b"forwarded: for=10.0.0.1;proto=https",
    b"X-Real-IP: 10.0.0.1",
    b"x-real-ip: 10.0.0.1",
    b"X-Request-ID: spoofed",
    b"x-request-id: spoofed",
    b"X-Request-ID: a\r\nX-Request-ID: b",
    b"X_Forwarded_For: 10.0.0.1",
    b"X-Forwarded_For: 10.0.0.1",
    b"X_Forwarded-For: 10.0.0.1",
    b"x_forwarded_proto: https",
    b"X_Forwarded_Host: evil",
    b"X_Forwarded_Port: 1",
    b"X_Real_IP: 10.0.0.1",
    b"X_Request_ID: spoofed",
    b"Content_Length: 5",
    b"Transfer_Encoding: chunked",
    b"content_length: 5",
    b"X_Forwarded_Whatever: evil",
)
for line in SPOOFS:
    clean = line.replace(b"\r\n", b"-and-").replace(b"\xff", b"xff").decode()
    forwarded.forward(f"spoofed-{clean.replace(': ', '=')}", get(line, b"X-A: 1"), Forward(kept=(A,)))
forwarded.forward("spoofed-after", get(b"X-A: 1", b"X-Forwarded-For: 10.0.0.1", b"X-B: 2"), Forward(kept=(A, B)))
forwarded.forward(
    "spoofed-and-named-in-connection", get(b"X-Forwarded-For: 10.0.0.1", b"Connection: X-Forwarded-For"), Forward()
)
ORDINARY: tuple[Pairs, ...] = (
    ((b"X_Custom", b"1"),),
    ((b"X-Forward", b"1"),),
    ((b"Forwarded-X", b"1"),),
    ((b"X-Real-IPs", b"1"),),
    ((b"HTTP_X", b"1"),),
)
for pairs in ORDINARY:
    name, value = pairs[0]
    forwarded.forward(f"keeps-{name.decode()}", get(name + b": " + value), Forward(kept=pairs))

CASES: list[Case] = [*connection.cases, *hop.cases, *upgrade.cases, *forwarded.cases]
