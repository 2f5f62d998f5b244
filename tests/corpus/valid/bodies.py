"""Bodies in both framings, trailers and expectations."""

from __future__ import annotations

from tests.corpus.cases import Case, Family, Forward, chunked, chunks, get, post

POST = Forward(b"POST", body=b"hello", framing="length")
CHUNKED = Forward(b"POST", body=b"hello", framing="chunked")

length = Family("content-length")
length.forward("five", post(b"Content-Length: 5", body=b"hello"), POST)
length.forward("zero", post(b"Content-Length: 0"), Forward(b"POST", framing="length"))
length.forward("absent", post(), Forward(b"POST"))
for name, value in {
    "leading-zero": b"05",
    "many-leading-zeros": b"0" * 100 + b"5",
    "8000-leading-zeros": b"0" * 8000 + b"5",
    "no-space": b"5",
    "spaces-around": b"   5   ",
    "tabs-around": b"\t5\t",
}.items():
    length.forward(name, post(b"Content-Length:" + value, body=b"hello"), POST)
length.forward("lower-case-name", post(b"content-length: 5", body=b"hello"), POST)
length.forward("mixed-case-name", post(b"cOnTeNt-LeNgTh: 5", body=b"hello"), POST)
length.forward("zeros-only", post(b"Content-Length: 0000"), Forward(b"POST", framing="length"))
for method in (b"GET", b"DELETE", b"OPTIONS", b"PUT", b"PATCH", b"X-CUSTOM"):
    length.forward(
        f"on-{method.decode().lower()}",
        post(b"Content-Length: 5", body=b"hello", method=method),
        Forward(method, body=b"hello", framing="length"),
    )
length.forward("zero-on-get", get(b"Content-Length: 0"), Forward(framing="length"))
length.forward(
    "body-like-a-request",
    post(b"Content-Length: 33", body=b"GET /smuggled HTTP/1.1\r\nHost: x\r\n\r\n"[:33]),
    Forward(b"POST", body=b"GET /smuggled HTTP/1.1\r\nHost: x\r\n\r\n"[:33], framing="length"),
)
length.forward(
    "binary",
    post(b"Content-Length: 256", body=bytes(range(256))),
    Forward(b"POST", body=bytes(range(256)), framing="length"),
)
length.forward(
    "100-kB",
    post(b"Content-Length: 100000", body=b"ab\r\n" * 25000),
    Forward(b"POST", body=b"ab\r\n" * 25000, framing="length"),
)
length.forward(
    "limit",
    post(b"Content-Length: 1048576", body=b"x" * 1048576),
    Forward(b"POST", body=b"x" * 1048576, framing="length"),
)

coding = Family("transfer-encoding")
for name, line in {
    "chunked": b"Transfer-Encoding: chunked",
    "upper-case": b"Transfer-Encoding: CHUNKED",
    "mixed-case": b"Transfer-Encoding: cHuNkEd",
    "lower-case-name": b"transfer-encoding: chunked",
    "no-space": b"Transfer-Encoding:chunked",
    "spaces": b"Transfer-Encoding:   chunked  ",
    "tabs": b"Transfer-Encoding:\tchunked\t",
}.items():
    coding.forward(name, post(line, body=chunks(b"hello")), CHUNKED)
for method in (b"GET", b"DELETE", b"OPTIONS", b"HEAD", b"X-CUSTOM"):
    coding.forward(
        f"on-{method.decode().lower()}",
        post(b"Transfer-Encoding: chunked", body=chunks(b"hello"), method=method),
        Forward(method, body=b"hello", framing="chunked"),
    )

chunk = Family("chunk")
for name, body in {
    "one": b"5\r\nhello\r\n0\r\n\r\n",
    "several": chunks(b"h", b"el", b"lo"),
    "bytes": chunks(*[b"%c" % byte for byte in b"hello"]),
    "leading-zero": b"05\r\nhello\r\n0\r\n\r\n",
    "100-zeros": b"0" * 100 + b"5\r\nhello\r\n0\r\n\r\n",
    "zeros-at-the-end": b"5\r\nhello\r\n000\r\n\r\n",
    "extension": b"5;a\r\nhello\r\n0\r\n\r\n",
    "extension-value": b"5;a=b\r\nhello\r\n0\r\n\r\n",
    "extension-quoted": b'5;a="b"\r\nhello\r\n0\r\n\r\n',
    "extension-quoted-escape": b'5;a="b\\"c\\\\d"\r\nhello\r\n0\r\n\r\n',
    "extension-quoted-semicolon": b'5;a="b;c=d"\r\nhello\r\n0\r\n\r\n',
    "extension-empty-quotes": b'5;a=""\r\nhello\r\n0\r\n\r\n',
    "extensions": b'5;a;b=c;d="e"\r\nhello\r\n0\r\n\r\n',
    "extension-on-the-last": b"5\r\nhello\r\n0;a=b\r\n\r\n",
    "extension-spaces": b"5 ; a = b\r\nhello\r\n0\r\n\r\n",
    "extension-of-200": b"5;a=" + b"b" * 200 + b"\r\nhello\r\n0\r\n\r\n",
}.items():
    chunk.forward(name, chunked(body), CHUNKED)
