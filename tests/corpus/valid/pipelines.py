"""Several requests on one connection, answered in order; and what follows the last that is answered."""

from __future__ import annotations

from tests.corpus.cases import BAD, CRLF, HOST, Case, Family, Forward, chunked, chunks, get, lines, post, statuses

pipeline = Family("pipeline")


def numbered(count: int) -> tuple[bytes, list[Forward]]:
    """So many GETs, each with its own target."""
    return b"".join(get(target=b"/%d" % n) for n in range(count)), [Forward(target=b"/%d" % n) for n in range(count)]


for count in (2, 5, 50, 1200):
    raw, expected = numbered(count)
    pipeline.add(f"{count}-gets", raw, *expected)
POST = Forward(b"POST", body=b"hello", framing="length")
CHUNKED = Forward(b"POST", body=b"hello", framing="chunked")
posted = post(b"Content-Length: 5", body=b"hello")
coded = chunked(chunks(b"hello"))
pipeline.add("post-get", posted + get(), POST, Forward())
pipeline.add("get-post", get() + posted, Forward(), POST)
pipeline.add("chunked-get", coded + get(), CHUNKED, Forward())
pipeline.add("chunked-chunked-post", coded + coded + posted, CHUNKED, CHUNKED, POST)
pipeline.add("head-get", lines(b"HEAD /h HTTP/1.1", HOST) + get(), Forward(b"HEAD", b"/h"), Forward())
pipeline.add(
    "get-head-get", get() + lines(b"HEAD /h HTTP/1.1", HOST) + get(), Forward(), Forward(b"HEAD", b"/h"), Forward()
)
pipeline.add("options-asterisk-get", lines(b"OPTIONS * HTTP/1.1", HOST) + get(), Forward(b"OPTIONS", b"*"), Forward())
pipeline.add("empty-line-between", posted + CRLF + get(), POST, Forward())
pipeline.add("empty-lines-between", get() + CRLF * 3 + get(), Forward(), Forward())
pipeline.add("different-hosts", get() + get(host=b"Host: other.test"), Forward(), Forward(host=b"other.test"))
pipeline.add("close-ends-it", get(b"Connection: close") + get(target=b"/never"), Forward(closes=True))
pipeline.add("1.0-ends-it", get(version=b"HTTP/1.0") + get(target=b"/never"), Forward(closes=True))
pipeline.add("length-zero-then-get", post(b"Content-Length: 0") + get(), Forward(b"POST", framing="length"), Forward())
pipeline.add(
    "upgrade-not-taken-then-get", get(b"Connection: Upgrade", b"Upgrade: websocket") + get(), Forward(), Forward()
)
pipeline.add(
    "h2c-then-preface",
    get(b"Connection: Upgrade, HTTP2-Settings", b"Upgrade: h2c", b"HTTP2-Settings: AA")
    + b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    Forward(),
    statuses(505),
)

BADS = {
    "bare-lf": (b"GET /bad HTTP/1.1\nHost: example.com\n\n", BAD),
    "no-host": (get(target=b"/bad", host=b""), BAD),
    "two-lengths": (post(b"Content-Length: 5", b"Content-Length: 6", body=b"hello"), BAD),
    "length-and-chunked": (post(b"Content-Length: 5", b"Transfer-Encoding: chunked", body=b"0\r\n\r\n"), BAD),
    "space-before-colon": (get(b"X : y", target=b"/bad"), BAD),
    "fold": (get(b"X: y", b" z", target=b"/bad"), BAD),
    "version": (get(target=b"/bad", version=b"HTTP/2.0"), statuses(505)),
    "coding": (post(b"Transfer-Encoding: gzip, chunked", body=b"0\r\n\r\n"), statuses(501)),
    "expectation": (post(b"Expect: x", b"Content-Length: 5", body=b"hello"), statuses(417)),
    "connect": (lines(b"CONNECT example.com:443 HTTP/1.1", b"Host: example.com:443"), statuses(405)),
    "junk": (b"\x00\x01\x02\x03\r\n\r\n", BAD),
    "body-too-large": (post(b"Content-Length: 99999999"), statuses(413)),
}
for name, (raw, outcome) in BADS.items():
    pipeline.add(f"rejected-{name}", raw + get(target=b"/never"), outcome)
    pipeline.add(f"get-then-rejected-{name}", get() + raw + get(target=b"/never"), Forward(), outcome)
    pipeline.add(f"post-then-rejected-{name}", posted + raw + get(target=b"/never"), POST, outcome)

CASES: list[Case] = pipeline.cases
