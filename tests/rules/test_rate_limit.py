"""``rate-limit`` as a rule: whose bucket a request takes from, and what clients and people are told."""

from __future__ import annotations

from typing import Any

import pytest

from l7.config.schema import Config
from l7.config.sections.rules import RateLimit
from l7.errors import RATE_LIMITED, ConfigError, ProxyError
from l7.exchange import Exchange
from l7.http.authority import host_of
from l7.http.forwarding import Hop
from l7.http.messages import LocalResponse, RequestHead, ResponseHead, StatusLine
from l7.rules.context import RuleContext
from l7.rules.rate_limit import BucketKey, RateLimitRule
from l7.sharedmem.layout import RATE_OVERFLOWED, place
from l7.sharedmem.memory import FIRST_ROW, FIRST_WORKER, UNROUTED, SharedMemory
from l7.sharedmem.rate_limits import SETS
from l7.workers.rules.rate_limiter import RateLimiter


class Told(list[str]):
    """Events, by their words."""


@pytest.fixture
def memory() -> SharedMemory:
    memory = SharedMemory()
    memory.open(FIRST_WORKER)
    return memory


@pytest.fixture
def told() -> Told:
    return Told()


@pytest.fixture
def limiter(memory: SharedMemory, told: Told) -> RateLimiter:
    return RateLimiter(memory.rate_limits, memory.writer(FIRST_WORKER), lambda text: told.append(str(text)))


def rule(limiter: RateLimiter | None, route: str = "a", **limit: Any) -> RateLimitRule:
    limit = {"requests": 2, "per": 3600, **limit}
    return RateLimitRule(("backends", route, "rate-limit"), RateLimit.model_validate(limit), route, limiter)


def asked(client: str = "203.0.113.1", *lines: bytes, peer: str = "", host: bytes = b"a") -> RuleContext:
    exchange = Exchange(client, 0.0)
    head = RequestHead(b"GET / HTTP/1.1", b"GET", b"/", host, 1)
    head.host = host_of(host)
    head.runs = [b"\r\n".join(lines)] if lines else []
    return RuleContext(exchange, head, Hop(peer or client, 80, b"a"), None, None, None)


def admits(rule: RateLimitRule, context: RuleContext) -> bool:
    try:
        rule.admit(context)
    except ProxyError as failure:
        return failure.kind is not RATE_LIMITED
    return True


@pytest.mark.parametrize(
    ("name", "lines", "value"),
    [
        ("x-key", [b"X-Key: a"], b"a"),
        ("x-key", [b"Accept: x", b"x-kEY:a \t", b"X-Keys: c"], b"a"),
        ("x-key", [b"X_Key: a"], b"a"),
        ("X_Key", [b"X-Key: a", b"Y: b", b"X_Key: c"], b"a, c"),
        ("x-key", [b"X-Key:", b"X-Key: "], b""),
        ("x-key", [b"X-Key:", b"X-Key: b"], b"b"),
        ("x-key", [b"X-Ke: a", b"Y-Key: a", b"X-Key2: a", b"Xx-Key: a"], b""),
        ("x-key", [b"A: X-Key: a"], b""),
        ("_key", [b"_Key: a"], b"a"),
        ("x-key", [b"X"], b""),
        ("x-key", [], b""),
        ("host", [b"X-Host: a"], b"a.test"),
    ],
)
def test_the_value_of_a_header(name: str, lines: list[bytes], value: bytes) -> None:
    assert BucketKey(b"", f"header:{name}").value(asked("", *lines, host=b"A.test.:80").head) == value


def test_lines_of_all_runs_are_looked_at() -> None:
    context = asked()
    context.head.runs = [b"A: b\r\nX-Key: 1", b"X-Key: 2", b"", b"C: d"]
    assert BucketKey(b"", "header:X-Key").value(context.head) == b"1, 2"


def test_values_and_clients_are_never_the_same(limiter: RateLimiter) -> None:
    by_key = rule(limiter, by="header:X-Key", requests=1)
    one = [asked("203.0.113.1"), asked("203.0.113.2", b"X-Key: 203.0.113.1"), asked("203.0.113.1", b"X-Key:")]
    assert [admits(by_key, context) for context in one] == [True, True, False]


def test_a_connection_gives_no_bucket_of_another_limit_or_client() -> None:
    one, other = BucketKey(b"one", "client"), BucketKey(b"other", "client")
    keys = [one, one, other, one]
    wanted = [key.of(asked()) for key in keys]
    context = asked()
    assert [key.of(context) for key in keys] == wanted and len(set(wanted)) == 2
    assert context.ipv4() == context.ipv4() == 0xCB007101
    context.exchange.client = "203.0.113.2"  # as a trusted proxy says it
    assert one.of(context) == one.of(asked("203.0.113.2")) != wanted[0]
    assert context.ipv4() == 0xCB007102


@pytest.mark.parametrize(
    ("by", "client", "lines", "owner"),
    [
        ("client", "203.0.113.1", [], "203.0.113.1"),
        ("client", "2001:db8:1:2:3:4:5:6", [], "2001:db8:1:2::/64"),
        ("client", "unix:", [], "unix:"),
        ("header:X-Key", "203.0.113.1", [b"X-Key: secret"], "this value of x-key"),
        ("header:X-Key", "203.0.113.1", [], "203.0.113.1"),
        ("all", "203.0.113.1", [], "all clients together"),
    ],
)
def test_it_says_whose_bucket_it_is(by: str, client: str, lines: list[bytes], owner: str) -> None:
    explained = rule(None, by=by, burst=5, per=60)
    assert explained.describe() == f"2 requests each 60s, and 5 more at once, by {by.lower()}"
    assert explained.verdict(asked(client, *lines)) == f"counted for {owner}"
    assert admits(explained, asked(client, *lines))  # it counts nothing


