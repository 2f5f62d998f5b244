"""Answers that the client is given whole, and what becomes of the server's connection after them."""

from __future__ import annotations

from tests.corpus.cases import Answers, Exchange, Relay, chunks, each, ok

HELLO = b"hello"
LENGTH = b"Content-Length: 5"
CODED = b"Transfer-Encoding: chunked"
WHOLE = Relay(body=HELLO)

status = Answers("r-status")
for code in (
    *(
        200,
        201,
        202,
        203,
        206,
        207,
        226,
        299,
        300,
        301,
        302,
        303,
        307,
        308,
        400,
        401,
        402,
        403,
        404,
        405,
        408,
        409,
        410,
        411,
        413,
        415,
        416,
        417,
    ),
    *(418, 421, 422, 425, 426, 428, 429, 431, 451, 499, 500, 501, 502, 503, 504, 505, 507, 508, 511, 520, 599),
):
    status.add(
        str(code), ok(LENGTH, body=HELLO, status=b"HTTP/1.1 %d Whatever" % code), Relay(code, HELLO), reused=True
    )
for name, line, reason in (
    ("reason", b"HTTP/1.1 200 All is well", b"All is well"),
    ("empty-reason", b"HTTP/1.1 200 ", b""),
    ("no-reason", b"HTTP/1.1 200", b""),
    ("obs-text", b"HTTP/1.1 200 \xe9t\xe9", b"\xe9t\xe9"),
    ("tab", b"HTTP/1.1 200 a\tb", b"a\tb"),
    ("long-reason", b"HTTP/1.1 200 " + b"x" * 4000, b"x" * 4000),
    ("reason-with-digits", b"HTTP/1.1 200 404", b"404"),
):
    status.add(name, ok(LENGTH, body=HELLO, status=line), Relay(body=HELLO, reason=reason))
for minor in (2, 9):
    status.add(f"http-1.{minor}", ok(LENGTH, body=HELLO, status=b"HTTP/1.%d 200 OK" % minor), WHOLE)

framing = Answers("r-frame")
for name, field in {
    "length": LENGTH,
    "leading-zero": b"Content-Length: 05",
    "spaces": b"Content-Length:   5  ",
    "tabs": b"Content-Length:\t5\t",
    "lower-case": b"content-length: 5",
    "no-space": b"Content-Length:5",
}.items():
    framing.add(name, ok(field, body=HELLO), Relay(body=HELLO, framing="length", length=b"5"), reused=True)
framing.add("length-zero", ok(b"Content-Length: 0"), Relay(framing="length", length=b"0"), reused=True)
framing.add("until-close", ok(body=HELLO), Relay(body=HELLO, framing="chunked"), then="close", reused=False)
framing.add(
    "until-close-announced", ok(b"Connection: close", body=HELLO), Relay(body=HELLO), then="close", reused=False
)
framing.add("until-close-empty", ok(), Relay(), then="close", reused=False)
framing.add(
    "until-close-looks-like-an-answer",
    ok(body=ok(LENGTH, body=HELLO)),
    Relay(body=ok(LENGTH, body=HELLO)),
    then="close",
    reused=False,
)
framing.add("until-close-100-kB", ok(body=b"x" * 100000), Relay(body=b"x" * 100000), then="close", reused=False)
framing.add("close-and-length", ok(b"Connection: close", LENGTH, body=HELLO), WHOLE, then="close", reused=False)
framing.add("close-and-length-but-open", ok(b"Connection: close", LENGTH, body=HELLO), WHOLE, reused=False)
framing.add("length-100-kB", ok(b"Content-Length: 100000", body=b"x" * 100000), Relay(body=b"x" * 100000), reused=True)
framing.add("1.0-until-close", ok(body=HELLO, status=b"HTTP/1.0 200 OK"), WHOLE, then="close", reused=False)
framing.add("1.0-length", ok(LENGTH, body=HELLO, status=b"HTTP/1.0 200 OK"), WHOLE, then="close", reused=False)
framing.add("1.0-length-but-open", ok(LENGTH, body=HELLO, status=b"HTTP/1.0 200 OK"), WHOLE, reused=False)
framing.add("1.0-keep-alive", ok(LENGTH, b"Connection: keep-alive", body=HELLO, status=b"HTTP/1.0 200 OK"), WHOLE)
for name, body in {
    "one": chunks(HELLO),
    "bytes": chunks(b"h", b"e", b"l", b"l", b"o"),
    "leading-zeros": b"005\r\nhello\r\n000\r\n\r\n",
    "upper-case-name": chunks(HELLO),
    "extension": b"5;a=b\r\nhello\r\n0;c\r\n\r\n",
    "extension-quoted": b'5;a="b;c"\r\nhello\r\n0\r\n\r\n',
    "extension-spaces": b"5 ; a\r\nhello\r\n0\r\n\r\n",
}.items():
    framing.add(
        f"chunked-{name}",
        ok(CODED.upper() if "upper" in name else CODED, body=body),
        Relay(body=HELLO, framing="chunked"),
        reused=True,
    )
