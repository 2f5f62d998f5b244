"""What HTTP messages are made of, for Hypothesis; everything is valid unless its name says otherwise."""

from __future__ import annotations

import random
import string

from hypothesis import strategies as st

from tests.harness.client import slices as cut

TCHAR = b"!#$%&'*+-.^_`|~" + (string.digits + string.ascii_letters).encode()
VCHAR = bytes(range(0x21, 0x7F))
TEXT = VCHAR + bytes(range(0x80, 0x100))

METHODS = [b"GET", b"HEAD", b"POST", b"PUT", b"DELETE", b"PATCH", b"OPTIONS", b"PROPFIND", b"REPORT", b"M-SEARCH"]

SPECIAL = set(
    b"connection keep-alive proxy-connection proxy-authorization proxy-authenticate proxy-authentication-info te "
    b"transfer-encoding upgrade http2-settings host content-length expect authorization max-forwards forwarded "
    b"x-real-ip x-request-id via user-agent referer date".split()
)


def made_of(alphabet: bytes, least: int = 0, most: int = 20) -> st.SearchStrategy[bytes]:
    """Bytes out of *alphabet*."""
    return st.lists(st.sampled_from(list(alphabet)), min_size=least, max_size=most).map(bytes)


tokens = made_of(TCHAR, 1, 12)
ordinary_names = tokens.filter(
    lambda name: (
        name.lower().replace(b"_", b"-") not in SPECIAL
        and not name.lower().replace(b"_", b"-").startswith(b"x-forwarded-")
    )
)
words = made_of(TEXT, 1, 8)
values = st.lists(words, max_size=4).map(b" ".join) | st.lists(words, min_size=2, max_size=3).map(b"\t".join)
blanks = st.sampled_from([b"", b" ", b"  ", b"\t", b" \t "])
field_lines = st.builds(
    lambda name, before, value, after: name + b":" + before + value + after, ordinary_names, blanks, values, blanks
)
target_bytes = made_of(bytes(sorted(set(VCHAR) - set(b"#"))), 0, 30)
paths = target_bytes.map(lambda rest: b"/" + rest)
labels = made_of(b"abcxyzABC019-", 1, 8)
hosts = (
    st.lists(labels, min_size=1, max_size=4).map(b".".join)
    | st.sampled_from([b"[::1]", b"[2001:db8::7]", b"127.0.0.1", b"a%41_b", b"x."])
)  # fmt: skip
ports = st.one_of(st.just(b""), st.integers(0, 65535).map(lambda port: b":%d" % port), st.just(b":"))
authorities = st.builds(lambda host, port: host + port, hosts, ports)
bodies = st.binary(max_size=300)
extensions = st.sampled_from([b"", b";a", b";a=b", b' ; a = "b;c\\""', b";a;b=c"])


@st.composite
def chunkings(draw: st.DrawFn) -> tuple[bytes, bytes, list[bytes]]:
    """A chunked body: its coded form, its payload, its trailers."""
    payload, coded = b"", b""
    for piece in draw(st.lists(st.binary(min_size=1, max_size=60), max_size=6)):
        size = b"%x" % len(piece)
        size = draw(st.sampled_from([size, size.upper(), b"000" + size]))
        coded += size + draw(extensions) + b"\r\n" + piece + b"\r\n"
        payload += piece
    trailers = draw(st.lists(ordinary_trailers, max_size=3))
    coded += b"0" + draw(extensions) + b"\r\n" + b"".join(line + b"\r\n" for line in trailers) + b"\r\n"
    return coded, payload, trailers


ordinary_trailers = field_lines.map(lambda line: b"X-" + line)

slicings = st.sampled_from(["whole", "line", "byte"]) | st.integers(0, 2**32).map(random.Random)


def sliced(data: bytes, how: str | random.Random) -> list[bytes]:
    """*data* in pieces, the same ones whenever asked."""
    return list(cut(data, random.Random(how.getstate()[1][0]) if isinstance(how, random.Random) else how))


FRAGMENTS = [
    b"GET", b"POST", b"CONNECT", b"TRACE", b" ", b"  ", b"/", b"*", b"http://a/", b"HTTP/1.1", b"HTTP/1.0", b"HTTP/2.0",
    b"\r\n", b"\n", b"\r", b"\r\n\r\n", b"Host", b"host: a", b":", b": ", b" :", b"a", b"Content-Length", b"0", b"5",
    b"+5", b"5, 5", b"18446744073709551616", b"Transfer-Encoding", b"chunked", b"gzip, chunked", b",", b";", b"=", b'"',
    b"\\", b"Connection", b"close", b"keep-alive", b"upgrade", b"Upgrade: websocket", b"h2c", b"Expect: 100-continue",
    b"Max-Forwards: 0", b"X-Forwarded-For: 1.2.3.4", b"X_Forwarded_For", b"\x00", b"\x0b", b"\x1c", b"\x7f", b"\x85",
    b"\xa0", b"\xff", b"\t", b"[::1]", b"[", b"]", b"@", b"#", b"?", b"%", b":80", b":99999", b"0\r\n\r\n",
    b"5\r\nhello\r\n",
    b"HTTP/1.1 200 OK", b"HTTP/1.1 204", b"HTTP/1.1 101 S", b"HTTP/1.1 99", b"Date: x", b"fffffffffffffffff", b"A" * 40,
]  # fmt: skip
anything = st.binary(max_size=200) | st.lists(st.sampled_from(FRAGMENTS) | st.binary(max_size=3), max_size=30).map(
    b"".join
)
"""Any bytes; more often than not such as a message is made of."""


@st.composite
def nearly_requests(draw: st.DrawFn) -> bytes:
    """A request with, perhaps, one thing wrong at some place."""
    lines = [b"POST /p HTTP/1.1", b"Host: a", *draw(st.lists(field_lines, max_size=3))]
    raw = b"\r\n".join(lines) + b"\r\nContent-Length: 3\r\n\r\nabc"
    at = draw(st.integers(0, len(raw)))
    return raw[:at] + draw(st.sampled_from(FRAGMENTS) | st.just(b"")) + raw[at + draw(st.integers(0, 3)) :]


def named(how: object) -> str:
    """The name of a way to cut, the same in every process."""
    return how if isinstance(how, str) else "random"
