"""Answers that no client may take for whole: refused with a 502, or visibly cut short."""

from __future__ import annotations

from tests.corpus.cases import CONTROLS, HIGH, SEPARATORS, Answers, Cut, Exchange, Refuse, chunks, each, label, ok

HELLO = b"hello"
LENGTH = b"Content-Length: 5"
CODED = b"Transfer-Encoding: chunked"
REFUSED = Refuse()

status = Answers("r-status")
for line in (
    b"HTTP/1.1 000 X",
    b"HTTP/1.1 099 X",
    b"HTTP/1.1 600 X",
    b"HTTP/1.1 999 X",
    b"HTTP/1.1 2000 X",
    b"HTTP/1.1 20 X",
    b"HTTP/1.1 2 X",
    b"HTTP/1.1 2 0 0",
    b"HTTP/1.1 -200 X",
    b"HTTP/1.1 +200 X",
    b"HTTP/1.1 200OK",
    b"HTTP/1.1 2x0 OK",
    b"HTTP/1.1 0xc8 OK",
    b"HTTP/1.1 OK",
    b"HTTP/1.1 OK 200",
    b"HTTP/1.1",
    b"HTTP/1.1 ",
    b"HTTP/1.1  200 OK",
    b"HTTP/1.1\t200 OK",
    b"HTTP/1.1 200\tOK",
    b" HTTP/1.1 200 OK",
    b"\tHTTP/1.1 200 OK",
    b"http/1.1 200 OK",
    b"Http/1.1 200 OK",
    b"HTP/1.1 200 OK",
    b"HTTP/2.0 200 OK",
    b"HTTP/2 200",
    b"HTTP/3 200",
    b"HTTP/0.9 200 OK",
    b"HTTP/1 200 OK",
    b"HTTP/1.10 200 OK",
    b"HTTP/11 200 OK",
    b"HTTP/1.x 200 OK",
    b"HTTP/+1.1 200 OK",
    b"HTTP/1.1x 200 OK",
    b"ICY 200 OK",
    b"200 OK",
    b"RTSP/1.0 200 OK",
    b"SIP/2.0 200 OK",
    b"GET / HTTP/1.1",
    b"<html>",
    b"hello",
    b"Content-Length: 5",
    b"HTTP/1.1 200 a\x00b",
    b"HTTP/1.1 200 a\x01b",
    b"HTTP/1.1 200 a\rb",
    b"HTTP/1.1 200 a\x0bb",
    b"HTTP/1.1 200 a\x7fb",
    b"HTTP/1.1\x00200 OK",
    b"HTTP/1.1 \xb2\xb0\xb0 OK",
    b"HTTP/1.1 \xd9\xa2\xd9\xa0\xd9\xa0 OK",
    b"\x00HTTP/1.1 200 OK",
    b"\xef\xbb\xbfHTTP/1.1 200 OK",
    b"\x15\x03\x01\x00\x02\x02\x28",
    b"SSH-2.0-x",
):
    status.add(f"bad-{label(line)}", ok(LENGTH, body=HELLO, status=line), REFUSED, reused=False)
status.add("bad-empty-line-first", b"\r\n" + ok(LENGTH, body=HELLO), REFUSED, reused=False)
status.add("bad-two-empty-lines", b"\r\n\r\n", REFUSED, reused=False)
status.add("bad-no-head", b"hello\r\n\r\n", REFUSED, reused=False)
status.add("bad-0.9", b"<html>hello</html>", REFUSED, then="close", reused=False)
status.add("bad-binary", bytes(range(256)), REFUSED, reused=False)
status.add("bad-folded", b"HTTP/1.1 200\r\n OK\r\nContent-Length: 5\r\n\r\nhello", REFUSED, reused=False)

fields = Answers("r-field")
for name, byte in each(CONTROLS):
    fields.add(f"bad-value-{name}", ok(LENGTH, b"X-A: b" + byte + b"c", body=HELLO), REFUSED, reused=False)
