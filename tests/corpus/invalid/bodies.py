"""Framing that two readers could read in two ways."""

from __future__ import annotations

from tests.corpus.cases import (
    BAD,
    CONTROLS,
    HIGH,
    HOST,
    LATE,
    Case,
    Family,
    Reject,
    chunked,
    chunks,
    each,
    get,
    label,
    lines,
    post,
    statuses,
)

length = Family("content-length")
for value in (
    b"",
    b" ",
    b"\t",
    b"+5",
    b"-5",
    b"-0",
    b"+0",
    b"--5",
    b"0x5",
    b"0X5",
    b"0b101",
    b"0o5",
    b"x",
    b"five",
    b"5x",
    b"x5",
    b"5.0",
    b"5.",
    b".5",
    b"5e0",
    b"5_0",
    b"0_5",
    b"_5",
    b"5L",
    b"5 5",
    b"5\t5",
    b"5,5",
    b"5, 5",
    b"5,6",
    b"5,",
    b",5",
    b",",
    b"5;",
    b"5;q=1",
    b'"5"',
    b"'5'",
    b"(5)",
    b"5#",
    b"%35",
    b"\xb5",
    b"\xb2",
    b"\xb9",
    b"\xd9\xa5",
    b"\xef\xbc\x95",
    b"\xe2\x91\xa4",
    b"\xe2\x88\x9e",
    b"nan",
    b"inf",
    b"null",
    b"true",
    b"1,000",
    b"1 000",
    b"5\\",
    b"chunked",
    b"9223372036854775807",
    b"9223372036854775808",
    b"18446744073709551615",
    b"18446744073709551616",
    b"18446744073709551621",
    b"99999999999999999999",
    b"1" * 100,
    b"9" * 5000,
    b"4294967301" * 3,
):
    huge = statuses(400, 413)
    length.reject(
        f"value-{label(value[:40])}", post(b"Content-Length: " + value, body=b"hello"), huge if len(value) > 18 else BAD
    )
for name, byte in each(CONTROLS + HIGH):
    length.reject(f"{name}-before", post(b"Content-Length: " + byte + b"5", body=b"hello"))
    length.reject(f"{name}-after", post(b"Content-Length: 5" + byte, body=b"hello"))
for name, second in {
    "same": b"Content-Length: 5",
    "different": b"Content-Length: 6",
    "zero": b"Content-Length: 0",
    "empty": b"Content-Length:",
    "other-case": b"content-length: 5",
    "leading-zero": b"Content-Length: 05",
    "bad": b"Content-Length: x",
    "negative": b"Content-Length: -5",
}.items():
    length.reject(f"two-{name}", post(b"Content-Length: 5", second, body=b"hello"))
    length.reject(f"two-{name}-first", post(second, b"Content-Length: 5", body=b"hello"))
    length.reject(f"two-{name}-apart", post(b"Content-Length: 5", b"X-A: b", second, body=b"hello"))
length.reject("two-on-get", get(b"Content-Length: 5", b"Content-Length: 0") + b"hello")
length.reject("bad-on-get", get(b"Content-Length: x"))
length.reject("bad-on-head", post(b"Content-Length: +5", body=b"hello", method=b"HEAD"))
length.reject("bad-in-1.0", lines(b"POST /p HTTP/1.0", HOST, b"Content-Length: +5") + b"hello")
length.reject("two-in-1.0", lines(b"POST /p HTTP/1.0", HOST, b"Content-Length: 5", b"Content-Length: 6") + b"hello")

EITHER = statuses(400, 501)
coding = Family("transfer-encoding")
BODY = chunks(b"hello")
CODINGS = (
    b"",
    b" ",
    b",",
    b"chunked,",
    b",chunked",
    b", chunked",
    b"chunked, ",
    b"chunked,,",
    b"chunked, chunked",
    b"chunked,chunked",
    b"chunked chunked",
    b"chunked, gzip",
    b"chunked, identity",
    b"gzip",
    b"identity",
    b"deflate",
    b"compress",
    b"x-chunked",
    b"xchunked",
    b"chunkedx",
    b"chunke",
    b"chunk",
    b"chunked;",
    b"chunked;q=1",
    b"chunked;a=b",
    b"chunked; a",
    b'"chunked"',
    b"'chunked'",
    b"chunked/1",
    b"chunked.",
    b"(chunked)",
    b"chunked=1",
    b"trailers",
    b"none",
    b"0",
    b"true",
    b"chunked\\",
    b"ch\xc3\xbcnked",
    b"chun\xe2\x84\xaaed",
    b"\xef\xbd\x83hunked",
    b"c hunked",
    b"chunked\xa0",
    b"\xa0chunked",
    b"chunked\x85",
    b"\x85chunked",
    b"chunked\xc2\xa0",
    b"chunked gzip",
    b"identity;chunked",
    b"gzip;q=1, gzip",
    b"chunked, x, chunked",
    b"%63hunked",
)
for value in CODINGS:
    coding.reject(f"value-{label(value)}", post(b"Transfer-Encoding: " + value, body=BODY), EITHER)
