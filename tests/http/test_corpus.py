"""The corpus through the parsers, without sockets: whole, by line, by byte and in random slices.

What comes out is written as l7 would write it to a server and read again by h11 and llhttp: both must find exactly one
request, with the same method, target, fields and body.
"""

from __future__ import annotations

import functools
import random
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

import pytest

from l7.errors import ProxyError
from l7.http import forwarding, framing
from l7.http.heads import HeadReader
from l7.http.messages import ABSENT, UNTIL_CLOSE, RequestHead, ResponseHead
from l7.http.parser import RequestParser, ResponseParser
from tests.corpus import REQUESTS, RESPONSES
from tests.corpus.batches import batches, each
from tests.corpus.cases import CANARY, LIMITS, Answer, Case, Cut, Exchange, Forward, Refuse, Reject, Relay
from tests.corpus.checks import check_forwarded
from tests.harness import independent
from tests.harness.chunks import chunk
from tests.harness.client import slices

CLIENT = b"192.0.2.7"
HOP = forwarding.Hop("192.0.2.7", 8080, b"stand-in.test")
SLOW = 20_000
"""Cases of more bytes than this are not fed byte by byte: their size is the point, not their bytes."""


def slicings(raw: bytes, seed: str) -> Iterator[tuple[str, Iterable[bytes]]]:
    """Every way in which the bytes are fed."""
    yield "whole", [raw]
    if len(raw) <= SLOW:
        yield "line", slices(raw, "line")
        yield "byte", slices(raw, "byte")
    for number in range(3):
        yield f"random {number}", slices(raw, random.Random(f"{seed} {number}"))


@dataclass
class Seen:
    """One request that the parser let through, and what goes on of it."""

    head: RequestHead
    wire: bytes = b""


@dataclass
class Driver:
    """Runs what a session runs, without its sockets: heads and bodies, one request after the other."""

    seen: list[Seen] = field(default_factory=list)
    failure: ProxyError | None = None
    within_body: bool = False

    def __post_init__(self) -> None:
        self._parser = RequestParser(LIMITS["headers"], LIMITS["target"])
        self._reader = HeadReader(LIMITS["head"], self._parser)
        self._body: framing.BodyReader | None = None

    @property
    def over(self) -> bool:
        """Whether the connection is read no more."""
        return self.failure is not None or (
            bool(self.seen) and not self.seen[-1].head.persistent and self._body is None
        )

    def feed(self, data: bytes) -> None:
        """Give it bytes."""
        try:
            while data and not self.over:
                data = self._feed_head(data) if self._body is None else self._feed_body(data)
        except ProxyError as failure:
            self.failure = failure
            self.within_body = self._body is not None

    def _feed_head(self, data: bytes) -> bytes:
        raw = self._reader.feed(data)
        if raw is None:
            return b""
        rest = self._reader.rest
        self._reader = HeadReader(LIMITS["head"], self._parser)
        head = self._parser.parse(raw)
        body: framing.BodyReader | None = None
        if head.length != ABSENT:
            body = framing.request_reader(head.length, LIMITS["headers"], LIMITS["head"])
            framing.bound_request(body, head.length, LIMITS["body"])
        self.seen.append(Seen(head, HOP.request_head(head, b"0123456789abcdef") if head.max_forwards else b""))
        if body is not None and not body.done:
            self._body = body
        elif isinstance(body, framing.ChunkedReader):
            raise AssertionError("a chunked body cannot be over before it began")
        return rest

    def _feed_body(self, data: bytes) -> bytes:
        body = self._body
        assert body is not None
        payload = body.feed(data)
        if isinstance(body, framing.LengthReader):
            self.seen[-1].wire += payload
        else:
            self.seen[-1].wire += chunk(payload)
            self.seen[-1].wire += framing.last_chunk(body.trailers) if body.done else b""
        if body.done:
            self._body = None
        return body.rest if body.done else b""


@functools.cache
def known_to_llhttp(method: bytes) -> bool:
    """Whether llhttp reads requests of this method."""
    return independent.knows_method(method)


def check_wire(expected: Forward, seen: Seen) -> None:
    """Assert that both independent parsers read what goes on as the one expected request."""
    (parsed,) = independent.with_h11(seen.wire)
    assert parsed.complete
    check_forwarded(expected, parsed.method, parsed.target, parsed.headers, parsed.body, parsed.trailers, CLIENT)
    if known_to_llhttp(expected.method):
        (other,) = independent.with_llhttp(seen.wire)
        assert (other.method, other.target) == (parsed.method, parsed.target)
        assert [(name, value.strip(b" \t")) for name, value in other.headers] == parsed.headers
        if not any(name.lower() == b"upgrade" for name, _ in parsed.headers):
            assert (other.body, other.complete) == (parsed.body, True)