for name, byte in each(b"\x00\x0b \t" + SEPARATORS[:4] + HIGH[:3]):
    fields.add(f"bad-name-{name}", ok(LENGTH, b"X" + byte + b"A: b", body=HELLO), REFUSED, reused=False)
    fields.add(f"bad-name-end-{name}", ok(LENGTH, b"XA" + byte + b": b", body=HELLO), REFUSED, reused=False)
    fields.add(f"bad-length-name-{name}", ok(b"Content-Length" + byte + b": 5", body=HELLO), REFUSED, reused=False)
    fields.add(
        f"bad-coding-name-{name}",
        ok(LENGTH, b"Transfer-Encoding" + byte + b": chunked", body=HELLO),
        REFUSED,
        reused=False,
    )
for name, raw in {
    "cr-in-a-value": ok(LENGTH, b"X-A: b\rX-B: c", body=HELLO),
    "cr-splits": ok(LENGTH, b"X-A: b\r\rSet-Cookie: evil", body=HELLO),
    "lf-in-a-value": ok(LENGTH, b"X-A: b\nX-B: c", body=HELLO),
    "lf-everywhere": b"HTTP/1.1 200 OK\nContent-Length: 5\n\nhello",
    "lf-after-the-status-line": b"HTTP/1.1 200 OK\nContent-Length: 5\r\n\r\nhello",
    "lf-at-the-end": b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\nhello",
    "cr-everywhere": b"HTTP/1.1 200 OK\rContent-Length: 5\r\rhello",
    "cr-cr-lf": b"HTTP/1.1 200 OK\r\r\nContent-Length: 5\r\n\r\nhello",
    "fold": ok(LENGTH, b"X-A: b", b" c", body=HELLO),
    "fold-tab": ok(LENGTH, b"X-A: b", b"\tc", body=HELLO),
    "fold-first": ok(b" X-A: b", LENGTH, body=HELLO),
    "fold-length": ok(b"Content-Length:", b" 5", body=HELLO),
    "fold-coding": ok(b"Transfer-Encoding:", b" chunked", body=chunks(HELLO)),
    "fold-looks-like-length": ok(LENGTH, b"X-A: b", b" Content-Length: 6", body=HELLO),
    "no-colon": ok(LENGTH, b"X-A", body=HELLO),
    "empty-name": ok(LENGTH, b": b", body=HELLO),
    "only-colon": ok(LENGTH, b":", body=HELLO),
    "status-line-as-field": ok(LENGTH, b"HTTP/1.1 200 OK", body=HELLO),
    "1000-fields": ok(LENGTH, *[b"X: y"] * 1000, body=HELLO),
    "40000-fields": ok(LENGTH, *[b"X: y"] * 40000, body=HELLO),
    "head-of-100-kB": ok(LENGTH, b"X-A: " + b"b" * 100000, body=HELLO),
    "head-of-3-MB": ok(LENGTH, b"X-A: " + b"b" * 3000000, body=HELLO),
    "endless-value": ok(LENGTH)[:-2] + b"X-A: " + b"b" * 3000000,
    "endless-reason": b"HTTP/1.1 200 " + b"x" * 3000000,
    "endless-fields": ok(LENGTH)[:-2] + b"X: y\r\n" * 500000,
}.items():
    fields.add(f"bad-{name}", raw, REFUSED, reused=False)

framing = Answers("r-frame")
for value in (
    b"",
    b" ",
    b"+5",
    b"-5",
    b"-0",
    b"0x5",
    b"5x",
    b"x",
    b"5.0",
    b"5e0",
    b"0_5",
    b"5 5",
    b"5,5",
    b"5, 5",
    b"5,6",
    b"5,",
    b",5",
    b"5;",
    b'"5"',
    b"\xb2",
    b"\xd9\xa5",
    b"5\xa0",
    b"\x0b5",
    b"5\x85",
    b"18446744073709551616",
    b"18446744073709551621",
    b"9223372036854775808",
    b"1" * 100,
    b"9" * 5000,
    b"chunked",
    b"nan",
):
    framing.add(
        f"bad-length-{label(value[:30])}",
        ok(b"Content-Length: " + value, body=HELLO),
        REFUSED,
        then="close",
        reused=False,
    )
    framing.add(
        f"bad-length-head-{label(value[:30])}", ok(b"Content-Length: " + value), REFUSED, method=b"HEAD", reused=False
    )