for name, byte in each(CONTROLS):
    coding.reject(f"{name}-before", post(b"Transfer-Encoding: " + byte + b"chunked", body=BODY))
    coding.reject(f"{name}-after", post(b"Transfer-Encoding: chunked" + byte, body=BODY))
for value in (b"gzip, chunked", b"gzip,chunked", b"deflate, gzip, chunked", b"x-y, chunked"):
    coding.reject(f"unknown-{label(value)}", post(b"Transfer-Encoding: " + value, body=BODY), statuses(501))
coding.reject("unknown-identity, chunked", post(b"Transfer-Encoding: identity, chunked", body=BODY), EITHER)
for name, (first, second) in {
    "same": (b"chunked", b"chunked"),
    "empty": (b"chunked", b""),
    "empty-first": (b"", b"chunked"),
    "gzip": (b"chunked", b"gzip"),
    "gzip-first": (b"gzip", b"chunked"),
    "identity": (b"chunked", b"identity"),
    "identity-first": (b"identity", b"chunked"),
    "bad": (b"chunked", b"x y"),
    "comma": (b"chunked", b","),
}.items():
    coding.reject(
        f"two-{name}", post(b"Transfer-Encoding: " + first, b"Transfer-Encoding: " + second, body=BODY), EITHER
    )
    coding.reject(
        f"two-{name}-other-case",
        post(b"Transfer-Encoding: " + first, b"transfer-encoding: " + second, body=BODY),
        EITHER,
    )
for method in (b"GET", b"HEAD", b"DELETE"):
    coding.reject(
        f"gzip-on-{method.decode().lower()}", post(b"Transfer-Encoding: gzip", body=BODY, method=method), EITHER
    )
for value in (b"chunked", b"gzip, chunked", b"identity", b"", b"x"):
    for word, fields in {
        "": (),
        "-keep-alive": (b"Connection: keep-alive",),
        "-and-length": (b"Content-Length: 5",),
    }.items():
        coding.reject(
            f"in-1.0-{label(value)}{word}",
            lines(b"POST /p HTTP/1.0", HOST, b"Transfer-Encoding: " + value, *fields) + BODY,
            EITHER,
        )
coding.reject("in-1.0-get", lines(b"GET /p HTTP/1.0", HOST, b"Transfer-Encoding: chunked") + BODY, EITHER)

both = Family("length-and-coding")
for value in (
    b"chunked",
    b"CHUNKED",
    b"gzip, chunked",
    b"gzip",
    b"identity",
    b"",
    b"xchunked",
    b"chunked, chunked",
    b"chunked;a",
    b" chunked",
):
    for size in (b"5", b"0", b"15", b"05", b"", b"x"):
        coded, sized = b"Transfer-Encoding: " + value, b"Content-Length: " + size
        both.reject(f"{label(value)}-after-{label(size)}", post(sized, coded, body=BODY), EITHER)
        both.reject(f"{label(value)}-before-{label(size)}", post(coded, sized, body=BODY), EITHER)
for method in (b"GET", b"HEAD", b"OPTIONS", b"PUT", b"X"):
    both.reject(
        f"on-{method.decode().lower()}",
        post(b"Content-Length: 5", b"Transfer-Encoding: chunked", body=BODY, method=method),
    )
both.reject(
    "named-in-connection",
    post(b"Connection: Content-Length", b"Content-Length: 5", b"Transfer-Encoding: chunked", body=BODY),
)
both.reject(
    "coding-named-in-connection",
    post(b"Connection: Transfer-Encoding", b"Content-Length: 5", b"Transfer-Encoding: chunked", body=BODY),
)
both.reject("other-case", post(b"content-length: 5", b"TRANSFER-ENCODING: chunked", body=BODY))
both.reject("smuggled-cl-te", post(b"Content-Length: 6", b"Transfer-Encoding: chunked", body=b"0\r\n\r\nG"))
both.reject(
    "smuggled-te-cl",
    post(b"Content-Length: 4", b"Transfer-Encoding: chunked", body=b"5c\r\nGPOST / HTTP/1.1\r\n\r\n0\r\n\r\n"),
)

