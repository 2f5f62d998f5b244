"""Request lines, targets, hosts and fields in every form that RFC 9112 allows."""

from __future__ import annotations

from tests.corpus.cases import CRLF, HOST, Answer, Case, Family, Forward, each, get, label, lines, post

line_ends = Family("line-ends")
for count in (1, 2, 8):
    line_ends.forward(f"{count}-empty-lines-first", CRLF * count + get(), Forward())

methods = Family("method")
for name in (
    b"GET HEAD POST PUT DELETE OPTIONS TRACE PATCH PROPFIND MKCOL COPY MOVE LOCK UNLOCK REPORT SEARCH M-SEARCH PURGE LINK "
    b"UPDATEREDIRECTREF get Get X !#$%&'*+-.^_`|~ 0123456789 QUERY BASELINE-CONTROL VERSION-CONTROL"
).split():
    methods.forward(name.decode(), lines(name + b" /p HTTP/1.1", HOST), Forward(method=name))
methods.forward("32-bytes", lines(b"M" * 32 + b" /p HTTP/1.1", HOST), Forward(method=b"M" * 32))

versions = Family("version")
for minor in range(1, 10):
    versions.forward(f"1.{minor}", get(version=b"HTTP/1.%d" % minor), Forward())
versions.forward("1.0", get(version=b"HTTP/1.0"), Forward(closes=True))
versions.forward("1.0-close", get(b"Connection: close", version=b"HTTP/1.0"), Forward(closes=True))
versions.forward("1.0-keep-alive", get(b"Connection: keep-alive", version=b"HTTP/1.0"), Forward(closes=None))
versions.forward(
    "1.0-keep-alive-params",
    get(b"Connection: Keep-Alive", b"Keep-Alive: timeout=5", version=b"HTTP/1.0"),
    Forward(closes=None),
)
versions.forward("1.0-without-host", get(host=b"", version=b"HTTP/1.0"), Forward(host=None, closes=True))
versions.forward(
    "1.0-post",
    lines(b"POST /p HTTP/1.0", HOST, b"Content-Length: 5") + b"hello",
    Forward(b"POST", body=b"hello", framing="length", closes=True),
)
versions.forward(
    "1.0-absolute-form",
    get(target=b"http://other.test/x", host=b"", version=b"HTTP/1.0"),
    Forward(target=b"/x", host=b"other.test", closes=True),
)
versions.forward(
    "1.0-expect-is-ignored",
    lines(b"POST /p HTTP/1.0", HOST, b"Content-Length: 2", b"Expect: 100-continue") + b"hi",
    Forward(b"POST", body=b"hi", framing="length", also=((b"expect", None),), closes=True),
)
versions.forward(
    "1.0-unknown-expect-is-ignored",
    lines(b"POST /p HTTP/1.0", HOST, b"Content-Length: 2", b"Expect: pigs-fly") + b"hi",
    Forward(b"POST", body=b"hi", framing="length", also=((b"expect", None),), closes=True),
)
versions.forward(
    "1.0-upgrade-is-ignored",
    get(b"Connection: upgrade", b"Upgrade: websocket", version=b"HTTP/1.0"),
    Forward(also=((b"upgrade", None), (b"connection", None)), closes=True),
)

targets = Family("target")
for target in (
    b"/ /? /?? /?a=b&c=d /a/b/c /a//b // //x //[ ///x /. /.. /../../etc/passwd /./a /a/../b /%20 /%2F /%2e%2e /%00 /%zz /% /%e /a%"
    b" /a;b=c /a,b /~a /-_.!~*'() /a:80 /:@&=+$, /http://x/ /?http://x/ /*"
    b' /"a" /<a> /{a} /a|b /a^b /`a` /a\\b /[a] /?[a]={b}|c'
).split():
    targets.forward(label(target), get(target=target), Forward(target=target))
targets.forward("longest", get(target=b"/" + b"a" * 8191), Forward(target=b"/" + b"a" * 8191))
targets.forward("long-query", get(target=b"/?" + b"a=b&" * 1000), Forward(target=b"/?" + b"a=b&" * 1000))
for target, path, host in (
    (b"http://other.test", b"/", b"other.test"),
    (b"http://other.test/", b"/", b"other.test"),
    (b"HTTP://other.test/", b"/", b"other.test"),
    (b"hTtP://other.test/a/b?c", b"/a/b?c", b"other.test"),
    (b"http://other.test?q", b"/?q", b"other.test"),
    (b"http://other.test/?q=http://x/", b"/?q=http://x/", b"other.test"),
    (b"http://other.test//a", b"//a", b"other.test"),
    (b"http://other.test:8080/a", b"/a", b"other.test:8080"),
    (b"http://other.test:/a", b"/a", None),
    (b"http://127.0.0.1/a", b"/a", b"127.0.0.1"),
    (b"http://[::1]/a", b"/a", b"[::1]"),
    (b"http://[2001:db8::1]:8080/a", b"/a", b"[2001:db8::1]:8080"),
    (b"http://OTHER.test/A", b"/A", None),
    (b"http://other.test./a", b"/a", None),
    (b"http://example.com/a", b"/a", b"example.com"),
):
    targets.forward("absolute-" + label(target), get(target=target), Forward(target=path, host=host))
