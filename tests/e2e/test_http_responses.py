"""The corpus of responses through the real program: what the client sees, and whether the connection is used again.

Behind each case goes a probe: an ordinary request that has to get its own answer, whatever the server said before.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from tests.corpus import RESPONSES
from tests.corpus.batches import batches, each
from tests.corpus.cases import LIMITS, Cut, Exchange, Refuse, Relay
from tests.harness.client import Client, Response, get
from tests.harness.l7process import L7Process
from tests.harness.origin import Origin, Reply, Request, echo

CONFIG = """
limits: {{response-head: {head}, response-headers: {headers}}}
timeouts: {{idle: 20s}}
backends: {{'*': {{servers: ['{address}']}}}}
"""
NUMBERS = {exchange.name: number for number, exchange in enumerate(RESPONSES)}
NOT_KEPT = frozenset(b"date content-length transfer-encoding connection".split())


def answer(request: Request) -> Reply | bytes | None:
    """The script: the case's bytes for a case, an echo for everything else."""
    number = request.header(b"x-case")
    if number is None:
        return echo(request)
    exchange = RESPONSES[int(number)]
    connection = request.connection
    connection.read_body(request)
    connection.send(exchange.raw)
    if exchange.then == "close":
        connection.close()
    elif exchange.then == "reset":
        connection.reset()
    return None


@dataclass
class Stage:
    """One l7 and one origin for all cases."""

    proxy: L7Process
    origin: Origin
    probes: Iterator[int]


@pytest.fixture(scope="module")
def stage() -> Iterator[Stage]:
    """Start both; at the end nothing may be leaked."""
    with Origin(answer) as origin, L7Process(CONFIG.format(address=origin.address, **LIMITS)) as proxy:
        yield Stage(proxy, origin, itertools.count())
        assert not origin.violations, "\n".join(origin.violations)
        origin.close()
        proxy.assert_no_leaks()


def opening(exchange: Exchange, number: int) -> bytes:
    """The client's request."""
    lines = [
        b"%s /case HTTP/1.%d" % (exchange.method, exchange.minor),
        b"Host: example.com",
        b"X-Case: %d" % number,
        *exchange.fields,
        *([b"Content-Length: 0"] if exchange.method == b"POST" else []),
    ]
    return b"\r\n".join([*lines, b"", b""])


def check_relayed(expected: Relay, exchange: Exchange, answer: Response) -> None:
    """Assert that the client was given the whole answer, and nothing else."""
    assert answer.complete
    assert (answer.status, answer.body) == (expected.status, expected.body)
    assert tuple(one.status for one in answer.interim) == (expected.interim if exchange.minor else ())
    assert len(answer.values(b"date")) == 1
    if expected.framing is not None:
        assert answer.framing == expected.framing
    if expected.framing != "close":
        assert tuple(answer.trailers) == expected.trailers
    if expected.length is not None:
        assert answer.header(b"content-length") == expected.length
    if expected.reason is not None:
        assert answer.reason == expected.reason
    if expected.kept is not None:
        kept = tuple((name, value) for name, value in answer.headers if name.lower() not in NOT_KEPT)
        assert kept == expected.kept


def check_cut(expected: Cut, answer: Response, client: Client) -> None:
    """Assert that the client can tell that the answer is not whole, or was given a 502 instead."""
    if answer.status == 502:
        assert answer.complete
        return
    assert answer.status == expected.status
    assert not answer.complete, f"shown as whole: {answer.framing} {answer.body[:100]!r}"
    assert expected.body.startswith(answer.body)
    if answer.framing == "close":
        assert client.end == "reset"
    assert client.end


def check_probe(stage: Stage, client: Client, *, same: bool) -> Request:
    """Send an ordinary request, on the same connection where that lives on; assert that it gets its own answer."""
    target = f"/probe/{next(stage.probes)}"
    if same:
        client.send(f"GET {target} HTTP/1.1\r\nHost: example.com\r\nConnection: close\r\n\r\n".encode())
        probe = client.read_response()
        assert client.read_until_closed() == b""
    else:
        probe = get(stage.proxy.port, target)
    assert probe.status == 200
    assert probe.json["target"] == target
    arrived = stage.origin.requests[-1]
    assert arrived.target == target.encode()
    return arrived


@pytest.mark.parametrize("batch", batches(RESPONSES))
def test_response(batch: list[Exchange], stage: Stage) -> None:
    """Each case, and the probe behind it."""
    for exchange, naming in each(batch):
        with naming:
            run(exchange, stage)


def run(exchange: Exchange, stage: Stage) -> None:
    """Run one case, and look at the connection behind it."""
    before = len(stage.origin.requests)
    with Client(stage.proxy.address, timeout=8) as client:
        client.send(opening(exchange, NUMBERS[exchange.name]))
        answer = client.read_response(exchange.method)
        alive = False
        if isinstance(exchange.outcome, Relay):
            check_relayed(exchange.outcome, exchange, answer)
            alive = not answer.closes
            assert alive or not exchange.minor, "closed although nothing was wrong with the client's connection"
        elif isinstance(exchange.outcome, Refuse):
            assert answer.status == 502
            assert answer.complete
            alive = not answer.closes
            assert alive or not exchange.minor, "a 502 that ends the client's connection"
        else:
            check_cut(exchange.outcome, answer, client)
            alive = answer.complete and not answer.closes
        tries = [request for request in stage.origin.requests[before:] if request.header(b"x-case")]
        probe = check_probe(stage, client, same=alive and client.end == "")
    assert len(tries) == 1 if exchange.method == b"POST" else 1 <= len(tries) <= 2, [bytes(one.raw) for one in tries]
    if exchange.reused is not None:
        assert (probe.connection is tries[-1].connection) is exchange.reused