for name, second in {
    "same": LENGTH,
    "different": b"Content-Length: 6",
    "zero": b"Content-Length: 0",
    "empty": b"Content-Length:",
    "other-case": b"content-length: 5",
    "bad": b"Content-Length: x",
}.items():
    framing.add(f"bad-two-lengths-{name}", ok(LENGTH, second, body=HELLO), REFUSED, reused=False)
    framing.add(f"bad-two-lengths-{name}-first", ok(second, LENGTH, body=HELLO), REFUSED, reused=False)
for value in (b"chunked", b"gzip, chunked", b"gzip", b"identity", b"", b"xchunked"):
    coded = b"Transfer-Encoding: " + value
    framing.add(f"bad-both-{label(value)}", ok(LENGTH, coded, body=chunks(HELLO)), REFUSED, reused=False)
    framing.add(f"bad-both-{label(value)}-first", ok(coded, LENGTH, body=chunks(HELLO)), REFUSED, reused=False)
for value in (
    b"",
    b",",
    b"gzip",
    b"identity",
    b"deflate",
    b"xchunked",
    b"chunkedx",
    b"chunked,",
    b",chunked",
    b"chunked, chunked",
    b"chunked, gzip",
    b"gzip, chunked",
    b"chunked, identity",
    b"identity, chunked",
    b"chunked;q=1",
    b'"chunked"',
    b"chunked chunked",
    b"chun\xe2\x84\xaaed",
    b"chunked\x0b",
    b"\x0bchunked",
    b"chunked\x85",
    b"\xa0chunked",
):
    framing.add(
        f"bad-coding-{label(value)}",
        ok(b"Transfer-Encoding: " + value, body=chunks(HELLO)),
        REFUSED,
        then="close",
        reused=False,
    )
framing.add("bad-coding-two", ok(CODED, CODED, body=chunks(HELLO)), REFUSED, reused=False)
framing.add("bad-coding-two-empty", ok(CODED, b"Transfer-Encoding:", body=chunks(HELLO)), REFUSED, reused=False)
framing.add("bad-coding-two-gzip", ok(b"Transfer-Encoding: gzip", CODED, body=chunks(HELLO)), REFUSED, reused=False)
framing.add(
    "bad-coding-1.0", ok(CODED, body=chunks(HELLO), status=b"HTTP/1.0 200 OK"), REFUSED, then="close", reused=False
)
framing.add(
    "bad-coding-1.0-and-length",
    ok(CODED, LENGTH, body=chunks(HELLO), status=b"HTTP/1.0 200 OK"),
    REFUSED,
    then="close",
    reused=False,
)