def check_requests(case: Case, driver: Driver) -> None:
    """Assert the outcome of each request of a case, and that nothing else was read."""
    expected = list(case.outcomes)
    last = expected[-1]
    if isinstance(last, Reject):
        assert driver.failure is not None, f"not refused; read {[seen.head.line for seen in driver.seen]}"
        assert driver.failure.kind.status in last.statuses, driver.failure
        if driver.within_body:
            assert last.late, "refused only within the body"
        passed = driver.seen[: len(driver.seen) - driver.within_body]
        expected.pop()
    else:
        assert driver.failure is None, driver.failure
        passed = driver.seen
        expected += (
            [Forward(target=b"/canary", host=b"canary.test", closes=True)]
            if passed[len(expected) - 1].head.persistent
            else []
        )
    assert len(passed) == len(expected), [seen.head.line for seen in passed]
    for outcome, seen in zip(expected, passed, strict=True):
        if isinstance(outcome, Forward):
            check_wire(outcome, seen)
            if outcome.closes is not None:
                assert seen.head.persistent is not outcome.closes
        else:
            assert isinstance(outcome, Answer)
            assert seen.head.max_forwards == 0


@pytest.mark.parametrize("batch", batches(REQUESTS))
def test_request(batch: list[Case]) -> None:
    """Each request of the corpus becomes exactly what its case says, however its bytes come."""
    for case, naming in each(batch):
        with naming:
            check_case(case)


def check_case(case: Case) -> None:
    """Feed it in every way."""
    raw = case.raw + CANARY if case.canary else case.raw
    for how, pieces in slicings(raw, case.name):
        driver = Driver()
        for piece in pieces:
            driver.feed(piece)
        try:
            check_requests(case, driver)
        except AssertionError as error:
            raise AssertionError(f"fed {how}: {error}") from error


@dataclass
class Answered:
    """What came of a response."""

    interim: list[ResponseHead] = field(default_factory=list)
    head: ResponseHead | None = None
    body: bytes = b""
    trailers: list[bytes] = field(default_factory=list)
    whole: bool = False
    rest: bytes = b""


def read_response(exchange: Exchange, pieces: Iterable[bytes]) -> Answered:
    """Run what a relay runs, without its sockets; raises `ProxyError` for what it refuses."""
    answered = Answered()
    parser = ResponseParser(LIMITS["headers"])
    reader = HeadReader(LIMITS["head"])
    body: framing.BodyReader | None = None
    for piece in pieces:
        data = piece
        while data:
            if body is not None and body.done:
                answered.rest += data
                break
            if body is not None:
                answered.body += body.feed(data)
                data = body.rest if body.done else b""
                continue
            raw = reader.feed(data)
            data = b"" if raw is None else reader.rest
            if raw is not None:
                head = parser.parse(raw, exchange.method)
                reader = HeadReader(LIMITS["head"])
                if head.status < 200 and head.status != 101:
                    answered.interim.append(head)
                    continue
                answered.head = head
                body = framing.response_reader(head.length, LIMITS["headers"], LIMITS["head"])
    if body is not None and answered.head is not None:
        answered.whole = body.done or (answered.head.length == UNTIL_CLOSE and exchange.then == "close")
        answered.trailers = body.trailers
    return answered


def check_relayed(expected: Relay, answered: Answered) -> None:
    """Assert that a response came through as it should."""
    assert answered.head is not None
    assert answered.whole
    assert answered.head.status == expected.status
    assert tuple(head.status for head in answered.interim) == expected.interim or not expected.interim
    assert answered.body == expected.body
    if expected.framing != "close":  # which has no place for them: what an HTTP/1.0 client is given
        assert tuple(tuple(line.split(b": ")) for line in answered.trailers) == expected.trailers
    if expected.kept is not None:
        kept = [line.partition(b":") for line in answered.head.lines]
        assert [(name, value.strip(b" \t")) for name, _, value in kept] == list(expected.kept)
    if expected.reason is not None:
        assert answered.head.start.reason == expected.reason


PARSED = [exchange for exchange in RESPONSES if not exchange.name.startswith(("r-1xx/bad-101", "r-1xx/20000"))]
"""An unasked 101 and a flood of 1xx are for the relay to refuse, which knows what was asked."""


def outcome_of(exchange: Exchange, pieces: Iterable[bytes]) -> tuple[Answered, ProxyError | None]:
    """What came of a response, or why it was refused."""
    try:
        return read_response(exchange, pieces), None
    except ProxyError as failure:
        return Answered(), failure


@pytest.mark.parametrize("batch", batches(PARSED))
def test_response(batch: list[Exchange]) -> None:
    """Each response of the corpus is read, refused or seen to be cut as its case says, however its bytes come."""
    for exchange, naming in each(batch):
        with naming:
            check_exchange(exchange)


def check_exchange(exchange: Exchange) -> None:
    """Feed it in every way."""
    for how, pieces in slicings(exchange.raw, exchange.name):
        answered, refusal = outcome_of(exchange, pieces)
        if refusal is not None:
            assert refusal.kind.status == 502, f"fed {how}: {refusal}"
            assert isinstance(exchange.outcome, (Refuse, Cut)), f"fed {how}: {refusal}"
            continue
        if isinstance(exchange.outcome, Relay):
            check_relayed(exchange.outcome, answered)
            assert bool(answered.rest) == (exchange.family == "r-extra")
        elif isinstance(exchange.outcome, Refuse):
            assert answered.head is None, f"fed {how}: believed {answered.head.status}"
        else:
            assert not answered.whole, f"fed {how}: taken for whole"
            assert exchange.outcome.body.startswith(answered.body)
