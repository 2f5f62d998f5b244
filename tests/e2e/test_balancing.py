"""Policies, weights, backups, ejection and sticky sessions through the real program."""

from __future__ import annotations

import re
import threading
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from string import Template
from threading import Semaphore

import pytest

from tests.harness import over_tls
from tests.harness.client import Client, Response, get, request
from tests.harness.l7process import L7Process
from tests.harness.origin import Origin, Reply, Request


class Named:
    """Origins that answer with their letter, and an l7 in front of them."""

    def __init__(self, stack: ExitStack, count: int, settings: str, workers: int) -> None:
        self.handlers: dict[str, Callable[[Request], Reply | None]] = {}
        self.origins = {received: stack.enter_context(self._origin(received)) for received in "abcdef"[:count]}
        addresses = {received: f"'{origin.address}'" for received, origin in self.origins.items()}
        self.config = "access-log: off\nbackends: {'*': {" + Template(settings).substitute(addresses) + "}}"
        self.proxy = stack.enter_context(L7Process(self.config, workers=workers))

    def _origin(self, received: str) -> Origin:
        def handle(request: Request) -> Reply | None:
            handler = self.handlers.get(received)
            return Reply(body=received.encode()) if handler is None else handler(request)

        return Origin(handle)

    def ask(self, headers: Sequence[tuple[str, str]] = (), method: str = "GET", target: str = "/") -> Response:
        return request(self.proxy.address, method, target, headers=headers)

    def who(self, **options: object) -> str:
        return self.ask(**options).body.decode()  # type: ignore[arg-type]

    def picks(self, count: int) -> Counter[str]:
        """Who answers so many requests, one after the other on one connection."""
        return Counter(answers(self.proxy.address, count))


@contextmanager
def named(count: int, settings: str, workers: int = 1) -> Iterator[Named]:
    with ExitStack() as stack:
        yield Named(stack, count, settings, workers)


KEYS = 60
"""So many that none of three servers goes without one: where servers are is chance, and so is whose a key is."""


def answers(address: tuple[str, int], count: int) -> list[str]:
    """The letters that come back on one connection, all requests sent at once."""
    found: list[str] = []
    with over_tls.connection(address, timeout=30) as client:
        client.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n" * count)
        data = b""
        while len(found) < count:
            more = client.recv(65536)
            assert more, f"closed after {len(found)} answers"
            data += more
            *whole, _ = re.split(rb"(?<=\r\n\r\n[a-f])", data)
            data = data[sum(map(len, whole)) :]
            found += [one[-1:].decode() for one in whole]
    return found