chunk = Family("chunk")
LARGE = statuses(400, 413)
SIZES = (
    b"",
    b" ",
    b"\t",
    b"g",
    b"x",
    b"G",
    b"0x5",
    b"0X5",
    b"x5",
    b"+5",
    b"-5",
    b"-0",
    b"5-",
    b"5 ",
    b" 5",
    b"5\t",
    b"\t5",
    b"5  ",
    b"_5",
    b"5_",
    b"0_5",
    b"5_0",
    b"5.",
    b".5",
    b"5,",
    b"5,5",
    b"5 5",
    b"5h",
    b"h5",
    b"'5'",
    b'"5"',
    b"5:",
    b"5=",
    b"5\\",
    b"\\x5",
    b"#5",
    b"$5",
    b"5%",
    b"%35",
    b"\xb5",
    b"\xb2",
    b"5\xb2",
    b"\xd9\xa5",
    b"\xef\xbc\x95",
    b"5\xa0",
    b"\xa05",
    b"5\x85",
    b"\x855",
    b"(5)",
    b"5L",
    b"five",
    b"nan",
    b"0" * 1000 + b"x",
)
for value in SIZES:
    chunk.reject(f"size-{label(value[:20])}", chunked(value + b"\r\nhello\r\n0\r\n\r\n"), LATE)
for name, byte in each(CONTROLS):
    chunk.reject(f"size-{name}-before", chunked(byte + b"5\r\nhello\r\n0\r\n\r\n"), LATE)
    chunk.reject(f"size-{name}-after", chunked(b"5" + byte + b"\r\nhello\r\n0\r\n\r\n"), LATE)
for value in (
    b"7fffffffffffffff",
    b"8000000000000000",
    b"ffffffffffffffff",
    b"10000000000000000",
    b"10000000000000005",
    b"100000005",
    b"f" * 17,
    b"f" * 100,
    b"80000000",
    b"ffffffff",
    b"fffffffffffffffb",
):
    chunk.reject(
        f"overflow-{value[:20].decode()}-{len(value)}",
        chunked(value + b"\r\nhello\r\n0\r\n\r\n"),
        Reject(LARGE.statuses, late=True),
    )
for name, extension in {
    "empty": b";",
    "two-empty": b";;",
    "empty-then-name": b";;a",
    "trailing": b";a;",
    "equals": b";=",
    "no-name": b";=b",
    "no-value": b";a=",
    "two-values": b";a=b=c",
    "space-in-value": b";a=b c",
    "unterminated": b';a="b',
    "unterminated-escape": b';a="b\\',
    "text-after-quotes": b';a="b"c',
    "no-semicolon": b" a",
    "comma": b",a",
    "slash": b";a/b",
    "quoted-name": b';"a"',
    "high": b";\xff",
    "nul": b";a=\x00",
    "nul-name": b";\x00",
    "control": b";a=\x01",
    "control-quoted": b';a="\x01"',
    "nul-quoted": b';a="\x00"',
    "del": b";a=\x7f",
    "cr": b";a\rb",
    "cr-last": b";a\r",
    "cr-quoted": b';a="\r"',
    "lf": b";a\nb",
    "lf-quoted": b';a="\nb"',
    "lf-smuggles": b";\n5",
    "long": b";a=" + b"b" * 20000,
    "many": b";a" * 9000,
    "vt": b";\x0ba",
    "trailing-space": b";a=b ",
}.items():
    chunk.reject(f"extension-{name}", chunked(b"5" + extension + b"\r\nhello\r\n0\r\n\r\n"), LATE)
    if len(extension) < 100:
        chunk.reject(f"last-extension-{name}", chunked(b"5\r\nhello\r\n0" + extension + b"\r\n\r\n"), LATE)