targets.forward("asterisk-options", lines(b"OPTIONS * HTTP/1.1", HOST), Forward(b"OPTIONS", b"*"))
targets.forward(
    "absolute-options-without-path",
    lines(b"OPTIONS http://other.test HTTP/1.1", HOST),
    Forward(b"OPTIONS", b"*", b"other.test"),
)
targets.forward(
    "absolute-options-with-path",
    lines(b"OPTIONS http://other.test/ HTTP/1.1", HOST),
    Forward(b"OPTIONS", b"/", b"other.test"),
)
targets.forward(
    "absolute-options-with-query",
    lines(b"OPTIONS http://other.test?q HTTP/1.1", HOST),
    Forward(b"OPTIONS", b"/?q", b"other.test"),
)
targets.forward("options-with-path", lines(b"OPTIONS /x HTTP/1.1", HOST), Forward(b"OPTIONS", b"/x"))

hosts = Family("host")
for value in (
    b"example.com EXAMPLE.COM example.com. example.com:80 example.com:8080 example.com: example.com:0 example.com:65535 localhost a 1 "
    b"127.0.0.1 127.0.0.1:8080 [::1] [::1]:80 [2001:db8::1] [::ffff:127.0.0.1] xn--bcher-kva.example under_score.example "
    b"a-b.example -a.example a..b %41.example a!$&'()*+,;=b 1.2.3 999.999.999.999 ~a"
).split():
    hosts.forward(label(value), get(host=b"Host: " + value), Forward(host=value))
hosts.forward("label-of-64", get(host=b"Host: " + b"a" * 64 + b".example"), Forward(host=b"a" * 64 + b".example"))
hosts.forward("name-of-300", get(host=b"Host: " + b"a." * 150 + b"b"), Forward(host=b"a." * 150 + b"b"))
for name, line in {
    "no-space": b"Host:example.com",
    "spaces": b"Host:   example.com   ",
    "tab": b"Host:\texample.com\t",
    "lower-case-name": b"host: example.com",
    "upper-case-name": b"HOST: example.com",
}.items():
    hosts.forward(name, get(host=line), Forward())
hosts.forward("last", lines(b"GET /p HTTP/1.1", b"A: b", HOST), Forward(kept=((b"A", b"b"),)))

field_lines = Family("field")
for name, line, pair in (
    ("plain", b"X-A: b", (b"X-A", b"b")),
    ("case-is-kept", b"x-aBc: DeF", (b"x-aBc", b"DeF")),
    ("no-space", b"X-A:b", (b"X-A", b"b")),
    ("spaces", b"X-A:   b  ", (b"X-A", b"b")),
    ("tabs", b"X-A:\t\tb\t", (b"X-A", b"b")),
    ("empty", b"X-A:", (b"X-A", b"")),
    ("only-space", b"X-A:  ", (b"X-A", b"")),
    ("colons", b"X-A: b:c:d", (b"X-A", b"b:c:d")),
    ("colon-first", b"X-A:: b", (b"X-A", b": b")),
    ("inner-spaces", b"X-A: b  c\td", (b"X-A", b"b  c\td")),
    ("obs-text", b"X-A: \x80\xa0\xffb", (b"X-A", b"\x80\xa0\xffb")),
    ("nel-at-the-ends", b"X-A: \x85b\x85", (b"X-A", b"\x85b\x85")),
    ("utf-8", b"X-A: \xc3\xbc\xe2\x80\xa8", (b"X-A", b"\xc3\xbc\xe2\x80\xa8")),
    ("quotes", b'X-A: "b, \\"c"', (b"X-A", b'"b, \\"c"')),
    ("every-visible-byte", b"X-A: " + bytes(range(0x21, 0x7F)), (b"X-A", bytes(range(0x21, 0x7F)))),
    ("every-token-byte", b"!#$%&'*+-.^_`|~09azAZ: b", (b"!#$%&'*+-.^_`|~09azAZ", b"b")),
    ("one-byte-name", b"X: y", (b"X", b"y")),
    ("long-name", b"X" * 1000 + b": y", (b"X" * 1000, b"y")),
    ("long-value", b"X: " + b"y" * 16000, (b"X", b"y" * 16000)),
    ("underscore", b"X_Custom: y", (b"X_Custom", b"y")),
    ("looks-like-a-request", b"X-A: GET / HTTP/1.1", (b"X-A", b"GET / HTTP/1.1")),
    ("looks-like-chunked", b"X-Transfer-Encoding: chunked", (b"X-Transfer-Encoding", b"chunked")),
    ("looks-like-length", b"Content-Length-X: 5", (b"Content-Length-X", b"5")),
    ("cookie", b"Cookie: a=b; c=d", (b"Cookie", b"a=b; c=d")),
    ("authorization", b"Authorization: Basic dTpw", (b"Authorization", b"Basic dTpw")),
    ("user-agent", b"User-Agent: x (y)", (b"User-Agent", b"x (y)")),
    ("referer", b"Referer: http://x/", (b"Referer", b"http://x/")),
    ("origin", b"Origin: null", (b"Origin", b"null")),
    ("if-none-match", b'If-None-Match: "a", W/"b"', (b"If-None-Match", b'"a", W/"b"')),
    ("range", b"Range: bytes=0-1", (b"Range", b"bytes=0-1")),
    ("trailer", b"Trailer: X-T", (b"Trailer", b"X-T")),
    ("accept-encoding", b"Accept-Encoding: gzip", (b"Accept-Encoding", b"gzip")),
):
    field_lines.forward(name, get(line), Forward(kept=(pair,)))