framing.add("chunked-empty", ok(CODED, body=b"0\r\n\r\n"), Relay(framing="chunked"), reused=True)
framing.add("chunked-2000", ok(CODED, body=chunks(*[b"x"] * 2000)), Relay(body=b"x" * 2000), reused=True)
framing.add("chunked-100-kB", ok(CODED, body=chunks(b"x" * 100000)), Relay(body=b"x" * 100000), reused=True)
framing.add("chunked-and-close", ok(CODED, b"Connection: close", body=chunks(HELLO)), WHOLE, reused=False)

trailers = Answers("r-trailer")
for name, lines_, expected in (
    ("one", b"X-T: a\r\n", ((b"X-T", b"a"),)),
    ("two", b"X-T: a\r\nX-U: b\r\n", ((b"X-T", b"a"), (b"X-U", b"b"))),
    *(
        (f"drops-{word.decode()}", word + b": 5\r\nX-T: a\r\n", ((b"X-T", b"a"),))
        for word in (
            b"Content-Length Transfer-Encoding Host Connection Keep-Alive Trailer Upgrade Set-Cookie Content-Encoding Content-Type "
            b"Content-Range Location Retry-After Vary Cache-Control Authorization WWW-Authenticate Via X-Forwarded-For"
        ).split()
    ),
):
    trailers.add(
        name,
        ok(CODED, body=b"5\r\nhello\r\n0\r\n" + lines_ + b"\r\n"),
        Relay(body=HELLO, trailers=expected),
        reused=True,
    )

nobody = Answers("r-nobody")
nobody.add("head-length", ok(LENGTH), Relay(length=b"5"), method=b"HEAD", reused=True)
nobody.add("head-length-zero", ok(b"Content-Length: 0"), Relay(length=b"0"), method=b"HEAD", reused=True)
nobody.add(
    "head-huge-length", ok(b"Content-Length: 99999999999"), Relay(length=b"99999999999"), method=b"HEAD", reused=True
)
nobody.add("head-chunked", ok(CODED), Relay(), method=b"HEAD", reused=True)
nobody.add("head-nothing", ok(), Relay(), method=b"HEAD", reused=True)
nobody.add("head-close", ok(b"Connection: close"), Relay(), method=b"HEAD", then="close", reused=False)
nobody.add(
    "head-404", ok(LENGTH, status=b"HTTP/1.1 404 Not Found"), Relay(404, length=b"5"), method=b"HEAD", reused=True
)
for code in (204, 304):
    for method in (b"GET", b"HEAD", b"POST"):
        line = b"HTTP/1.1 %d Nothing" % code
        word = f"{code}-{method.decode().lower()}"
        nobody.add(word, ok(status=line), Relay(code, framing="none"), method=method, reused=True)
        nobody.add(
            f"{word}-length-zero", ok(b"Content-Length: 0", status=line), Relay(code), method=method, reused=True
        )
    nobody.add(f"{code}-etag", ok(b'ETag: "x"', status=line), Relay(code, kept=((b"ETag", b'"x"'),)), reused=True)
    nobody.add(f"{code}-length", ok(LENGTH, status=line), Relay(code), reused=True)
    nobody.add(f"{code}-chunked", ok(CODED, status=line), Relay(code))
nobody.add("304-length-is-told", ok(LENGTH, status=b"HTTP/1.1 304 Not Modified"), Relay(304, length=b"5"), reused=True)
nobody.add("205-length-zero", ok(b"Content-Length: 0", status=b"HTTP/1.1 205 Reset"), Relay(205), reused=True)

