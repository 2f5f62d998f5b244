"""The corpus of requests through the real program: what the client sees, and the bytes that reach the server.

Each case has a connection of its own, and a canary behind it: answered when the connection lives on, and never read as
a request after a refusal. What arrives is read three times, by the origin, by h11 and by llhttp, and has to be exactly
the expected request.
"""

from __future__ import annotations

import functools
import random
import re
from collections.abc import Iterator
from dataclasses import dataclass, field

import pytest

from tests.corpus import REQUESTS
from tests.corpus.batches import batches, each
from tests.corpus.cases import CANARY, LIMITS, Answer, Case, Forward, Reject
from tests.corpus.checks import check_forwarded
from tests.harness import independent
from tests.harness.client import Client, Response, Slicing
from tests.harness.l7process import L7Process
from tests.harness.origin import KEPT, Origin, Request
from tests.harness.over_tls import scheme

CONFIG = """
limits: {{head: {head}, headers: {headers}, target: {target}, body: {body}}}
backends: {{'*': {{servers: ['{address}']}}}}
"""
QUOTED = r'"(?:[ !#-\[\]-~]|\\x[0-9A-F]{2})*"'
LOG_LINE = re.compile(
    rf"127\.0\.0\.1 - \S+ \[[^\]]+\] {QUOTED} \d{{3}} \d+ {QUOTED} {QUOTED} "
    rf"[0-9a-f]{{32}} \S+ \S+ [-0-9/]+ \d+ \d+ {QUOTED} [-A-Za-z]{{2}}"
)
"""What a line of the access log looks like, whatever a client sends: nothing can end it early or begin another."""
CANARY_ARRIVES = Forward(target=b"/canary", host=b"canary.test", closes=True)
LOCAL = b"127.0.0.1"


@dataclass
class Stage:
    """One l7 and one origin for all cases."""

    proxy: L7Process
    origin: Origin
    seen: int = 0
    answered: int = 0
    unfinished: list[Request] = field(default_factory=list)
    """Requests that began to arrive and must never end: the body was refused. They may come late."""

    def arrived(self) -> list[Request]:
        """The whole requests that have arrived since it was last asked."""
        new = self.origin.requests[self.seen :]
        self.seen += len(new)
        self.unfinished += [request for request in new if not request.complete]
        return [request for request in new if request.complete]


@pytest.fixture(scope="module")
def stage(spoken: None) -> Iterator[Stage]:
    """Start both; at the end nothing may be leaked, and nothing malformed may ever have arrived."""
    with Origin() as origin, L7Process(CONFIG.format(address=origin.address, **LIMITS)) as proxy:
        stage = Stage(proxy, origin)
        yield stage
        late = [bytes(request.raw[:300]) for request in stage.arrived()]
        assert not late, f"requests that no case expected: {late}"
        for request in stage.unfinished:
            assert request.connection.wait_closed(), f"left open: {bytes(request.raw[:300])!r}"
            assert not request.complete, f"refused, and arrived whole: {bytes(request.raw[:300])!r}"
        assert not origin.violations, "\n".join(origin.violations)
        origin.close()
        proxy.assert_no_leaks()
        proxy.wait_for(lambda: len(proxy.output) >= stage.answered, f"{stage.answered} lines in the access log")
        assert len(proxy.output) == stage.answered, "not one line for each answer"
        odd = [line for line in proxy.output if not LOG_LINE.fullmatch(line)]
        assert not odd, "\n".join(odd[:10])


@functools.cache
def known_to_llhttp(method: bytes) -> bool:
    """Whether llhttp reads requests of this method."""
    return independent.knows_method(method)


def check_arrived(expected: Forward, request: Request) -> None:
    """Assert that all three readers see the expected request."""
    body = request.body
    named = (request.method, request.target, request.headers, body, request.trailers)
    check_forwarded(expected, *named, LOCAL, scheme=scheme())
    if len(request.raw) < KEPT:
        (parsed,) = independent.with_h11(bytes(request.raw))
        assert parsed.complete
        assert (parsed.method, parsed.target, parsed.headers) == (request.method, request.target, request.headers)
        assert (parsed.body, parsed.trailers) == (body, request.trailers)
        if known_to_llhttp(request.method):
            (other,) = independent.with_llhttp(bytes(request.raw))
            assert (other.method, other.target) == (request.method, request.target)
            assert other.complete
            if not request.values(b"upgrade"):
                assert other.body == body


