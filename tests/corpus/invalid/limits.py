"""What is well-formed (or could have become so) but larger than `LIMITS` allow."""

from __future__ import annotations

from tests.corpus.cases import HOST, LIMITS, Case, Family, Reject, chunked, get, lines, post, statuses

TARGET = statuses(414)
HEAD = statuses(431)

limit = Family("limit")
for size in (LIMITS["target"] + 1, 30000):
    limit.reject(f"target-of-{size}", get(target=b"/" + b"a" * (size - 1)), TARGET)
    limit.reject(f"query-of-{size}", get(target=b"/?" + b"a" * (size - 2)), TARGET)
    limit.reject(f"absolute-target-of-{size}", get(target=b"http://other.test/" + b"a" * (size - 18)), TARGET)
for size in (100_000, 3_000_000):
    limit.reject(f"target-of-{size}", get(target=b"/" + b"a" * (size - 1)), statuses(414, 431))
    limit.reject(f"target-of-{size}-endless", b"GET /" + b"a" * size, statuses(414, 431), canary=False)
    limit.reject(f"method-of-{size}", lines(b"M" * size + b" /p HTTP/1.1", HOST), statuses(501, 431, 400))
    limit.reject(f"method-of-{size}-endless", b"M" * size, statuses(501, 431, 400), canary=False)
    limit.reject(f"value-of-{size}", get(b"X-A: " + b"b" * size), HEAD)
    limit.reject(
        f"value-of-{size}-endless", lines(b"GET /p HTTP/1.1", HOST)[:-2] + b"X-A: " + b"b" * size, HEAD, canary=False
    )
    limit.reject(f"name-of-{size}", get(b"X" * size + b": y"), statuses(431, 400))
    limit.reject(
        f"name-of-{size}-endless", lines(b"GET /p HTTP/1.1", HOST)[:-2] + b"X" * size, statuses(431, 400), canary=False
    )
    limit.reject(f"spaces-of-{size}", get(b"X-A:" + b" " * size + b"b"), HEAD)
    limit.reject(f"host-of-{size}", get(host=b"Host: " + b"a" * size), statuses(431, 400))
    limit.reject(f"version-of-{size}", lines(b"GET /p HTTP/1." + b"1" * size, HOST), statuses(400, 431))
    limit.reject(f"cookie-of-{size}", get(b"Cookie: a=" + b"b" * size), HEAD)
limit.reject("head-of-33000", get(*[b"X-%d: %s" % (n, b"y" * 3290) for n in range(10)]), HEAD)
limit.reject("one-field-over", get(b"X-A: " + b"b" * LIMITS["head"]), HEAD)
limit.reject("101-fields", get(*[b"X-%d: y" % n for n in range(100)]), HEAD)
limit.reject("101-fields-of-one-name", get(*[b"X: y"] * 100), HEAD)
limit.reject("1000-fields", get(*[b"X-%d: y" % n for n in range(1000)]), HEAD)
limit.reject("40000-fields", get(*[b"X: y"] * 40000), HEAD)
limit.reject("40000-fields-endless", lines(b"GET /p HTTP/1.1", HOST)[:-2] + b"X: y\r\n" * 40000, HEAD, canary=False)
limit.reject("length-over-the-body-limit", post(b"Content-Length: %d" % (LIMITS["body"] + 1)), statuses(413))
limit.reject("length-far-over-the-body-limit", post(b"Content-Length: 999999999999999999"), statuses(413))
limit.reject("length-over-with-expect", post(b"Content-Length: 99999999", b"Expect: 100-continue"), statuses(413))
limit.reject(
    "chunk-over-the-body-limit", chunked(b"%x\r\n" % (LIMITS["body"] + 1)), Reject(frozenset({413}), late=True)
)
limit.reject(
    "chunks-over-the-body-limit",
    chunked((b"10000\r\n" + b"x" * 65536 + b"\r\n") * 17 + b"0\r\n\r\n"),
    Reject(frozenset({413}), late=True),
)

CASES: list[Case] = limit.cases
