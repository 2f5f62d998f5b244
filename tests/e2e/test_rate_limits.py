"""``rate-limit``: exact over all workers, alive over reloads and deaths, for the real client, and said in fields."""

from __future__ import annotations

import os
import re
import signal
import threading
import time
from collections import Counter

import pytest

from tests.harness import TIMEOUT
from tests.harness.client import Client, get, request
from tests.harness.l7process import STATUS
from tests.harness.lifecycle import reload
from tests.harness.origin import Reply
from tests.harness.proxy_headers import v1
from tests.harness.stage import Stage

CONFIG = """\
access-log: off
canary-time: 200ms
defaults: {{timeouts: {{idle: 1s}}}}
backends:
  a: {{servers: ['{server}'], rate-limit: {{{limit}}}}}
  b: {{servers: ['{server}']}}
"""


ROUTES = """\
access-log: off
backends:
  hear: {{servers: ['{address}'], rate-limit: {{requests: 1, per: 30m}}}}
  go-on: {{servers: ['{address}'], rate-limit: {{requests: 1, per: 1h}}}}
  tokens: {{servers: ['{address}'], rate-limit: {{requests: 2, per: 4s}}}}
  fields: {{servers: ['{address}'], rate-limit: {{requests: 5, per: 1h}}}}
  keyed: {{servers: ['{address}'], rate-limit: {{requests: 1, per: 1h, by: 'header:X-Api-Key'}}}}
  small: {{servers: ['{address}'], rate-limit: {{requests: 1, per: 1h, by: 'header:x-api-key'}}}}
  lined: {{servers: ['{address}'], rate-limit: {{requests: 1, per: 1h, by: 'header:X_API_Key'}}}}
  login: {{servers: ['{address}'], rate-limit: {{requests: 2, per: 1h}}, users: {{me: '{hash}'}}}}
  silent: {{respond: {{}}, rate-limit: {{requests: 1, per: 1h}}, response-headers: {{remove: [RateLimit]}}}}
  free: {{servers: ['{address}']}}
""".replace("{hash}", "$2b$12$abcdefghijklmnopqrstuuPDxYzNwSQnHD0N.iO1Uk3a0pmfWbmwe")


@pytest.fixture(scope="module")
def running(spoken):
    """One for the tests that need nothing but a route of their own."""
    with Stage(ROUTES) as stage:
        yield stage


def config(server: str, limit: str) -> str:
    return CONFIG.format(server=server, limit=limit)


def statuses(proxy, count: int, host: str = "a", **options) -> list[int]:
    return [get(proxy.address, host=host, **options).status for _ in range(count)]


