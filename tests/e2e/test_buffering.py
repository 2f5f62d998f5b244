"""What is read ahead of slow clients: a server has a request once it is whole, and is free once it has answered.

Figures are read from the admin endpoint; what is held has to come back to nothing after each test.
"""

from __future__ import annotations

import re
import signal
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from tests.harness import origin as origins
from tests.harness.client import Client, get
from tests.harness.l7process import L7Process
from tests.harness.origin import Origin, Reply, Request
from tests.harness.stage import Play, Stage

L7 = Callable[..., L7Process]
Origins = Callable[..., Origin]
Connect = Callable[..., Client]


def pattern(size: int) -> bytes:
    return b"".join(origins.pattern(size))


SIZE = 200_000
BODY = pattern(SIZE)
HELD = re.compile(rb"^l7_buffered_bytes (\d+)", re.MULTILINE)
SMALL = 4096
"""The receive buffer of a client that reads slowly, and the send buffer of l7: what the system itself holds."""
WHOLE = 1024 * 1024
"""The buffers of the worker together."""

CONFIG = """
admin: 'unix:ADMIN'
timeouts: {{write: 2s}}
limits: {{buffers: 1MiB}}
defaults: {{ejection: off, queue: {{timeout: 20s}}}}
backends:
  '*': {{servers: [{{address: '{address}', max-connections: 1}}]}}
  'many': {{servers: ['{address}']}}
  'off': {{servers: ['{address}'], buffer: off}}
  'total': {{servers: ['{address}'], timeouts: {{total: 1s}}}}
"""


def post(size: int = SIZE, host: str = "a", method: str = "POST", more: str = "") -> bytes:
    return f"{method} /x HTTP/1.1\r\nHost: {host}\r\nContent-Length: {size}\r\n{more}\r\n".encode()


def fetch(host: str = "a", target: str = "/x") -> bytes:
    return f"GET {target} HTTP/1.1\r\nHost: {host}\r\n\r\n".encode()


def serve(request: Request) -> Reply:
    """The body that came, or as many bytes as the target asks for."""
    target = request.target.decode()
    return Reply(body=pattern(int(target[1:])) if target[1:].isdigit() else request.body)


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    where = tmp_path_factory.mktemp("l7") / "admin"
    with Stage(CONFIG.replace("ADMIN", str(where)), send_buffer=SMALL) as stage:
        stage.proxy.wait_for(where.exists, "the admin endpoint")
        stage.admin = str(where)  # type: ignore[attr-defined]
        yield stage


@pytest.fixture
def play(running: Stage) -> Iterator[Play]:
    with running.scene() as play:
        yield play
        play.close()
        play.proxy.wait_for(lambda: held(running) == 0, "nothing to be held")


def held(running: Stage) -> int:
    found = HELD.search(get(running.admin, "/metrics").body)  # type: ignore[attr-defined]
    assert found
    return int(found[1])


def wait_for_held(running: Stage, least: int) -> None:
    running.proxy.wait_for(lambda: held(running) >= least, f"{least} bytes to be held")


# ------------------------------------------------------------------------------------------------ requests


def test_a_body_that_trickles_holds_no_server(running: Stage, play: Play) -> None:
    """Its server takes one request at a time, and gets another one meanwhile."""
    app = play(serve)
    slow = play.connect()
    slow.send(post() + BODY[:-1])
    wait_for_held(running, SIZE - 1)
    assert get(play.port, "/5").body == pattern(5)
    assert [one.method for one in app.requests] == [b"GET"] and held(running) == SIZE - 1
    slow.send(BODY[-1:] + fetch(target="/7"))  # and what is pipelined behind it
    answers = slow.read_response(b"POST"), slow.read_response()
    assert [one.body for one in answers] == [BODY, pattern(7)] and not answers[1].closes
    play.wait_for_log(rf'"POST /x HTTP/1\.1" 200 {SIZE} .* --$')
    slow.send(post(3) + b"abc")
    assert slow.read_response(b"POST").body == b"abc"


@pytest.mark.parametrize(
    ("head", "host"),
    [(post(300_000), "a"), (post(host="off"), "off"), (b"", "chunked")],
    ids=["longer", "off", "chunked"],
)
def test_what_is_not_buffered_is_passed_on_as_it_comes(play: Play, head: bytes, host: str) -> None:
    app = play(serve)
    client = play.connect()
    chunked = b"POST /x HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n"
    client.send(head + b"abc" if head else chunked)
    app.wait_for(1)
    assert not app.requests[0].complete


def test_who_waits_for_100_hears_it_from_l7(play: Play) -> None:
    app = play(serve)
    client = play.connect()
    client.send(post(3, more="Expect: 100-continue\r\n"))
    assert client.read_head().status == 100 and not app.connections
    client.send(b"abc")
    answer = client.read_response(b"POST")
    assert (answer.body, answer.interim) == (b"abc", [])
    assert app.requests[0].values(b"expect") == []