def check_answers(case: Case, client: Client, answers: list[Response]) -> bool:
    """Assert what the client was given; returns whether the canary had to be answered, too."""
    canary = True
    for outcome, answer in zip(case.outcomes, answers, strict=False):
        assert answer.complete
        if isinstance(outcome, Forward):
            assert answer.status == 200
            canary = answer.closes is False
            if outcome.closes is not None:
                assert answer.closes is outcome.closes
        else:
            assert answer.status in outcome.statuses
            if isinstance(outcome, Reject):
                assert answer.closes, "a refusal without Connection: close"
                canary = False
    assert len(answers) == len(case.outcomes) + canary, [answer.status for answer in answers]
    assert client.end == "eof", "the connection was reset: the answer may be lost"
    assert client.read_until_closed() == b""
    return canary


def methods_of(case: Case) -> list[bytes]:
    """The methods that the answers belong to, with the canary's."""
    return [outcome.method if isinstance(outcome, Forward) else b"GET" for outcome in case.outcomes] + [b"GET"] * 2


def run(case: Case, stage: Stage, how: Slicing) -> None:
    """Run one case and assert the client's view and the origin's."""
    with Client(stage.proxy.address, timeout=10) as client:
        client.send(case.raw + CANARY if case.canary else case.raw, how)
        answers = client.read_responses(methods_of(case))
        stage.answered += len(answers)
        assert not client.broken, "bytes could not be sent: a client that reads later loses the answer"
        canary = check_answers(case, client, answers)
    expected = [outcome for outcome in case.outcomes if isinstance(outcome, Forward)] + [CANARY_ARRIVES] * canary
    arrived = stage.arrived()
    assert len(arrived) == len(expected), [bytes(request.raw[:300]) for request in arrived]
    for outcome, request in zip(expected, arrived, strict=True):
        check_arrived(outcome, request)


@pytest.mark.parametrize("batch", batches(REQUESTS))
def test_whole(batch: list[Case], stage: Stage) -> None:
    """Each case, its bytes sent at once."""
    for case, naming in each(batch):
        with naming:
            run(case, stage, "whole")


def says_close(case: Case) -> bool:
    """Whether a client says in HTTP/1.1 that it sends no more, and does: in pieces that would meet a closed end."""
    return b"HTTP/1.1" in case.raw and any(isinstance(outcome, Forward) and outcome.closes for outcome in case.outcomes)


IN_PIECES = [case for case in REQUESTS if not says_close(case)]
SAMPLE = [case for case in random.Random(7).sample(IN_PIECES, len(IN_PIECES) // 4) if len(case.raw) < 100_000]


@pytest.mark.parametrize("batch", batches(SAMPLE))
def test_sliced(batch: list[Case], stage: Stage) -> None:
    """A quarter of the cases, cut at random places."""
    for case, naming in each(batch):
        with naming:
            run(case, stage, random.Random(case.name))


LINES = [case for case in random.Random(8).sample(IN_PIECES, len(IN_PIECES) // 8) if len(case.raw) < 20_000]


@pytest.mark.parametrize("batch", batches(LINES))
def test_line_by_line(batch: list[Case], stage: Stage) -> None:
    """An eighth of the cases, line by line."""
    for case, naming in each(batch):
        with naming:
            run(case, stage, "line")


BYTES = [case for case in random.Random(9).sample(IN_PIECES, len(IN_PIECES) // 12) if len(case.raw) < 2_000]


@pytest.mark.parametrize("batch", batches(BYTES))
def test_byte_by_byte(batch: list[Case], stage: Stage) -> None:
    """Some of the cases, byte by byte."""
    for case, naming in each(batch):
        with naming:
            run(case, stage, "byte")


def test_answer_outcomes_are_all_known() -> None:
    """The runner knows what to do with every outcome of the corpus."""
    assert {type(outcome) for case in REQUESTS for outcome in case.outcomes} == {Forward, Reject, Answer}