chunk.forward("empty", chunked(b"0\r\n\r\n"), Forward(b"POST", framing="chunked"))
chunk.forward("empty-00", chunked(b"00\r\n\r\n"), Forward(b"POST", framing="chunked"))
chunk.forward(
    "hex-lower", chunked(b"a\r\n0123456789\r\n0\r\n\r\n"), Forward(b"POST", body=b"0123456789", framing="chunked")
)
chunk.forward(
    "hex-upper", chunked(b"A\r\n0123456789\r\n0\r\n\r\n"), Forward(b"POST", body=b"0123456789", framing="chunked")
)
chunk.forward(
    "hex-mixed",
    chunked(b"aB\r\n" + b"x" * 171 + b"\r\n0\r\n\r\n"),
    Forward(b"POST", body=b"x" * 171, framing="chunked"),
)
chunk.forward(
    "data-is-crlf",
    chunked(chunks(b"\r\n", b"\r\n0\r\n\r\n", b"\n\r")),
    Forward(b"POST", body=b"\r\n\r\n0\r\n\r\n\n\r", framing="chunked"),
)
chunk.forward(
    "data-is-a-request",
    chunked(chunks(b"GET /smuggled HTTP/1.1\r\nHost: x\r\n\r\n")),
    Forward(b"POST", body=b"GET /smuggled HTTP/1.1\r\nHost: x\r\n\r\n", framing="chunked"),
)
chunk.forward("binary", chunked(chunks(bytes(range(256)))), Forward(b"POST", body=bytes(range(256)), framing="chunked"))
chunk.forward(
    "2000-of-one-byte", chunked(chunks(*[b"x"] * 2000)), Forward(b"POST", body=b"x" * 2000, framing="chunked")
)
chunk.forward("100-kB", chunked(chunks(b"x" * 100000)), Forward(b"POST", body=b"x" * 100000, framing="chunked"))
chunk.forward("limit", chunked(chunks(*[b"x" * 65536] * 16)), Forward(b"POST", body=b"x" * 1048576, framing="chunked"))

trailer = Family("trailer")
KEPT = ((b"X-Checksum", b"abc"),)


def trailed(*fields: bytes) -> bytes:
    """A chunked request with these trailer lines."""
    return chunked(b"5\r\nhello\r\n0\r\n" + b"".join(line + b"\r\n" for line in fields) + b"\r\n")


def with_trailers(*pairs: tuple[bytes, bytes]) -> Forward:
    """What is to arrive with these trailers."""
    return Forward(b"POST", body=b"hello", framing="chunked", trailers=pairs)


trailer.forward("one", trailed(b"X-Checksum: abc"), with_trailers(*KEPT))
trailer.forward("two", trailed(b"X-Checksum: abc", b"X-B: c"), with_trailers(*KEPT, (b"X-B", b"c")))
trailer.forward("same-name", trailed(b"X-B: 1", b"X-B: 2"), with_trailers((b"X-B", b"1"), (b"X-B", b"2")))
trailer.forward("empty-value", trailed(b"X-B:"), with_trailers((b"X-B", b"")))
trailer.forward("obs-text", trailed(b"X-B: \xff"), with_trailers((b"X-B", b"\xff")))
for field_name in (
    b"Content-Length Transfer-Encoding Host Connection Keep-Alive Proxy-Connection TE Trailer Upgrade Expect Max-Forwards "
    b"Authorization Proxy-Authorization Cookie Set-Cookie Content-Encoding Content-Type Content-Range X-Forwarded-For "
    b"X-Forwarded-Host X-Forwarded-Proto X-Forwarded-Port Forwarded X-Real-IP X-Request-ID Via Cache-Control Range "
    b"If-Match If-None-Match content-length TRANSFER-ENCODING host x-forwarded-for Content_Length Transfer_Encoding X_Forwarded_For"
).split():
    trailer.forward(
        f"drops-{field_name.decode()}", trailed(field_name + b": chunked", b"X-Checksum: abc"), with_trailers(*KEPT)
    )
trailer.forward("content-length-twice", trailed(b"Content-Length: 5", b"Content-Length: 6"), with_trailers())

expect = Family("expect")
for name, value in {
    "plain": b"100-continue",
    "upper-case": b"100-CONTINUE",
    "mixed-case": b"100-Continue",
    "spaces": b"  100-continue  ",
}.items():
    expect.forward(name, post(b"Expect: " + value, b"Content-Length: 5", body=b"hello"), POST)
expect.forward("chunked", chunked(chunks(b"hello"), b"Expect: 100-continue"), CHUNKED)
expect.forward("without-a-body", get(b"Expect: 100-continue"), Forward())
expect.forward("length-zero", post(b"Expect: 100-continue", b"Content-Length: 0"), Forward(b"POST", framing="length"))

CASES: list[Case] = [*length.cases, *coding.cases, *chunk.cases, *trailer.cases, *expect.cases]
