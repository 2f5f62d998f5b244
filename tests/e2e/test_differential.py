"""Random valid requests through the real program: what arrives is the request that was sent, and nothing else.

The origin records every byte; its strict reader shares no code with l7, and h11 and llhttp read the same bytes again.
"""

from __future__ import annotations

import random
from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from tests.harness.client import Client
from tests.harness.independent import knows_method, with_h11, with_llhttp
from tests.harness.l7process import L7Process
from tests.harness.origin import Origin, Reply, Request
from tests.harness.passes import examples
from tests.http import strategies as http

bounded = settings(
    derandomize=True,
    max_examples=examples(150),
    deadline=None,
    database=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
)
HIDDEN = set(b"via x-request-id x-forwarded-for x-real-ip x-forwarded-proto x-forwarded-host x-forwarded-port".split())
"""What l7 adds to every request."""


def answer(request: Request) -> Reply:
    """Answer with the body and in the framing that the request names."""
    body = request.body
    framing = (request.header(b"x-answer-framing") or b"length").decode()
    return Reply(200, [(b"X-Number", b"%d" % request.number)], body[::-1], framing=framing, reason=b"Fine")


class Pair:
    """One l7 with one recording origin behind it."""

    def __init__(self) -> None:
        self.origin = Origin(answer)
        self.l7 = L7Process(f"access-log: 'off'\nbackends: {{'*': {{servers: ['{self.origin.address}']}}}}")


@pytest.fixture(scope="module")
def pair() -> Iterator[Pair]:
    running = Pair()
    try:
        yield running
        running.origin.close()
        running.l7.assert_no_leaks()
        running.l7.stop()
        assert not running.origin.violations
    finally:
        running.l7.kill()
        running.origin.close()


@st.composite
def requests(draw: st.DrawFn) -> dict[str, object]:
    """A valid request as its parts."""
    method = draw(st.sampled_from(http.METHODS) | http.tokens)
    assume(method not in (b"CONNECT", b"TRACE"))
    kind = draw(st.sampled_from(["none", "length", "chunked"]))
    coded, payload, trailers = b"", b"", []
    if kind == "length":
        payload = coded = draw(http.bodies)
    elif kind == "chunked":
        coded, payload, trailers = draw(http.chunkings())
    return {
        "method": method,
        "path": draw(http.paths),
        "host": draw(http.authorities),
        "absolute": draw(st.booleans()),
        "lines": draw(st.lists(http.field_lines, max_size=6)),
        "kind": kind,
        "coded": coded,
        "payload": payload,
        "trailers": trailers,
        "framing": draw(st.sampled_from([b"length", b"chunked", b"close"])),
    }


def serialise(request: dict[str, object], last: bool) -> bytes:
    """The bytes of a request; its Host is another one where the target is absolute."""
    target, host = request["path"], request["host"]
    if request["absolute"]:
        target, host = b"http://" + host + target, b"ignored.test"
    lines = [request["method"] + b" " + target + b" HTTP/1.1", b"Host: " + host, *request["lines"]]
    lines.append(b"X-Answer-Framing: " + request["framing"])
    if request["kind"] == "length":
        lines.append(b"Content-Length: %d" % len(request["payload"]))
    elif request["kind"] == "chunked":
        lines.append(b"Transfer-Encoding: chunked")
    if last:
        lines.append(b"Connection: close")
    return b"\r\n".join([*lines, b"", request["coded"]])


def pairs_of(lines: list[bytes]) -> list[tuple[bytes, bytes]]:
    return [(name, value.strip(b" \t")) for name, _, value in (line.partition(b":") for line in lines)]


def compare(sent: dict[str, object], got: Request) -> None:
    """What arrived is what was sent, but for what l7 must change."""
    assert (got.method, got.target, got.header(b"host")) == (sent["method"], sent["path"], sent["host"])
    assert (got.framing, got.received) == (sent["kind"], sent["payload"])
    assert got.trailers == pairs_of(sent["trailers"])
    written = HIDDEN | {b"host", b"content-length", b"transfer-encoding", b"x-answer-framing"}
    assert [one for one in got.headers if one[0].lower() not in written] == pairs_of(sent["lines"])
    assert got.values(b"x-forwarded-for") == [b"127.0.0.1"] and got.values(b"x-forwarded-host") == [sent["host"]]


@bounded
@given(sent=st.lists(requests(), min_size=1, max_size=4), how=http.slicings)
def test_what_arrives_is_what_was_sent(pair: Pair, sent: list[dict[str, object]], how: str | random.Random) -> None:
    before = len(pair.origin.requests)
    raw = b"".join(serialise(one, last=one is sent[-1]) for one in sent)
    with Client(pair.l7.port) as client:
        client.send(raw, how)
        answers = client.read_responses([one["method"] for one in sent])
        assert client.read_until_closed() == b"" and client.end == "eof"
    arrived = pair.origin.wait_for(before + len(sent), complete=True)[before:]
    assert len(arrived) == len(sent) == len(answers)
    for one, got, response in zip(sent, arrived, answers, strict=True):
        compare(one, got)
        assert (response.status, response.reason, response.complete) == (200, b"Fine", True)
        if one["method"] != b"HEAD":
            assert response.body == one["payload"][::-1]
    assert not pair.origin.violations
    reread(arrived)


def reread(arrived: list[Request]) -> None:
    """h11 and llhttp read each connection's newest bytes as the same requests."""
    for got in arrived:
        raw = bytes(got.raw)
        for read in [with_h11, *([with_llhttp] if knows_method(got.method) else [])]:
            found = read(raw)
            assert len(found) == 1 and found[0].complete, (read, raw)
            assert (found[0].method, found[0].target, found[0].body) == (got.method, got.target, got.received)


@bounded
@given(sent=requests(), data=http.anything)
def test_random_bytes_behind_a_request_never_change_it(pair: Pair, sent: dict[str, object], data: bytes) -> None:
    """Whatever follows is refused or is a request of its own: the first one stays what it was."""
    before = len(pair.origin.requests)
    with Client(pair.l7.port) as client:
        client.send(serialise(sent | {"framing": b"length"}, last=False) + data)
        response = client.read_response(sent["method"])
        assert response.status == 200
    compare(sent, pair.origin.wait_for(before + 1, complete=True)[before])
    assert not pair.origin.violations