@pytest.mark.parametrize("end", [Client.close, Client.half_close, Client.reset])
def test_a_body_that_stops_a_byte_before_its_end_costs_no_server_anything(running: Stage, play: Play, end) -> None:
    app = play(serve)
    client = play.connect()
    client.send(post() + BODY[:-1])
    wait_for_held(running, SIZE - 1)
    end(client)
    play.wait_for_log(r'"POST /x HTTP/1\.1" 499 .* CD$')
    assert not app.connections


@pytest.mark.parametrize(("method", "status", "tries"), [("PUT", 200, 3), ("POST", 502, 2)])
def test_what_may_be_sent_again_is_sent_again_whole(running: Stage, play: Play, method, status, tries) -> None:
    """By the rules for all requests: to a server that closed its kept connection, PUT is sent anew, POST is not."""

    def script(request: Request) -> Reply | None:
        if request.method == b"GET" or request.number == 0:
            return serve(request)
        assert request.body == BODY
        return request.connection.close()

    app = play(script)
    client = play.connect()
    client.send(fetch())
    assert client.read_response().status == 200
    client.send(post(method=method) + BODY[:-1])
    wait_for_held(running, SIZE - 1)
    client.send(BODY[-1:])
    answer = client.read_response(method.encode())
    assert answer.status == status and len(app.requests) == tries
    assert status != 200 or answer.body == BODY


def test_the_time_for_the_whole_request_holds_for_its_body(play: Play) -> None:
    app = play(serve)
    client = play.connect()
    client.send(post(host="total") + b"abc")
    assert client.read_response(b"POST").status == 408
    play.wait_for_log(r'"POST /x HTTP/1\.1" 408 .* cD$')
    assert not app.connections


def test_beyond_what_all_buffers_may_take_bodies_are_passed_on(running: Stage, play: Play) -> None:
    app = play(serve)
    clients = [play.connect() for _ in range(8)]
    for client in clients:
        client.send(post(host="many") + BODY[:-1])
    wait_for_held(running, WHOLE)
    app.wait_for(1)
    assert held(running) <= WHOLE + 64 * 1024, "one receive beyond it"
    for client in clients:
        client.send(BODY[-1:])
    assert all(client.read_response(b"POST").body == BODY for client in clients)