fields = Answers("r-field")
for name, lines_, kept in (
    ("order-and-case", (b"x-B: 1", b"X-a: 2", b"x-b: 3"), ((b"x-B", b"1"), (b"X-a", b"2"), (b"x-b", b"3"))),
    ("set-cookie-twice", (b"Set-Cookie: a=1", b"Set-Cookie: b=2"), ((b"Set-Cookie", b"a=1"), (b"Set-Cookie", b"b=2"))),
    ("obs-text", (b"X-A: \x80\xff",), ((b"X-A", b"\x80\xff"),)),
    ("empty-value", (b"X-A:",), ((b"X-A", b""),)),
    ("no-space", (b"X-A:b",), ((b"X-A", b"b"),)),
    ("tabs", (b"X-A:\tb\tc\t",), ((b"X-A", b"b\tc"),)),
    ("server", (b"Server: x",), ((b"Server", b"x"),)),
    ("via", (b"Via: 1.1 other",), ((b"Via", b"1.1 other"),)),
    ("underscore", (b"X_A: b",), ((b"X_A", b"b"),)),
    ("www-authenticate", (b'WWW-Authenticate: Basic realm="x"',), ((b"WWW-Authenticate", b'Basic realm="x"'),)),
    ("location", (b"Location: http://127.0.0.1:1/",), ((b"Location", b"http://127.0.0.1:1/"),)),
    ("trailer", (b"Trailer: X-T",), ((b"Trailer", b"X-T"),)),
    ("long-value", (b"X-A: " + b"b" * 16000,), ((b"X-A", b"b" * 16000),)),
    ("50-fields", tuple(b"X-%d: y" % n for n in range(50)), tuple((b"X-%d" % n, b"y") for n in range(50))),
    ("connection-names-one", (b"Connection: X-A", b"X-A: 1", b"X-B: 2"), ((b"X-B", b"2"),)),
    ("connection-names-two", (b"Connection: x-a", b"Connection: x-b", b"X-A: 1", b"X-B: 2"), ()),
    ("connection-keep-alive", (b"Connection: keep-alive", b"Keep-Alive: timeout=5", b"X-B: 2"), ((b"X-B", b"2"),)),
    ("drops-proxy-connection", (b"Proxy-Connection: close", b"X-B: 2"), ((b"X-B", b"2"),)),
    ("drops-keep-alive", (b"Keep-Alive: timeout=5", b"X-B: 2"), ((b"X-B", b"2"),)),
    ("drops-te", (b"TE: trailers", b"X-B: 2"), ((b"X-B", b"2"),)),
    ("drops-upgrade", (b"Upgrade: h2c", b"X-B: 2"), ((b"X-B", b"2"),)),
):
    fields.add(name, ok(LENGTH, *lines_, body=HELLO), Relay(body=HELLO, kept=kept), reused=True)
fields.add(
    "connection-names-content-length",
    ok(LENGTH, b"Connection: Content-Length", body=HELLO),
    Relay(body=HELLO, length=b"5"),
    reused=True,
)
fields.add(
    "connection-names-transfer-encoding",
    ok(CODED, b"Connection: Transfer-Encoding", body=chunks(HELLO)),
    WHOLE,
    reused=True,
)
fields.add(
    "connection-names-set-cookie",
    ok(LENGTH, b"Connection: Set-Cookie", b"Set-Cookie: a", body=HELLO),
    Relay(body=HELLO, kept=((b"Set-Cookie", b"a"),)),
    reused=True,
)
for name, byte in each(b"\x80\x85\xa0\xff"):
    fields.add(
        f"value-{name}",
        ok(LENGTH, b"X-A: a" + byte + b"b", body=HELLO),
        Relay(body=HELLO, kept=((b"X-A", b"a" + byte + b"b"),)),
    )

interim = Answers("r-1xx")
FINAL = ok(LENGTH, body=HELLO)
for code in (100, 102, 103, 110, 199):
    interim.add(
        f"{code}", ok(status=b"HTTP/1.1 %d Wait" % code) + FINAL, Relay(body=HELLO, interim=(code,)), reused=True
    )