def at_once(proxy, clients: int, each: int, statuses: Counter) -> list[threading.Thread]:
    """Start clients with a connection each, which ask as fast as they can; what they get is counted."""

    def ask() -> None:
        with Client(proxy.address) as client:
            found = []
            for _ in range(each):
                client.send(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
                answer = client.read_response()
                assert not answer.closes
                found.append(answer.status)
        statuses.update(found)

    threads = [threading.Thread(target=ask) for _ in range(clients)]
    for thread in threads:
        thread.start()
    return threads


def test_it_is_exact_over_workers(l7, origin):
    text = config(origin().address, "requests: 150, per: 1h, burst: 50")
    proxy = l7(text, workers=4, argv=["--control", STATUS])
    found: Counter = Counter()
    for thread in at_once(proxy, 24, 25, found):
        thread.join(TIMEOUT)
    assert found == {200: 200, 429: 400}

    def served() -> list[int]:
        """Requests by worker: a worker says so once in a heartbeat."""
        return [worker["requests"] for worker in proxy.status()["workers"]]

    proxy.wait_for(lambda: sum(served()) == 600, "what the workers say they have served")
    assert len([count for count in served() if count]) >= 2
    assert statuses(proxy, 2, host="b") == [200, 200]


def test_who_is_refused_hears_when_to_come_again(play):
    proxy = play.proxy
    answer = get(proxy.address, host="hear")
    assert (answer.status, answer.header(b"retry-after")) == (200, None)
    assert answer.header(b"ratelimit-policy") == b'"l7";q=1;w=1800'
    assert answer.header(b"ratelimit") == b'"l7";r=0;t=1800'
    answer = request(proxy.address, "POST", host="hear", body=b"x" * 1000, headers=[("Accept", "application/json")])
    assert answer.status == 429
    seconds = int(answer.header(b"retry-after") or b"")
    assert 1790 <= seconds <= 1800
    assert answer.header(b"ratelimit-policy") == b'"l7";q=1;w=1800'
    assert answer.header(b"ratelimit") == b'"l7";r=0;t=%d' % seconds
    assert answer.json["reason"] == f"too many requests: try again in {seconds} s"
    assert b"rate-limit" not in answer.body


def test_a_refused_connection_goes_on(play):
    server = play()
    with play.connect() as client:
        for status in (200, 429, 429):
            client.send(b"POST / HTTP/1.1\r\nHost: go-on\r\nContent-Length: 5\r\n\r\nhello")
            answer = client.read_response(b"POST")
            assert (answer.status, answer.closes) == (status, False)
        client.send(b"GET / HTTP/1.1\r\nHost: free\r\n\r\n")
        assert client.read_response().status == 200
    assert len(server.requests) == 2


def test_tokens_come_back_when_they_were_said_to(play):
    proxy = play.proxy
    assert statuses(proxy, 2, host="tokens") == [200, 200]
    answer = get(proxy.address, host="tokens")
    seconds = int(answer.header(b"retry-after") or b"0")
    assert (answer.status, seconds in (1, 2)) == (429, True), "two seconds for each, of which a part may have passed"
    time.sleep(seconds)
    assert get(proxy.address, host="tokens").status == 200


def test_a_server_keeps_its_own_fields(play):
    fields = [(b"RateLimit", b'"day";r=5;t=60'), (b"RateLimit-Policy", b'"day";q=9;w=86400')]
    play(lambda _: Reply(headers=fields))
    answer = get(play.port, host="fields")
    assert answer.values(b"ratelimit") == [b'"day";r=5;t=60', b'"l7";r=4;t=720']
    assert answer.values(b"ratelimit-policy") == [b'"day";q=9;w=86400', b'"l7";q=5;w=3600']
    for status in (200, 429):
        answer = get(play.port, host="silent")
        assert (answer.status, answer.values(b"ratelimit")) == (status, [])
        assert answer.values(b"ratelimit-policy") == [b'"l7";q=1;w=3600']


def test_it_lives_through_a_reload_and_a_death(l7, origin):
    server = origin()
    proxy = l7(config(server.address, "requests: 100, per: 1h"), workers=2, leaks=False)
    found: Counter = Counter()
    assert statuses(proxy, 40) == [200] * 40
    reload(proxy)
    threads = at_once(proxy, 4, 10, found)
    for thread in threads:
        thread.join(TIMEOUT)
    victims = proxy.workers()
    for victim in victims:
        os.kill(victim, signal.SIGKILL)
    proxy.wait_for(lambda: len(set(proxy.workers()) - set(victims)) == 2, "the replacement")
    assert found == {200: 40}
    assert sorted(statuses(proxy, 30)) == [200] * 20 + [429] * 10
    reload(proxy, config(server.address, "requests: 101, per: 1h"))
    assert statuses(proxy, 1) == [200]


def test_a_reload_under_load_lets_in_no_more(l7, origin):
    proxy = l7(config(origin().address, "requests: 300, per: 10h"), workers=2)
    found: Counter = Counter()
    threads = at_once(proxy, 6, 100, found)
    reload(proxy)
    for thread in threads:
        thread.join(TIMEOUT)
    assert found == {200: 300, 429: 300}


def test_behind_a_trusted_proxy_the_real_client_counts(l7, origin):
    proxy = l7(config(origin().address, "requests: 1, per: 1h") + "trusted-proxies: [127.0.0.1]\n")

    def asked_by(client: str) -> int:
        return get(proxy.address, host="a", headers=[("X-Forwarded-For", client)]).status

    assert [asked_by("192.0.2.1"), asked_by("192.0.2.1"), asked_by("192.0.2.2")] == [200, 429, 200]
    assert [asked_by("::ffff:192.0.2.1"), asked_by("1.1.1.1, 192.0.2.2")] == [429, 429]
    assert [asked_by("2001:db8:0:1::1"), asked_by("2001:db8:0:1:f::9"), asked_by("2001:db8:0:2::1")] == [200, 429, 200]
    assert not [line for line in proxy.events if "rate-limit.proxy" in line]


def test_nobody_else_is_believed_and_the_mistake_is_told(l7, origin):
    proxy = l7(config(origin().address, "requests: 1, per: 1h"))
    for client, status in (("192.0.2.1", 200), ("192.0.2.2", 429), ("192.0.2.3", 429)):
        assert get(proxy.address, host="a", headers=[("X-Forwarded-For", client)]).status == status
    proxy.wait_for_event("rate-limit.proxy", route="a", client="127.0.0.1")
    assert len([line for line in proxy.events if "rate-limit.proxy" in line]) == 1


def test_the_client_of_a_proxy_header_counts(l7, origin):
    text = config(origin().address, "requests: 1, per: 1h")
    proxy = l7(f"listeners: [{{address: '127.0.0.1:0', proxy-protocol: [127.0.0.1]}}]\n{text}", inherit=False)

    def asked_by(client: str) -> int:
        with Client(proxy.address) as one:
            one.send(v1(client, "192.0.2.99") + b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
            return one.read_response().status

    assert [asked_by(one) for one in ("192.0.2.1", "192.0.2.1", "192.0.2.2", "10.0.0.1", "10.0.0.1")] == [
        200, 429, 200, 200, 429,
    ]  # fmt: skip
    assert not [line for line in proxy.events if "rate-limit.proxy" in line]


@pytest.mark.parametrize("host", ["keyed", "small", "lined"])
def test_by_a_header(play, host):
    proxy = play.proxy
    keys = [("X-Api-Key", "one"), ("X-API-KEY", " one "), ("X_Api_Key", "one"), ("X-Api-Key", "two"), ("X-Api-Key", "")]
    assert [get(proxy.address, host=host, headers=[key]).status for key in keys] == [200, 429, 429, 200, 200]
    assert statuses(proxy, 1, host=host) == [429]  # the client, whom the one without a value was
    assert get(proxy.address, host=host, headers=[("X-Api-Key", "127.0.0.1")]).status == 200


def test_all_together(l7, origin):
    text = config(origin().address, "requests: 2, per: 1h, by: all") + "trusted-proxies: [127.0.0.1]\n"
    proxy = l7(text)
    clients = ["192.0.2.1", "192.0.2.2", "192.0.2.3"]
    found = [get(proxy.address, host="a", headers=[("X-Forwarded-For", one)]).status for one in clients]
    assert found == [200, 200, 429]


def test_routes_have_buckets_of_their_own(l7, origin):
    server = origin().address
    proxy = l7(
        f"defaults: {{rate-limit: {{requests: 1, per: 1h}}}}\nbackends: {{'a, b': {{servers: ['{server}']}}, "
        f"a/x: {{servers: ['{server}']}}, c: {{servers: ['{server}'], rate-limit: off}}}}\n"
    )
    assert [statuses(proxy, 2, host=host) for host in "ab"] == [[200, 429]] * 2
    assert statuses(proxy, 2, target="/x") == [200, 429]
    assert statuses(proxy, 3, host="c") == [200] * 3


def test_it_goes_before_the_login(play):
    assert statuses(play.proxy, 4, host="login") == [401, 401, 429, 429]
    answer = get(play.port, host="login")
    assert answer.header(b"www-authenticate") is None


def test_refusals_are_counted(l7, origin):
    admin = f"/tmp/l7-admin-rate-{os.getpid()}"
    server = origin().address
    text = config(server, "requests: 2, per: 1h")
    text += f"  c: {{servers: ['{server}'], deny: [127.0.0.1]}}\n  d: {{servers: ['{server}'], allow: [192.0.2.1]}}\n"
    text += f"  e: {{servers: ['{server}'], users: {{me: secret}}}}\n"
    text += f"admin: 'unix:{admin}'\nlimits: {{body: 10}}\n"
    proxy = l7(text, workers=2, argv=["--control", STATUS])
    assert statuses(proxy, 6) == [200, 200, 429, 429, 429, 429]
    assert request(proxy.address, "POST", host="b", body=b"x" * 11).status == 413
    assert [statuses(proxy, 1, host=host) for host in "cde"] == [[403], [403], [401]]

    def figures() -> dict[str, int]:
        text = get(admin, "/metrics").body.decode()
        found = re.findall(r"^(l7_rule_refusals_total\{.*\}|l7_rate_limit_overflows_total\{.*\}) (\d+)", text, re.M)
        return {name: int(count) for name, count in found}

    def ready() -> bool:
        return os.path.exists(admin) and 'l7_rule_refusals_total{host="a",rule="rate-limit"}' in figures()

    proxy.wait_for(ready, "the figures")
    told = [(one["backend"], one["rule"], one["requests"]) for one in proxy.status()["refused"]]
    assert told == [
        ("a", "rate-limit", 4),
        ("b", "limits.body", 1),
        ("c", "deny", 1),
        ("d", "allow", 1),
        ("e", "users", 1),
    ]
    wanted = {
        'l7_rule_refusals_total{host="a",rule="rate-limit"}': 4,
        'l7_rule_refusals_total{host="a",rule="limits.body"}': 0,
        'l7_rule_refusals_total{host="b",rule="limits.body"}': 1,
        'l7_rule_refusals_total{host="c",rule="deny"}': 1,
        'l7_rule_refusals_total{host="d",rule="allow"}': 1,
        'l7_rule_refusals_total{host="e",rule="users"}': 1,
        'l7_rate_limit_overflows_total{host="a"}': 0,
    }
    found = figures()
    assert {name: found.get(name) for name in wanted} == wanted