def test_a_limit_is_another_one_with_another_route_rate_size_or_key(limiter: RateLimiter) -> None:
    assert [admits(rule(limiter), asked()) for _ in range(3)] == [True, True, False]
    for other in ({"route": "b"}, {"burst": 1}, {"per": 3599}, {"by": "header:x"}, {"by": "all"}):
        assert admits(rule(limiter, **other), asked())
    assert not admits(rule(limiter), asked())


def test_answers_tell_what_is_left(limiter: RateLimiter) -> None:
    limit = rule(limiter, requests=10, per=5, burst=1)
    context, response = asked(), ResponseHead(StatusLine(b"HTTP/1.1 200 OK\r\n", 200, b"OK", 1))
    limit.on_response(context, response)
    assert response.runs == []
    assert limit.admits_at_once(context)
    limit.on_response(context, response)
    assert response.lines == [b'RateLimit-Policy: "l7";q=11;w=6', b'RateLimit: "l7";r=10;t=1']
    own = limit.on_own(context, LocalResponse(404, "", b"", ("A: b",)))
    assert own.fields == ("A: b", 'RateLimit-Policy: "l7";q=11;w=6', 'RateLimit: "l7";r=10;t=1')
    assert limit.on_own(asked(), own) is own
    assert [limit.admits_at_once(asked()) for _ in range(11)] == [True] * 10 + [False]
    refused = asked()
    with pytest.raises(ProxyError, match="too many requests: try again in 1 s") as caught:
        limit.admit(refused)
    assert caught.value.fields == ("Retry-After: 1", 'RateLimit-Policy: "l7";q=11;w=6', 'RateLimit: "l7";r=0;t=1')
    assert limit.on_own(refused, own) is own


def test_without_room_requests_pass_and_are_counted_for_their_route(memory: SharedMemory, limiter: RateLimiter) -> None:
    limit = rule(limiter, requests=1)
    context = asked()
    for number in range(7):  # clients in the set of this one
        memory.rate_limits.charge(limit._key.of(context) ^ (number + 1) * SETS, limit._bucket)
    context.exchange.row = FIRST_ROW
    assert all(admits(limit, one) for one in (context, context, asked()))
    writer = memory.writer(FIRST_WORKER)
    assert [writer.total(place(row, RATE_OVERFLOWED)) for row in (FIRST_ROW, UNROUTED)] == [2, 1]


@pytest.mark.parametrize(
    ("client", "peer", "by", "warned"),
    [
        ("10.0.0.1", "10.0.0.1", "client", True),
        ("unix:", "unix:", "client", True),
        ("fd00::1", "fd00::1", "header:X-Key", True),
        ("127.0.0.1", "127.0.0.1", "all", False),
        ("8.8.8.8", "8.8.8.8", "client", False),
    ],
)
def test_a_client_that_may_be_a_proxy_is_told_of_once(
    limiter: RateLimiter, told: Told, client: str, peer: str, by: str, warned: bool
) -> None:
    limit = rule(limiter, by=by)
    assert [admits(limit, asked(client, peer=peer)) for _ in range(5)] == [True] * 2 + [False] * 3
    assert len(told) == int(warned)
    if warned:
        assert "a: rate-limit has refused" in told[0] and "name it in trusted-proxies" in told[0]


def test_a_client_that_a_proxy_has_named_is_not_told_of(limiter: RateLimiter, told: Told) -> None:
    limit = rule(limiter, requests=1)
    for _ in range(3):
        context = asked("10.0.0.1", peer="10.9.9.9")
        context.believed = b"X-Forwarded-For: 10.0.0.1"
        admits(limit, context)
        context = asked("10.0.0.2")
        context.hop.told_port = b"80"
        admits(limit, context)
    assert told == []


@pytest.mark.parametrize(
    ("limit", "words"),
    [
        ({"requests": 0}, "write 1 to 1000000"),
        ({}, "requests"),
        ({"requests": 1, "by": "ip"}, "'ip' is unknown; write client, header:NAME or all"),
        ({"requests": 1, "by": "header:"}, "is not a name"),
        ({"requests": 1, "by": "header:X-Forwarded-For"}, "write client: trusted-proxies say who that is"),
        ({"requests": 1, "by": "header:connection"}, "does not tell clients apart"),
        ({"requests": 1, "by": "header:X_Forwarded_For"}, "does not tell clients apart"),
        ({"requests": 1, "by": "header:X-Client-Cert-Fingerprint"}, "does not tell clients apart"),
        ({"requests": 1, "per": "1ms"}, "per"),
        ({"requests": 1, "burst": -1}, "burst"),
    ],
)
def test_what_no_limit_can_be_is_refused(limit: dict[str, object], words: str) -> None:
    with pytest.raises((ConfigError, ValueError), match=words):
        Config.model_validate({"backends": {"a": {"servers": ["127.0.0.1:1"], "rate-limit": limit}}})