def test_a_body_is_kept_no_longer_than_it_may_be_sent_again(running: Stage, play: Play) -> None:
    """Once its server answers it is let go, however long the answer takes."""
    let = threading.Event()

    def script(request: Request) -> None:
        request.connection.send(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\na")
        assert let.wait(30)
        request.connection.send(b"b")

    play(script)
    client = play.connect()
    client.send(post() + BODY[:-1])
    wait_for_held(running, SIZE - 1)
    client.send(BODY[-1:])
    assert client.read_head().status == 200
    running.proxy.wait_for(lambda: held(running) == 0, "the body to be let go")
    let.set()
    assert client.read_exactly(2) == b"ab"


# ------------------------------------------------------------------------------------------------ answers


def test_a_client_that_reads_slowly_holds_no_server(running: Stage, play: Play) -> None:
    """The answer is longer than what the system takes at once: the server is free for the next one all the same."""
    app = play(serve)
    slow = play.connect(receive_buffer=SMALL)
    slow.send(fetch(target="/250000") + fetch(target="/9"))
    wait_for_held(running, 1)
    assert get(play.port, "/5").body == pattern(5)
    assert len(app.connections) == 1, "the connection is used again"
    answers = slow.read_response(), slow.read_response()
    assert [one.body for one in answers] == [pattern(250_000), pattern(9)]


@pytest.mark.parametrize("framing", ["length", "chunked", "close"])
@pytest.mark.parametrize("version", [b"1.1", b"1.0"])
def test_an_answer_of_any_size_arrives_as_it_was_sent(running: Stage, play: Play, framing, version) -> None:
    """No more than the bound is read ahead; what follows waits until the client takes what came before."""
    size = 2_000_000
    play(
        lambda request: Reply(body=[pattern(size)[at : at + 50_000] for at in range(0, size, 50_000)], framing=framing)
    )
    slow = play.connect(receive_buffer=SMALL)
    slow.send(b"GET /x HTTP/" + version + b"\r\nHost: many\r\n\r\n")
    if framing != "length":  # that is spliced
        wait_for_held(running, 128 * 1024)
    assert held(running) < 400 * 1024
    assert slow.read_response().body == pattern(size)
    play.wait_for_log(rf'"GET /x HTTP/1\.[01]" 200 {size} .* --$')


@pytest.mark.parametrize("framing", ["length", "chunked"])
def test_beyond_what_all_buffers_may_take_answers_wait_in_their_servers(framing) -> None:
    """Each client's first receive is beyond the bound at most; all get what they asked for."""
    size, clients = 250_000, 10
    config = CONFIG.replace("write: 2s", "write: 30s").replace("buffers: 1MiB", "buffers: 256KiB")
    with TemporaryDirectory(prefix="l7-admin-") as name:
        admin = Path(name) / "admin"
        with Stage(config.replace("ADMIN", str(admin)), send_buffer=SMALL) as stage:
            stage.proxy.wait_for(admin.exists, "the admin endpoint")
            stage.admin = str(admin)  # type: ignore[attr-defined]
            with stage.scene() as play:
                app = play(lambda request: Reply(body=pattern(size), framing=framing))
                slow = [play.connect(receive_buffer=SMALL) for _ in range(clients)]
                for client in slow:
                    client.send(fetch(host="many"))
                app.wait_for(clients)
                wait_for_held(stage, 256 * 1024)
                for _ in range(5):
                    play.turn()
                    assert held(stage) <= 256 * 1024 + clients * 64 * 1024
                assert [client.read_response().body for client in slow] == [pattern(size)] * clients
                play.proxy.wait_for(lambda: held(stage) == 0, "nothing to be held")


def test_who_takes_a_little_at_a_time_has_time_for_each(running: Stage, play: Play) -> None:
    """More than timeouts.write in all: it is the longest pause, also for what is held."""
    play(serve)
    slow = play.connect(receive_buffer=SMALL)
    slow.send(fetch(target="/250000"))
    wait_for_held(running, 1)
    assert slow.read_head().status == 200
    came = b""
    while len(came) < 250_000:
        time.sleep(0.35)
        came += slow.read_exactly(min(25_000, 250_000 - len(came)))
    assert came == pattern(250_000)
    play.wait_for_log(r'"GET /250000 HTTP/1\.1" 200 250000 .* --$')


def test_what_came_of_an_answer_that_is_cut_short_is_delivered(running: Stage, play: Play) -> None:
    def script(request: Request) -> None:
        request.connection.send(b"HTTP/1.1 200 OK\r\nContent-Length: 250000\r\n\r\n" + pattern(240_000))
        request.connection.close()

    play(script)
    slow = play.connect(receive_buffer=SMALL)
    slow.send(fetch())
    wait_for_held(running, 1)
    answer = slow.read_response()
    assert (answer.complete, answer.body) == (False, pattern(240_000))
    play.wait_for_log(r'"GET /x HTTP/1\.1" 200 240000 .* SD$')


def next_chunk(client: Client) -> bytes:
    line = client.read_exactly(1)
    while not line.endswith(b"\r\n"):
        line += client.read_exactly(1)
    size = int(line, 16)
    return client.read_exactly(size + 2)[:size]


def test_events_come_as_they_are_sent(running: Stage, play: Play) -> None:
    """Also to a client that did not read for a while, once it has read what came before."""
    let = threading.Semaphore(0)

    def events() -> Iterator[bytes]:
        yield b"data: 0\n\n"
        for number in range(1, 4):
            assert let.acquire(timeout=30)
            yield b"data: %d\n\n" % number
        assert let.acquire(timeout=30)
        yield pattern(SIZE)
        assert let.acquire(timeout=30)
        yield b"data: 4\n\n"

    play(lambda request: Reply(headers=[(b"Content-Type", b"text/event-stream")], body=events(), framing="chunked"))
    client = play.connect(receive_buffer=SMALL)
    client.send(fetch())
    assert client.read_head().status == 200
    for number in range(4):
        assert next_chunk(client) == b"data: %d\n\n" % number
        let.release()
    wait_for_held(running, 1)
    came = b""
    while len(came) < SIZE:
        came += next_chunk(client)
    assert came == pattern(SIZE)
    let.release()
    assert next_chunk(client) == b"data: 4\n\n"


def test_who_takes_nothing_is_cut_off_in_time(running: Stage, play: Play) -> None:
    app = play(serve)
    slow = play.connect(receive_buffer=SMALL)
    slow.send(fetch(target="/250000"))
    wait_for_held(running, 1)
    play.wait_for_log(r'"GET /250000 HTTP/1\.1" 200 \d+ .* cD$')
    assert get(play.port, "/5").status == 200 and len(app.connections) == 1, "the server is not to blame"


# ------------------------------------------------------------------------------------------------ the end


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_what_is_buffered_at_the_end_of_a_worker_is_served(l7: L7, origin: Origins, connect: Connect, number) -> None:
    app = origin(serve)
    proxy = l7(f"backends: {{'*': {{servers: ['{app.address}']}}}}")
    old = proxy.workers()
    up, down = connect(proxy.port), connect(proxy.port, receive_buffer=SMALL)
    up.send(post() + BODY[:-1])
    down.send(fetch(target="/250000"))
    app.wait_for(1)
    proxy.signal(number)
    if number == signal.SIGHUP:
        proxy.wait_for(lambda: set(proxy.workers()) - set(old), "the new worker")
    else:
        proxy.wait_for_event("master.stopping")
    up.send(BODY[-1:])
    assert up.read_response(b"POST").body == BODY
    assert down.read_response().body == pattern(250_000)


def test_time_is_up_for_a_body_that_is_buffered(l7: L7, origin: Origins, connect: Connect) -> None:
    app = origin(serve)
    proxy = l7(f"graceful-timeout: 1s\nbackends: {{'*': {{servers: ['{app.address}']}}}}")
    client = connect(proxy.port)
    client.send(post() + BODY[:-1])
    proxy.turn()
    proxy.term()
    assert client.read_response(b"POST").status == 503
    proxy.wait_for_output(r'"POST /x HTTP/1\.1" 503 .* KQ$')
    assert not app.connections