chunk = Answers("r-chunk")
for name, body in {
    "size-empty": b"\r\nhello\r\n0\r\n\r\n",
    "size-x": b"x\r\nhello\r\n0\r\n\r\n",
    "size-plus": b"+5\r\nhello\r\n0\r\n\r\n",
    "size-minus": b"-5\r\nhello\r\n0\r\n\r\n",
    "size-0x": b"0x5\r\nhello\r\n0\r\n\r\n",
    "size-underscore": b"0_5\r\nhello\r\n0\r\n\r\n",
    "size-space": b"5 \r\nhello\r\n0\r\n\r\n",
    "size-space-first": b" 5\r\nhello\r\n0\r\n\r\n",
    "size-unicode": b"\xd9\xa5\r\nhello\r\n0\r\n\r\n",
    "size-superscript": b"\xb2\r\nhello\r\n0\r\n\r\n",
    "size-2-64-and-5": b"10000000000000005\r\nhello\r\n0\r\n\r\n",
    "size-2-64": b"10000000000000000\r\nhello\r\n0\r\n\r\n",
    "size-f17": b"f" * 17 + b"\r\nhello\r\n0\r\n\r\n",
    "size-endless": b"0" * 1000000,
    "size-lf": b"5\nhello\r\n0\r\n\r\n",
    "size-cr": b"5\rhello\r\n0\r\n\r\n",
    "size-nul": b"5\x00\r\nhello\r\n0\r\n\r\n",
    "extension-nul": b"5;\x00\r\nhello\r\n0\r\n\r\n",
    "extension-cr": b"5;a\rb\r\nhello\r\n0\r\n\r\n",
    "extension-lf": b"5;a\nb\r\nhello\r\n0\r\n\r\n",
    "extension-endless": b"5;" + b"a" * 1000000,
    "data-short": b"5\r\nhell\r\n0\r\n\r\n",
    "data-long": b"5\r\nhello!\r\n0\r\n\r\n",
    "data-no-crlf": b"5\r\nhello0\r\n\r\n",
    "data-lf": b"5\r\nhello\n0\r\n\r\n",
    "data-cr": b"5\r\nhello\r0\r\n\r\n",
    "data-cr-x": b"5\r\nhello\rx0\r\n\r\n",
    "last-lf": b"5\r\nhello\r\n0\n\r\n",
    "end-lf": b"5\r\nhello\r\n0\r\n\n",
    "end-junk": b"5\r\nhello\r\n0\r\njunk\r\n\r\n",
    "end-cr-x": b"5\r\nhello\r\n0\r\n\rx",
    "not-chunked": b"hello",
    "second-size-bad": b"5\r\nhello\r\nxyz\r\n",
    "trailer-nul": b"5\r\nhello\r\n0\r\nX: \x00\r\n\r\n",
    "trailer-space": b"5\r\nhello\r\n0\r\nX : y\r\n\r\n",
    "trailer-fold": b"5\r\nhello\r\n0\r\nX: y\r\n z\r\n\r\n",
    "trailer-cr": b"5\r\nhello\r\n0\r\nX: y\rz\r\n\r\n",
    "trailer-1.5-MB": b"5\r\nhello\r\n0\r\nX: " + b"y" * 1500000 + b"\r\n\r\n",
    "trailers-40000": b"5\r\nhello\r\n0\r\n" + b"X: y\r\n" * 40000 + b"\r\n",
}.items():
    chunk.add(
        f"bad-{name}", ok(CODED, body=body), Cut(body=HELLO), then="keep" if len(body) > 6 else "close", reused=False
    )
    if len(body) < 100:
        chunk.add(
            f"bad-{name}-1.0",
            ok(CODED, body=body),
            Cut(body=HELLO),
            minor=0,
            then="keep" if len(body) > 6 else "close",
            reused=False,
        )

truncated = Answers("r-trunc")
CODED_HELLO = chunks(HELLO)
for then in ("close", "reset"):
    for size in range(5):
        truncated.add(
            f"length-{size}-of-5-{then}", ok(LENGTH, body=HELLO[:size]), Cut(body=HELLO), then=then, reused=False
        )
    for size in range(len(CODED_HELLO)):
        truncated.add(
            f"chunked-{size}-of-{len(CODED_HELLO)}-{then}",
            ok(CODED, body=CODED_HELLO[:size]),
            Cut(body=HELLO),
            then=then,
            reused=False,
        )
    truncated.add(
        f"in-a-trailer-{then}", ok(CODED, body=b"5\r\nhello\r\n0\r\nX-T: a"), Cut(body=HELLO), then=then, reused=False
    )
    truncated.add(
        f"after-a-trailer-{then}",
        ok(CODED, body=b"5\r\nhello\r\n0\r\nX-T: a\r\n"),
        Cut(body=HELLO),
        then=then,
        reused=False,
    )
    truncated.add(f"length-1.0-{then}", ok(LENGTH, body=b"hel"), Cut(body=HELLO), then=then, minor=0, reused=False)
    truncated.add(f"chunked-1.0-{then}", ok(CODED, body=b"5\r\nhel"), Cut(body=HELLO), then=then, minor=0, reused=False)
    truncated.add(
        f"chunked-without-the-end-1.0-{then}",
        ok(CODED, body=b"5\r\nhello\r\n"),
        Cut(body=HELLO),
        then=then,
        minor=0,
        reused=False,
    )
    truncated.add(f"post-{then}", ok(LENGTH, body=b"hel"), Cut(body=HELLO), then=then, method=b"POST", reused=False)
    truncated.add(
        f"200-kB-of-1-MB-{then}",
        ok(b"Content-Length: 1000000", body=b"x" * 200000),
        Cut(body=b"x" * 200000),
        then=then,
        reused=False,
    )
    for name, raw in {
        "nothing": b"",
        "one-byte": b"H",
        "status-line": b"HTTP/1.1 200 OK\r\n",
        "half-a-status-line": b"HTTP/1.1 20",
        "fields": b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n",
        "cr-missing-lf": b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r",
    }.items():
        truncated.add(f"head-{name}-{then}", raw, REFUSED, then=then, reused=False)
        truncated.add(f"head-{name}-post-{then}", raw, REFUSED, then=then, method=b"POST", reused=False)