interim.add(
    "103-link",
    ok(b"Link: </a>; rel=preload", status=b"HTTP/1.1 103 Early Hints") + FINAL,
    Relay(body=HELLO, interim=(103,)),
    reused=True,
)
interim.add(
    "several",
    b"".join(ok(status=b"HTTP/1.1 %d X" % code) for code in (100, 102, 103, 103)) + FINAL,
    Relay(body=HELLO, interim=(100, 102, 103, 103)),
    reused=True,
)
interim.add(
    "with-length-zero", ok(b"Content-Length: 0", status=b"HTTP/1.1 103 X") + FINAL, Relay(body=HELLO, interim=(103,))
)
interim.add(
    "with-connection",
    ok(b"Connection: X-A", b"X-A: b", status=b"HTTP/1.1 103 X") + FINAL,
    Relay(body=HELLO, interim=(103,)),
    reused=True,
)
interim.add(
    "then-204", ok(status=b"HTTP/1.1 103 X") + ok(status=b"HTTP/1.1 204 X"), Relay(204, interim=(103,)), reused=True
)
interim.add(
    "then-chunked",
    ok(status=b"HTTP/1.1 103 X") + ok(CODED, body=chunks(HELLO)),
    Relay(body=HELLO, interim=(103,)),
    reused=True,
)
interim.add(
    "head", ok(status=b"HTTP/1.1 103 X") + ok(LENGTH), Relay(interim=(103,), length=b"5"), method=b"HEAD", reused=True
)
interim.add("not-to-1.0", ok(status=b"HTTP/1.1 103 X") * 3 + FINAL, WHOLE, minor=0)
interim.add("100-not-to-1.0", ok(status=b"HTTP/1.1 100 Continue") + FINAL, WHOLE, minor=0)

extra = Answers("r-extra")
for name, more in {
    "one-byte": b"x",
    "crlf": b"\r\n",
    "lf": b"\n",
    "nul": b"\x00",
    "an-answer": ok(b"Content-Length: 4", body=b"evil"),
    "a-408": ok(b"Content-Length: 0", b"Connection: close", status=b"HTTP/1.1 408 Too late"),
    "a-100": ok(status=b"HTTP/1.1 100 Continue"),
    "half-a-head": b"HTTP/1.1 200 O",
    "10-kB": b"evil" * 2500,
}.items():
    extra.add(f"length-{name}", ok(LENGTH, body=HELLO) + more, Relay(body=HELLO), reused=False)
    extra.add(f"length-zero-{name}", ok(b"Content-Length: 0") + more, Relay(), reused=False)
    extra.add(f"chunked-{name}", ok(CODED, body=chunks(HELLO)) + more, Relay(body=HELLO), reused=False)
    extra.add(f"204-{name}", ok(status=b"HTTP/1.1 204 X") + more, Relay(204), reused=False)
    extra.add(f"304-{name}", ok(status=b"HTTP/1.1 304 X") + more, Relay(304), reused=False)
    extra.add(f"head-{name}", ok(LENGTH) + more, Relay(length=b"5"), method=b"HEAD", reused=False)
extra.add("head-with-its-body", ok(LENGTH, body=HELLO), Relay(length=b"5"), method=b"HEAD", reused=False)
extra.add("head-with-its-chunks", ok(CODED, body=chunks(HELLO)), Relay(), method=b"HEAD", reused=False)
extra.add("204-with-its-body", ok(LENGTH, body=HELLO, status=b"HTTP/1.1 204 X"), Relay(204), reused=False)
extra.add("304-with-its-body", ok(LENGTH, body=HELLO, status=b"HTTP/1.1 304 X"), Relay(304), reused=False)

old = Answers("r-1.0-client")
old.add("length", ok(LENGTH, body=HELLO), Relay(body=HELLO, framing="length"), minor=0, reused=True)
old.add("chunked", ok(CODED, body=chunks(b"he", b"llo")), Relay(body=HELLO, framing="close"), minor=0)
old.add(
    "chunked-trailers",
    ok(CODED, body=b"5\r\nhello\r\n0\r\nX-T: a\r\n\r\n"),
    Relay(body=HELLO, framing="close"),
    minor=0,
)
old.add(
    "chunked-keep-alive",
    ok(CODED, body=chunks(HELLO)),
    Relay(body=HELLO, framing="close"),
    minor=0,
    fields=(b"Connection: keep-alive",),
)
old.add("until-close", ok(body=HELLO), Relay(body=HELLO, framing="close"), minor=0, then="close", reused=False)
old.add(
    "until-close-keep-alive",
    ok(body=HELLO),
    Relay(body=HELLO, framing="close"),
    minor=0,
    then="close",
    reused=False,
    fields=(b"Connection: keep-alive",),
)
old.add("204", ok(status=b"HTTP/1.1 204 X"), Relay(204), minor=0, reused=True)
old.add("head", ok(LENGTH), Relay(length=b"5"), minor=0, method=b"HEAD", reused=True)

CASES: list[Exchange] = [
    *status.cases,
    *framing.cases,
    *trailers.cases,
    *nobody.cases,
    *fields.cases,
    *interim.cases,
    *extra.cases,
    *old.cases,
]