field_lines.forward(
    "order-and-repetition",
    get(b"B: 1", b"A: 2", b"B: 3", b"a: 4", b"Cookie: x=1", b"Cookie: y=2"),
    Forward(kept=((b"B", b"1"), (b"A", b"2"), (b"B", b"3"), (b"a", b"4"), (b"Cookie", b"x=1"), (b"Cookie", b"y=2"))),
)
for name, byte in each(b"\x80\x85\xa0\xad\xb2\xff"):
    field_lines.forward(f"value-{name}", get(b"X-A: a" + byte + b"b"), Forward(kept=((b"X-A", b"a" + byte + b"b"),)))
field_lines.forward(
    "100-fields", get(*[b"X-%d: y" % n for n in range(99)]), Forward(kept=tuple((b"X-%d" % n, b"y") for n in range(99)))
)
field_lines.forward(
    "head-of-32000",
    get(*[b"X-%d: %s" % (n, b"y" * 3140) for n in range(10)]),
    Forward(kept=tuple((b"X-%d" % n, b"y" * 3140) for n in range(10))),
)

rfc_methods = Family("max-forwards")
for method in (b"OPTIONS", b"TRACE"):
    word = method.decode().lower()
    rfc_methods.forward(
        f"{word}-counts-down",
        lines(method + b" /p HTTP/1.1", HOST, b"Max-Forwards: 10"),
        Forward(method, also=((b"max-forwards", b"9"),)),
    )
    rfc_methods.forward(
        f"{word}-last",
        lines(method + b" /p HTTP/1.1", HOST, b"Max-Forwards: 1"),
        Forward(method, also=((b"max-forwards", b"0"),)),
    )
    rfc_methods.forward(
        f"{word}-leading-zero",
        lines(method + b" /p HTTP/1.1", HOST, b"Max-Forwards: 007"),
        Forward(method, also=((b"max-forwards", b"6"),)),
    )
    rfc_methods.add(
        f"{word}-ends-here", lines(method + b" /p HTTP/1.1", HOST, b"Max-Forwards: 0"), Answer(frozenset({200, 204}))
    )
rfc_methods.add(
    "asterisk-ends-here", lines(b"OPTIONS * HTTP/1.1", HOST, b"Max-Forwards: 0"), Answer(frozenset({200, 204}))
)
rfc_methods.forward("get-is-left-alone", get(b"Max-Forwards: 0"), Forward(also=((b"max-forwards", b"0"),)))
rfc_methods.forward("get-junk-is-left-alone", get(b"Max-Forwards: x"), Forward(also=((b"max-forwards", b"x"),)))

head_method = Family("head-method")
head_method.forward("plain", lines(b"HEAD /p HTTP/1.1", HOST), Forward(b"HEAD"))
head_method.forward(
    "with-a-body",
    post(b"Content-Length: 5", body=b"hello", method=b"HEAD"),
    Forward(b"HEAD", body=b"hello", framing="length"),
)

CASES: list[Case] = [
    *line_ends.cases,
    *methods.cases,
    *versions.cases,
    *targets.cases,
    *hosts.cases,
    *field_lines.cases,
    *rfc_methods.cases,
    *head_method.cases,
]