def test_weights_hold_over_all_workers() -> None:
    settings = "servers: [{address: $a, weight: 5}, {address: $b, weight: 3}, $c]"
    with named(3, settings, workers=4) as play:
        counts: Counter[str] = Counter()
        lock = threading.Lock()

        def client() -> None:
            found = Counter(answers(play.proxy.address, 100))
            with lock:
                counts.update(found)

        threads = [threading.Thread(target=client) for _ in range(40)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert sum(counts.values()) == 4000
    for received, part in (("a", 5 / 9), ("b", 3 / 9), ("c", 1 / 9)):
        assert counts[received] == pytest.approx(4000 * part, rel=0.02)


def test_least_requests_sees_what_other_workers_have() -> None:
    release = threading.Event()
    with named(2, "balance: least-requests, servers: [$a, $b]", workers=2) as play:

        def slow(request: Request) -> Reply:
            release.wait(15)
            return Reply(body=b"a")

        play.handlers["a"] = slow
        with ExitStack() as stack:
            asked = {received: origin.requests for received, origin in play.origins.items()}
            while not asked["a"]:
                answered = len(asked["b"])
                client = stack.enter_context(Client(play.proxy.address))
                client.send(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
                play.proxy.wait_for(lambda: asked["a"] or len(asked["b"]) > answered, "a request")  # noqa: B023
            assert play.picks(20) == {"b": 20}
            release.set()
            client.read_response()


def test_a_weight_of_zero_gets_nothing_and_a_backup_waits_its_turn() -> None:
    settings = "servers: [$a, {address: $b, weight: 0}, {address: $c, backup: true}]"
    with named(3, settings) as play:
        assert play.picks(30) == {"a": 30}
        play.origins["a"].close()
        assert play.picks(30) == {"c": 30}
        play.proxy.wait_for_event(r"\*: server .* is ejected until it takes connections: connect refused ×3")


def test_first_fills_one_server_after_the_other() -> None:
    with named(3, "balance: first, servers: [$a, $b, $c]") as play:
        assert play.picks(20) == {"a": 20}


def test_hash_keeps_a_key_on_its_server_in_every_worker() -> None:
    settings = "balance: hash, hash-key: header:X-Key, servers: [$a, $b, $c]"
    with named(3, settings, workers=2) as play:
        owners = {key: play.who(headers=[("X-Key", str(key))]) for key in range(KEYS)}
        assert len(set(owners.values())) == 3
        for _ in range(2):
            assert {key: play.who(headers=[("X-Key", str(key))]) for key in owners} == owners


def test_hash_by_target_cookie_and_client() -> None:
    with named(3, "balance: hash, hash-key: target, servers: [$a, $b, $c]") as play:
        assert len({play.who(target=f"/{number}") for number in range(KEYS)}) == 3
        assert len({play.who(target="/7") for _ in range(5)}) == 1
    with named(3, "balance: hash, hash-key: 'cookie:id', servers: [$a, $b, $c]") as play:
        assert len({play.who(headers=[("Cookie", f"x=1; id={number}")]) for number in range(KEYS)}) == 3
        assert len({play.who() for _ in range(5)}) == 1, "without the cookie it goes by the client"


# ------------------------------------------------------------------------------------------------------ ejection


def test_a_server_that_refuses_costs_nobody_a_request_and_is_left_alone() -> None:
    with named(3, "servers: [$a, $b, $c]") as play:
        play.origins["b"].close()
        counts = play.picks(60)
        assert counts["a"] + counts["c"] == 60
        play.proxy.wait_for_event(r"server .* is ejected until it takes connections: connect refused ×3")


def test_a_server_that_cuts_responses_is_ejected_after_three() -> None:
    with named(3, "ejection: {time: 60s}, servers: [$a, $b, $c]") as play:

        def cut(request: Request) -> None:
            request.connection.send(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nxx")
            request.connection.reset()

        play.handlers["b"] = cut
        assert Counter(play.ask().complete for _ in range(60)) == {True: 57, False: 3}
        play.proxy.wait_for_event("is ejected for 60s: response cut short: connection reset by peer ×3")


def test_a_server_that_answers_errors_alone_is_ejected() -> None:
    with named(3, "ejection: {time: 60s}, servers: [$a, $b, $c]") as play:
        play.handlers["b"] = lambda request: Reply(503, body=b"b")
        statuses = Counter(play.ask().status for _ in range(60))
        assert statuses[503] <= 4
        play.proxy.wait_for_event("is ejected for 60s: status 503 ×")


def test_errors_of_all_servers_eject_nobody() -> None:
    with named(2, "servers: [$a, $b]") as play:
        for received in "ab":
            play.handlers[received] = lambda request: Reply(500, body=b"x")
        assert Counter(play.ask().status for _ in range(60)) == {500: 60}
        assert not [line for line in play.proxy.events if "ejected" in line]


def test_ejection_can_be_off() -> None:
    with named(2, "ejection: off, servers: [$a, $b]") as play:
        play.origins["b"].close()
        assert play.picks(30) == {"a": 30}
        assert not [line for line in play.proxy.events if "ejected" in line]


def test_an_ejection_outlives_a_reload() -> None:
    with named(2, "ejection: {time: 30s}, servers: [$a, $b]") as play:
        play.origins["b"].close()
        play.picks(30)
        play.proxy.wait_for_event("is ejected until it takes connections")
        seen = len(play.proxy.events)
        play.proxy.hup()
        play.proxy.wait_for_event("reload.done", start=seen)
        assert play.picks(30) == {"a": 30}
        assert not [line for line in play.proxy.events[seen:] if "ejected" in line]


def test_a_server_that_is_back_is_used_again() -> None:
    with named(2, "ejection: {time: 100ms}, servers: [$a, $b]") as play:
        failing = threading.Event()
        failing.set()

        def handle(request: Request) -> Reply | None:
            if failing.is_set():
                request.connection.reset()
                return None
            return Reply(body=b"b")

        play.handlers["b"] = handle
        assert play.picks(20) == {"a": 20}
        play.proxy.wait_for_event("is ejected for 100ms: connection lost: connection reset by peer ×")
        failing.clear()
        play.proxy.wait_for(lambda: play.picks(10)["b"] == 5, "its share")


# -------------------------------------------------------------------------------------------------------- sticky


def cookie_of(response: Response) -> str:
    return (response.header(b"set-cookie") or b"").partition(b";")[0].decode()


def test_a_client_comes_back_to_its_server() -> None:
    with named(3, "sticky: {secret: 0123456789abcdef}, servers: [$a, $b, $c]", workers=2) as play:
        first = play.ask()
        field = first.header(b"set-cookie")
        assert field is not None
        assert re.fullmatch(rb"l7=[\w-]{24}; Path=/; HttpOnly; SameSite=Lax", field)
        for address in (origin.address.encode() for origin in play.origins.values()):
            assert address not in field
        for _ in range(10):
            again = play.ask(headers=[("Cookie", "other=1; " + cookie_of(first))])
            assert again.body == first.body
            assert again.header(b"set-cookie") is None, "it is set only when it changes"
        assert len({play.who() for _ in range(12)}) == 3, "others are shared out"


def test_a_cookie_survives_reload_and_the_order_of_servers() -> None:
    with named(3, "sticky: {}, servers: [$a, $b, $c]") as play:
        cookies = [cookie_of(play.ask()) for _ in range(3)]
        before = [play.who(headers=[("Cookie", cookie)]) for cookie in cookies]
        a, b, c = (f"'{origin.address}'" for origin in play.origins.values())
        seen = len(play.proxy.events)
        play.proxy.write_config(f"access-log: off\nbackends: {{'*': {{sticky: {{}}, servers: [{c}, {a}, {b}]}}}}")
        play.proxy.hup()
        play.proxy.wait_for_event(r"servers in another order", start=seen)
        play.proxy.wait_for_event("reload.done", start=seen)
        assert [play.who(headers=[("Cookie", cookie)]) for cookie in cookies] == before


def test_a_forged_cookie_means_nothing() -> None:
    with named(2, "sticky: {cookie: srv, secure: true, max-age: 1h}, servers: [$a, $b]") as play:
        answer = play.ask(headers=[("Cookie", "srv=AAAAAAAAAAAAAAAAAAAAAAAA")])
        assert (answer.header(b"set-cookie") or b"").endswith(b"; Max-Age=3600; Secure")


def test_who_sticks_to_a_dead_server_gets_another_one() -> None:
    with named(2, "sticky: {}, servers: [$a, $b]") as play:
        first = play.ask()
        play.origins[first.body.decode()].close()
        again = play.ask(headers=[("Cookie", cookie_of(first))])
        assert again.body in b"ab"
        assert again.body != first.body
        assert cookie_of(again) not in ("", cookie_of(first))


def test_a_weight_of_zero_still_serves_those_that_stick() -> None:
    with named(2, "sticky: {secret: 0123456789abcdef}, servers: [$a, $b]") as play:
        first = play.ask()
        mine, other = first.body.decode(), "ab".replace(first.body.decode(), "")
        servers = f"{{address: '{play.origins[mine].address}', weight: 0}}, '{play.origins[other].address}'"
        seen = len(play.proxy.events)
        play.proxy.write_config(
            f"access-log: off\nbackends: {{'*': {{sticky: {{secret: 0123456789abcdef}}, servers: [{servers}]}}}}"
        )
        play.proxy.hup()
        play.proxy.wait_for_event("reload.done", start=seen)
        assert play.picks(10) == {other: 10}
        assert play.who(headers=[("Cookie", cookie_of(first))]) == mine


def test_who_sticks_is_served_also_when_nobody_else_is() -> None:
    settings = "sticky: {secret: 0123456789abcdef}, servers: "
    with named(2, settings + "[$a, $b]") as play:
        first = play.ask()
        none = ", ".join(f"{{address: '{origin.address}', weight: 0}}" for origin in play.origins.values())
        seen = len(play.proxy.events)
        play.proxy.write_config(f"access-log: off\nbackends: {{'*': {{{settings}[{none}]}}}}")
        play.proxy.hup()
        play.proxy.wait_for_event("reload.done", start=seen)
        assert play.ask().status == 503
        assert play.ask(headers=[("Cookie", cookie_of(first))]).body == first.body


def test_a_client_that_only_opens_tunnels_comes_back_to_its_server() -> None:
    with named(3, "sticky: {}, servers: [$a, $b, $c]") as play, ExitStack() as stack:

        def upgraded(cookie: str = "") -> tuple[str, Response]:
            client = stack.enter_context(Client(play.proxy.address))
            lines = ["GET / HTTP/1.1", "Host: x", "Connection: upgrade", "Upgrade: x", f"Cookie: {cookie}", "", ""]
            client.send("\r\n".join(lines).encode())
            answer = client.read_response()
            client.send(b"?")
            return client.read_exactly(1).decode(), answer

        def switch(received: str) -> Callable[[Request], None]:
            def handle(request: Request) -> None:
                request.connection.send(
                    b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n"
                )
                request.connection.receive()
                request.connection.send(received.encode())

            return handle

        play.handlers = {received: switch(received) for received in "abc"}
        server, first = upgraded()
        assert first.status == 101
        for _ in range(6):
            again, answer = upgraded(cookie_of(first))
            assert again == server
            assert answer.header(b"set-cookie") is None


def test_an_invalid_response_does_not_set_a_cookie() -> None:
    with named(1, "sticky: {}, servers: [$a]") as play:
        play.handlers["a"] = lambda request: request.connection.send(b"nonsense\r\n\r\n")
        answer = get(play.proxy.address)
        assert answer.status == 502
        assert answer.header(b"set-cookie") is None


# ------------------------------------------------------------------------------------------- checks and what waits


def test_what_waits_for_a_server_that_checks_find_silent_goes_to_another_one() -> None:
    """A POST cannot: it waits on, because the server may still answer."""
    silent = threading.Event()
    settings = "servers: [$a, $b], health: {path: /, interval: 50ms, timeout: 500ms}, timeouts: {response: 100s}"
    with named(2, settings) as play, ExitStack() as stack:

        def handle(request: Request) -> Reply | None:
            if silent.is_set():
                request.connection.wait_closed()
                return None
            return Reply(body=b"b")

        play.handlers["b"] = handle
        assert play.picks(10) == {"a": 5, "b": 5}
        silent.set()
        clients = {}
        for method in ("GET", "GET", "POST", "POST"):
            client = stack.enter_context(Client(play.proxy.address))
            client.send(f"{method} / HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n".encode())
            clients[client] = method
        bodies = [(method, client.read_response().body) for client, method in clients.items() if method == "GET"]
        assert bodies == [("GET", b"a")] * 2
        play.proxy.wait_for_event("is down: no answer within 500ms")
        assert play.picks(6) == {"a": 6}


def test_what_a_server_did_not_answer_in_time_goes_to_another_one_when_its_check_has_failed_too() -> None:
    """A POST does not: the server may have done it."""
    settings = (
        "balance: first, servers: [$b, $a], ejection: off, timeouts: {response: 1s},"
        " health: {path: /check, interval: 50ms, timeout: 200ms, fall: 1000000}"
    )
    with named(2, settings) as play:
        silent, checks = threading.Event(), Semaphore(0)

        def handle(request: Request) -> Reply | None:
            if request.target == b"/check":
                checks.release()
            if not silent.is_set():
                return Reply(body=b"b")
            request.connection.wait_closed()
            return None

        def await_check() -> None:
            for _ in range(3):  # one may be under way, and when another one begins, the one before has been judged
                assert checks.acquire(timeout=30)

        play.handlers["b"] = handle
        await_check()
        assert play.who() == "b"
        silent.set()
        while checks.acquire(blocking=False):
            pass
        await_check()
        assert play.ask(method="POST").status == 504
        assert play.who() == "a"


def test_what_a_server_that_is_well_did_not_answer_in_time_goes_nowhere_else() -> None:
    settings = "balance: first, servers: [$b, $a], timeouts: {response: 500ms}, health: {path: /check}"
    with named(2, settings) as play:

        def handle(request: Request) -> Reply | None:
            if request.target == b"/slow":
                request.connection.wait_closed()
                return None
            return Reply(body=b"b")

        play.handlers["b"] = handle
        assert play.who() == "b"
        assert play.ask(target="/slow").status == 504
