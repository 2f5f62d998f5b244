"""Whether what went on is what a case wants, whoever read it: h11, llhttp, or the recording origin."""

from __future__ import annotations

import re

from tests.corpus.cases import Forward

REQUEST_ID = re.compile(rb"[\x21-\x7e]{8,128}")
WRITTEN = frozenset(
    b"host x-forwarded-for x-real-ip x-forwarded-proto x-forwarded-host x-forwarded-port via x-request-id "
    b"content-length transfer-encoding connection te upgrade expect max-forwards".split()
)
"""The fields that l7 writes itself; everything else travels on as it came."""
ABSENT_UNLESS_WANTED = (b"te", b"upgrade", b"max-forwards")

Headers = list[tuple[bytes, bytes]]


def values(headers: Headers, name: bytes) -> list[bytes]:
    """Every value of a field."""
    return [value for key, value in headers if key.lower() == name]


def check_forwarded(
    expected: Forward,
    method: bytes,
    target: bytes,
    headers: Headers,
    body: bytes,
    trailers: Headers,
    client: bytes,
    minor: int = 1,
    scheme: bytes = b"http",
) -> None:
    """Assert that a request that went on is the expected one. *client* is the address l7 saw."""
    assert (method, target) == (expected.method, expected.target)
    hosts = values(headers, b"host")
    assert len(hosts) == 1
    assert hosts[0], "Host is empty"
    if expected.host is not None:
        assert hosts[0] == expected.host
    assert [(name, value) for name, value in headers if name.lower() not in WRITTEN] == list(expected.kept)
    assert body == expected.body
    assert trailers == list(expected.trailers)
    _check_framing(expected, headers)
    _check_hops(headers, hosts[0], client, scheme)
    _check_written(expected, headers)


def _check_framing(expected: Forward, headers: Headers) -> None:
    lengths, codings = values(headers, b"content-length"), values(headers, b"transfer-encoding")
    if expected.framing == "chunked":
        assert (lengths, codings) == ([], [b"chunked"])
    elif expected.framing == "length":
        assert (lengths, codings) == ([b"%d" % len(expected.body)], [])
    else:
        assert (lengths, codings) == ([], [])


def _check_hops(headers: Headers, host: bytes, client: bytes, scheme: bytes) -> None:
    assert values(headers, b"x-forwarded-for") == [client]
    assert values(headers, b"x-real-ip") == [client]
    assert values(headers, b"x-forwarded-proto") == [scheme]
    assert values(headers, b"x-forwarded-host") == [host]
    port = re.search(rb":0*([1-9][0-9]*)$", host)
    assert values(headers, b"x-forwarded-port") == [port[1] if port else b"443" if scheme == b"https" else b"80"]
    assert [via.split()[1] for via in values(headers, b"via")] == [b"l7"]
    ids = values(headers, b"x-request-id")
    assert len(ids) == 1
    assert REQUEST_ID.fullmatch(ids[0])


def _check_written(expected: Forward, headers: Headers) -> None:
    wanted = dict(expected.also)
    for name in ABSENT_UNLESS_WANTED:
        if name not in wanted and not (name == b"upgrade" and not expected.also):
            assert values(headers, name) == [], name
    for name, value in expected.also:
        assert values(headers, name) == ([] if value is None else [value]), name
    options = [option.strip().lower() for value in values(headers, b"connection") for option in value.split(b",")]
    allowed = [name for name in (b"upgrade", b"te") if values(headers, name)]
    assert sorted(options) == sorted(allowed), "Connection must name exactly what belongs to it"