truncated.add("until-close-reset", ok(body=HELLO), Cut(body=HELLO), then="reset", reused=False)
truncated.add("until-close-reset-1.0", ok(body=HELLO), Cut(body=HELLO), then="reset", minor=0, reused=False)

interim = Answers("r-1xx")
FINAL = ok(LENGTH, body=HELLO)
interim.add(
    "bad-101-unasked",
    ok(b"Connection: Upgrade", b"Upgrade: websocket", status=b"HTTP/1.1 101 Switching Protocols") + b"\x81\x05hello",
    REFUSED,
    reused=False,
)
interim.add("bad-101-unasked-bare", ok(status=b"HTTP/1.1 101 Switching Protocols"), REFUSED, reused=False)
interim.add("bad-101-then-200", ok(status=b"HTTP/1.1 101 Switching Protocols") + FINAL, REFUSED, reused=False)
interim.add(
    "bad-101-to-1.0",
    ok(b"Connection: Upgrade", b"Upgrade: websocket", status=b"HTTP/1.1 101 X"),
    REFUSED,
    minor=0,
    fields=(b"Connection: Upgrade", b"Upgrade: websocket"),
    reused=False,
)
interim.add(
    "bad-101-other-protocol",
    ok(b"Connection: Upgrade", b"Upgrade: h2c", status=b"HTTP/1.1 101 X"),
    REFUSED,
    fields=(b"Connection: Upgrade", b"Upgrade: websocket"),
    reused=False,
)
interim.add(
    "bad-101-h2c",
    ok(b"Connection: Upgrade", b"Upgrade: h2c", status=b"HTTP/1.1 101 X"),
    REFUSED,
    fields=(b"Connection: Upgrade", b"Upgrade: h2c"),
    reused=False,
)
interim.add(
    "bad-101-without-upgrade",
    ok(status=b"HTTP/1.1 101 X"),
    REFUSED,
    fields=(b"Connection: Upgrade", b"Upgrade: websocket"),
    reused=False,
)
WAIT = ok(status=b"HTTP/1.1 103 X")
for name, raw in {
    "nothing": WAIT,
    "half-a-head": WAIT + b"HTTP/1.1 20",
    "junk": WAIT + b"junk\r\n\r\n",
    "two-lengths": WAIT + ok(LENGTH, LENGTH, body=HELLO),
    "100-and-nothing": ok(status=b"HTTP/1.1 100 Continue"),
}.items():
    interim.add(f"bad-103-then-{name}", raw, REFUSED, then="close", reused=False)
    interim.add(f"bad-103-then-{name}-reset", raw, REFUSED, then="reset", reused=False)
interim.add("bad-103-with-a-body", ok(LENGTH, body=HELLO, status=b"HTTP/1.1 103 X") + FINAL, REFUSED, reused=False)
interim.add(
    "bad-103-with-chunks", ok(CODED, body=chunks(HELLO), status=b"HTTP/1.1 103 X") + FINAL, REFUSED, reused=False
)
interim.add(
    "bad-101-after-103",
    WAIT + ok(b"Connection: Upgrade", b"Upgrade: websocket", status=b"HTTP/1.1 101 X"),
    REFUSED,
    reused=False,
)
interim.add("20000-of-100", ok(status=b"HTTP/1.1 100 Continue") * 20000 + FINAL, REFUSED, reused=False)
interim.add("bad-100-then-bad-field", ok(b"X : y", status=b"HTTP/1.1 103 X") + FINAL, REFUSED, reused=False)

CASES: list[Exchange] = [*status.cases, *fields.cases, *framing.cases, *chunk.cases, *truncated.cases, *interim.cases]