chunk.reject("extension-1-MB", chunked(b"5;a=" + b"b" * 1000000 + b"\r\nhello\r\n0\r\n\r\n"), LATE)
chunk.reject("extensions-in-all-too-many", chunked((b"1;" + b"a" * 900 + b"\r\nx\r\n") * 300 + b"0\r\n\r\n"), LATE)
for name, body in {
    "data-too-short": b"5\r\nhell\r\n0\r\n\r\n",
    "data-too-long": b"5\r\nhello!\r\n0\r\n\r\n",
    "data-too-long-by-two": b"5\r\nhello!!\r\n0\r\n\r\n",
    "data-without-crlf": b"5\r\nhello0\r\n\r\n",
    "data-then-lf": b"5\r\nhello\n0\r\n\r\n",
    "data-then-cr": b"5\r\nhello\r0\r\n\r\n",
    "data-then-lf-cr": b"5\r\nhello\n\r0\r\n\r\n",
    "data-then-cr-x": b"5\r\nhello\rx0\r\n\r\n",
    "data-then-x-lf": b"5\r\nhellox\n0\r\n\r\n",
    "data-then-cr-cr-lf": b"5\r\nhello\r\r\n0\r\n\r\n",
    "data-then-space": b"5\r\nhello \r\n0\r\n\r\n",
    "data-then-two-crlf": b"5\r\nhello\r\n\r\n0\r\n\r\n",
    "size-then-lf": b"5\nhello\r\n0\r\n\r\n",
    "size-then-cr": b"5\rhello\r\n0\r\n\r\n",
    "size-then-cr-cr-lf": b"5\r\r\nhello\r\n0\r\n\r\n",
    "size-then-lf-cr": b"5\n\rhello\r\n0\r\n\r\n",
    "lf-everywhere": b"5\nhello\n0\n\n",
    "last-then-lf": b"5\r\nhello\r\n0\n\r\n",
    "last-then-cr": b"5\r\nhello\r\n0\r\r\n",
    "last-then-lf-lf": b"5\r\nhello\r\n0\n\n",
    "last-then-cr-cr-lf": b"5\r\nhello\r\n0\r\r\n\r\n",
    "end-is-lf": b"5\r\nhello\r\n0\r\n\n",
    "end-is-cr": b"5\r\nhello\r\n0\r\n\r",
    "end-is-cr-x": b"5\r\nhello\r\n0\r\n\rX",
    "end-is-missing": b"5\r\nhello\r\n0\r\n",
    "end-is-space": b"5\r\nhello\r\n0\r\n \r\n",
    "starts-with-crlf": b"\r\n5\r\nhello\r\n0\r\n\r\n",
    "starts-with-lf": b"\n5\r\nhello\r\n0\r\n\r\n",
    "not-chunked-at-all": b"hello",
    "second-size-bad": b"5\r\nhello\r\nxyz\r\n0\r\n\r\n",
    "second-size-empty": b"5\r\nhello\r\n\r\n\r\n",
    "last-negative": b"5\r\nhello\r\n-0\r\n\r\n",
    "last-in-hex-notation": b"5\r\nhello\r\n0x0\r\n\r\n",
}.items():
    chunk.reject(name, chunked(body), LATE)
chunk.reject("endless-size", chunked(b"0" * 1000000), LATE, canary=False)
chunk.reject("endless-zeros-in-a-size", chunked(b"0" * 100000 + b"5\r\nhello\r\n0\r\n\r\n"), LATE)

trailer = Family("trailer")
AS_YOU_LIKE = Reject(frozenset({400, 413, 431}), late=True)
for name, lines_ in {
    "no-colon": b"X-T\r\n",
    "space-before-colon": b"X-T : a\r\n",
    "empty-name": b": a\r\n",
    "space-first": b" X-T: a\r\n",
    "fold": b"X-T: a\r\n b\r\n",
    "nul": b"X-T: a\x00\r\n",
    "nul-in-name": b"X\x00T: a\r\n",
    "control": b"X-T: a\x01\r\n",
    "vt-in-name": b"X-T\x0b: a\r\n",
    "high-in-name": b"X-T\x85: a\r\n",
    "bare-lf": b"X-T: a\n",
    "bare-lf-inside": b"X-T: a\nX-U: b\r\n",
    "bare-cr": b"X-T: a\rb\r\n",
    "cr-cr-lf": b"X-T: a\r\r\n",
    "request-line": b"GET /smuggled HTTP/1.1\r\n",
    "name-with-space": b"X T: a\r\n",
    "length-with-space": b"Content-Length : 5\r\n",
    "del": b"X-T: \x7f\r\n",
}.items():
    trailer.reject(name, chunked(b"5\r\nhello\r\n0\r\n" + lines_ + b"\r\n"), LATE)
trailer.reject("60-kB", chunked(b"0\r\nX-T: " + b"a" * 60000 + b"\r\n\r\n"), AS_YOU_LIKE)
trailer.reject("1.5-MB", chunked(b"0\r\nX-T: " + b"a" * 1500000 + b"\r\n\r\n"), AS_YOU_LIKE)
trailer.reject("endless", chunked(b"0\r\nX-T: " + b"a" * 1500000), AS_YOU_LIKE, canary=False)
trailer.reject("500-fields", chunked(b"0\r\n" + b"X-T: a\r\n" * 500 + b"\r\n"), AS_YOU_LIKE)
trailer.reject("40000-fields", chunked(b"0\r\n" + b"X-T: a\r\n" * 40000 + b"\r\n"), AS_YOU_LIKE)

CASES: list[Case] = [*length.cases, *coding.cases, *both.cases, *chunk.cases, *trailer.cases]
