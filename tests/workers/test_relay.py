"""One request over one connection: what goes up, what comes down, what may be used again, which failure it is."""

from __future__ import annotations

import contextlib
from collections.abc import Callable

import gevent
import pytest
from gevent import socket as green

from l7 import clock, errors
from l7.config.schema import BackendTimeouts, Buffer, Limits
from l7.errors import ProxyError
from l7.exchange import Exchange
from l7.http.parser import RequestParser
from l7.workers.downstream.body import RequestBody
from l7.workers.limits import BackendProtocolLimits
from l7.workers.runtime.greenlet_pool import GreenletPool
from l7.workers.transport.stream import NEVER
from l7.workers.transport.tls import TlsTransport
from l7.workers.transport.tls_handshake import handshake
from l7.workers.upstream.relay import MOST_INTERIM, Relay
from tests.workers.loop import Ends, exchange_on, proxy_of, received, turn, until
from tests.workers.tls_ends import NAME, TlsPeer, client_context, server_context

OPENING = b"the head as it goes up\r\n\r\n"
CHUNK_SIZE = b"30d41\r\n"  # 200,001
SMALL = 8192
"""Bytes of the buffers between l7 and a server that is slow to read."""


class Setting:
    """A relay between a client and a server whose ends the test holds."""

    def __init__(
        self,
        ends: Ends,
        request: bytes,
        *,
        body_seconds: float = 5.0,
        write_seconds: float = 5.0,
        buffer: int = 0,
        client_buffer: int = 0,
        read_ahead: int = 0,
        **bounds: float,
    ) -> None:
        seconds = {"connect": 5.0, "response": 5.0, "idle": 5.0} | bounds
        small = client_buffer
        self.client_stream, self.client = ends.pair(tcp=not small, buffer=small)
        self.server_stream, self.server = ends.pair(server=True, tcp=not buffer, buffer=buffer)
        self.client_side = exchange_on(
            self.client_stream, proxy_of(ends.sweeper, body=body_seconds, write=write_seconds)
        )
        head, _, rest = request.partition(b"\r\n\r\n")
        self.client_side.unread(rest)
        self.head = RequestParser(20, 1000).parse(head)
        self.exchange = Exchange("192.0.2.1", 0.0)
        self.body: RequestBody | None = None
        if self.head.length != -1:
            self.body = self.client_side.read_body(self.exchange, self.head)
        self.greenlets = GreenletPool()
        self.relay = Relay(
            self.exchange,
            self.head,
            self.body,
            self.client_side,
            self.server_stream,
            BackendProtocolLimits(
                Limits.model_validate({"response-head": 2000, "response-headers": 20}),
                BackendTimeouts.model_validate(seconds),
                Buffer.model_validate({"response": read_ahead}),
            ),
        )

    def run(self) -> bool:
        """Do what `proxy` does with a relay; returns whether the client's connection can be kept."""
        try:
            self.relay.request(OPENING + (self.body.first if self.body else b""), self.greenlets)
            self.relay.respond()
            self.client_side.flush()
            return self.client_side.kept
        finally:
            self.relay.stop()

    def fails(self, kind: errors.Kind, detail: str = "") -> ProxyError:
        with pytest.raises(ProxyError, match=detail or None) as caught:
            self.run()
        assert caught.value.kind is kind, caught.value
        assert not self.relay.reusable
        return caught.value

    def down(self) -> bytes:
        """What the client has been sent; ends its connection."""
        self.client_stream.finish_sending()
        return received(self.client, 10_000_000)


GET = b"GET /p HTTP/1.1\r\nHost: a\r\n\r\n"
OK = b"HTTP/1.1 200 OK\r\nDate: d\r\nContent-Length: 2\r\n\r\nok"


@pytest.fixture
def setting(ends: Ends) -> Callable[..., Setting]:
    return lambda request=GET, **options: Setting(ends, request, **options)


def test_a_request_and_its_answer(setting):
    one = setting()
    one.server.sendall(OK)
    assert one.run() is True
    assert received(one.server, len(OPENING)) == OPENING
    assert one.down() == b"HTTP/1.1 200 OK\r\nDate: d\r\nContent-Length: 2\r\n\r\nok"
    assert (one.relay.reusable, one.relay.answered) == (True, True)
    assert (one.exchange.status, one.exchange.sent) == (200, 2) and one.exchange.response_time >= 0


@pytest.mark.parametrize("room", [0, SMALL])
@pytest.mark.parametrize(
    ("size", "more"), [(8191, b""), (8192, b""), (60_000, b""), (60_000, b"behind"), (300_000, b"")]
)
def test_a_large_answer_that_comes_with_its_head(setting, size, more, room):
    """It is sent from where it was received; what the client does not take at once is held and sent later."""
    one = setting(client_buffer=room)
    body = bytes(range(256)) * (size // 256 + 1)
    head = b"HTTP/1.1 200 OK\r\nDate: d\r\nContent-Length: %d\r\n\r\n" % size
    serving = gevent.spawn(one.server.sendall, head + body[:size] + more)
    reading = gevent.spawn(received, one.client, len(head) + size)
    assert one.run() is True and one.relay.reusable is not bool(more)
    assert reading.get(timeout=5) == head + body[:size]
    assert one.exchange.sent == size and not one.client_side.held
    serving.get(timeout=5)


@pytest.mark.parametrize("step", [1, 7])
def test_an_answer_in_pieces(setting, step):
    one = setting()
    chunked = b"HTTP/1.1 200 OK\r\nDate: d\r\nTransfer-Encoding: chunked\r\n\r\n"
    chunked += b"2;x=y\r\nok\r\n3\r\n...\r\n0\r\nX-Sum: 1\r\nHost: x\r\n\r\n"

    def serve() -> None:
        for at in range(0, len(chunked), step):
            one.server.sendall(chunked[at : at + step])
            turn(1)

    gevent.spawn(serve)
    assert one.run() is True and one.relay.reusable
    raw = one.down()
    assert raw.startswith(b"HTTP/1.1 200 OK\r\nDate: d\r\nTransfer-Encoding: chunked\r\n\r\n")
    assert raw.endswith(b"0\r\nX-Sum: 1\r\n\r\n") and b"x=y" not in raw and one.exchange.sent == 5


def test_an_answer_without_length_is_chunked_and_its_connection_spent(setting):
    one = setting()
    one.server.sendall(b"HTTP/1.0 200 OK\r\nDate: d\r\n\r\nuntil the end")
    one.server.close()
    assert one.run() is True and not one.relay.reusable
    assert one.down().endswith(b"\r\nTransfer-Encoding: chunked\r\n\r\nd\r\nuntil the end\r\n0\r\n\r\n")


def test_for_http_1_0_it_ends_by_closing(setting):
    one = setting(b"GET /p HTTP/1.0\r\n\r\n")
    one.server.sendall(b"HTTP/1.1 200 OK\r\nDate: d\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\nX: y\r\n\r\n")
    assert one.run() is False
    assert one.down() == b"HTTP/1.1 200 OK\r\nDate: d\r\nConnection: close\r\n\r\nok"


def test_what_only_the_end_would_end_is_aborted_with_a_reset(setting):
    one = setting(b"GET /p HTTP/1.0\r\n\r\n")
    one.server.sendall(b"HTTP/1.1 200 OK\r\nDate: d\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n")
    one.server.close()
    one.fails(errors.TRUNCATED)
    one.client_side.abort()
    with pytest.raises(ConnectionResetError):
        received(one.client, 1000)
    assert one.client_side.has_left() and not one.client_side.kept


@pytest.mark.parametrize("more", [b"HTTP/1.1 200 OK\r\n\r\n", b"x", b"\r\n"])
def test_bytes_behind_an_answer_spend_the_connection(setting, more):
    one = setting()
    one.server.sendall(OK + more)
    assert one.run() is True and not one.relay.reusable
    assert one.down() == OK


@pytest.mark.parametrize("field", [b"Connection: close", b"Connection: x, Close"])
def test_a_server_that_closes_is_not_used_again(setting, field):
    one = setting()
    one.server.sendall(OK.replace(b"Date: d", b"Date: d\r\n" + field))
    assert one.run() is True and not one.relay.reusable


@pytest.mark.parametrize(("method", "status"), [(b"HEAD", 200), (b"GET", 204), (b"GET", 304)])
def test_answers_without_a_body(setting, method, status):
    one = setting(GET.replace(b"GET", method))
    one.server.sendall(b"HTTP/1.1 %d x\r\nDate: d\r\nContent-Length: 5\r\n\r\n" % status)
    assert one.run() is True and one.relay.reusable
    assert one.down().endswith(b"\r\n\r\n") and one.exchange.sent == 0


def test_a_body_where_there_is_none_spends_the_connection(setting):
    one = setting(GET.replace(b"GET", b"HEAD"))
    one.server.sendall(OK)
    assert one.run() is True and not one.relay.reusable
    assert b"ok" not in one.down().partition(b"\r\n\r\n")[2]


# ------------------------------------------------------------------------------------------------------ interim


def test_interim_answers_travel_on_without_framing(setting):
    one = setting()
    early = b"HTTP/1.1 103 Early\r\nLink: </a>\r\nContent-Length: 3\r\n\r\n"
    one.server.sendall(b"HTTP/1.1 102 P\r\n\r\n" + early + OK)
    assert one.run() is True and one.relay.reusable
    assert one.down() == b"HTTP/1.1 102 P\r\n\r\nHTTP/1.1 103 Early\r\nLink: </a>\r\n\r\n" + OK


def test_interim_answers_are_not_for_http_1_0(setting):
    one = setting(b"GET /p HTTP/1.0\r\n\r\n")
    one.server.sendall(b"HTTP/1.1 103 Early\r\n\r\n" + OK)
    one.run()
    assert b"103" not in one.down()


def test_interim_answers_are_bounded(setting):
    one = setting()
    one.server.sendall(b"HTTP/1.1 100 C\r\n\r\n" * (MOST_INTERIM + 1) + OK)
    one.fails(errors.BAD_RESPONSE, "interim")


# --------------------------------------------------------------------------------------------- failing servers


@pytest.mark.parametrize("said", [b"", b"HTTP/1.1 200", b"HTTP/1.1 103 E\r\n\r\n", b"HTTP/1.1 200 OK\r\nX: y\r\n"])
def test_a_server_that_closes_too_early(setting, said):
    one = setting()
    one.server.sendall(said)
    one.server.shutdown(green.SHUT_WR)
    one.fails(errors.CLOSED_EARLY)


def test_a_connection_that_was_dead_already(setting):
    one = setting()
    one.server.setsockopt(green.SOL_SOCKET, green.SO_LINGER, b"\1\0\0\0\0\0\0\0")
    one.server.close()
    turn()
    one.fails(errors.CLOSED_UNSENT)
    assert not one.relay.answered


LARGE = (
    b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 21 + b"\r\n",
    b"HTTP/1.1 200 OK\r\nX: " + b"y" * 2000 + b"\r\n\r\n",
    b"HTTP/1.1 200 " + b"x" * 2004,
)


@pytest.mark.parametrize(
    "said",
    [b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\nok", b"ICY 200 OK\r\n\r\n",
     b"HTTP/1.1 200 OK\r\nX: a\0b\r\n\r\n",
     *LARGE,
     b"HTTP/1.1 200 OK\nX: y\n\n", b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n"],
)  # fmt: skip
@pytest.mark.parametrize("step", [5000, 50])
def test_an_invalid_answer_is_not_begun(setting, said, step):
    if said.endswith(b"zz\r\n") and step == 50:
        pytest.skip("its head has gone out before its body is seen")
    one = setting()

    def serve() -> None:
        with contextlib.suppress(OSError):
            for at in range(0, len(said), step):
                one.server.sendall(said[at : at + step])
                turn(1)

    serving = gevent.spawn(serve)
    one.fails(errors.RESPONSE_HEAD_TOO_LARGE if said in LARGE else errors.BAD_RESPONSE)
    assert not one.relay.answered
    serving.join()
    assert one.down() == b""


@pytest.mark.parametrize(
    ("head", "rest"),
    [(b"Content-Length: 9", b""), (b"Transfer-Encoding: chunked", b""), (b"Transfer-Encoding: chunked", b"5\r\nab"),
     (b"Transfer-Encoding: chunked", b"0\r\n"), (b"Transfer-Encoding: chunked", b"zz\r\n"),
     (b"Transfer-Encoding: chunked", b"2\r\nabX")],
)  # fmt: skip
def test_an_answer_cut_short_is_never_made_whole(setting, head, rest):
    one = setting()
    one.server.sendall(b"HTTP/1.1 200 OK\r\nDate: d\r\n" + head + b"\r\n\r\n")

    def serve() -> None:
        until(lambda: one.relay.answered)
        one.server.sendall(rest)
        one.server.shutdown(green.SHUT_WR)

    gevent.spawn(serve)
    one.fails(errors.TRUNCATED)
    assert one.relay.answered and b"0\r\n\r\n" not in one.down()


def test_a_silent_server(setting):
    one = setting(response=0.05)
    one.fails(errors.RESPONSE_TIMEOUT)
    assert not one.relay.answered


def test_a_server_that_stalls(setting):
    one = setting(idle=0.05)
    one.server.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf")
    one.fails(errors.BODY_STALLED)


# --------------------------------------------------------------------------------------------- failing clients


@pytest.mark.parametrize("how", ["close", "reset"])
def test_a_client_that_leaves_while_the_answer_is_awaited(setting, how):
    one = setting()

    def leave() -> None:
        received(one.server, len(OPENING))
        if how == "reset":
            one.client.setsockopt(green.SOL_SOCKET, green.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        one.client.close()

    gevent.spawn(leave)
    one.fails(errors.CLIENT_GONE_HEAD)


def test_a_client_that_leaves_within_the_answer(setting):
    one = setting()
    one.server.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf")

    def leave() -> None:
        until(lambda: one.relay.answered)
        one.client.close()

    gevent.spawn(leave)
    one.fails(errors.CLIENT_GONE_DATA)


def test_a_client_that_sends_the_next_request_has_not_left(setting):
    one = setting()

    def act() -> None:
        received(one.server, len(OPENING))
        one.client.sendall(GET)
        turn()
        one.server.sendall(OK)

    gevent.spawn(act)
    assert one.run() is True
    assert one.client_side.pending == GET


def test_a_client_that_does_not_read(setting):
    one = setting(write_seconds=0.1, client_buffer=SMALL)
    one.server.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 10000000\r\n\r\n")

    def pour() -> None:
        with contextlib.suppress(OSError):
            for _ in range(1000):
                one.server.sendall(b"x" * 10_000)

    pouring = gevent.spawn(pour)
    one.fails(errors.WRITE_TIMEOUT)
    one.server_stream.close()
    pouring.join(5)


# ------------------------------------------------------------------------------------------------------- bodies

POST = b"POST /p HTTP/1.1\r\nHost: a\r\n"


def length(size: int, came: bytes = b"", *more: bytes) -> bytes:
    return POST + b"Content-Length: %d\r\n" % size + b"".join(more) + b"\r\n" + came


def test_a_body_that_came_with_its_head(setting):
    one = setting(length(3, b"abcGET"))
    one.server.sendall(OK)
    assert one.run() is True and one.relay.reusable
    assert received(one.server, len(OPENING) + 3) == OPENING + b"abc"
    assert one.client_side.pending == b"GET" and one.exchange.received == 3


def test_a_body_that_comes_later_is_framed_anew(setting):
    one = setting(POST + b"Transfer-Encoding: chunked\r\n\r\n1;x\r\na\r\n")

    def act() -> None:
        for piece in (b"1\r\nb\r\n1", b"\r\nc\r\n0\r\n", b"X: y\r\n\r\nnext"):
            one.client.sendall(piece)
            turn()
        expected = OPENING + b"1\r\na\r\n1\r\nb\r\n1\r\nc\r\n0\r\nX: y\r\n\r\n"
        assert received(one.server, len(expected)) == expected
        one.server.sendall(OK)

    acting = gevent.spawn(act)
    assert one.run() is True and one.relay.reusable
    acting.get(timeout=5)
    assert one.client_side.pending == b"next" and one.exchange.received == 3


def test_an_answer_before_the_body_is_relayed_at_once_and_ends_both(setting):
    one = setting(length(100, b"abc"))
    one.server.sendall(OK.replace(b"200", b"413"))
    assert one.run() is False and not one.relay.reusable
    assert b" 413 " in one.down()


def test_both_directions_flow_at_once(setting):
    one = setting(length(6, b"ab"))
    one.server.sendall(b"HTTP/1.1 200 OK\r\nDate: d\r\nContent-Length: 6\r\n\r\n")

    def act() -> None:
        assert received(one.server, len(OPENING)) == OPENING
        data = received(one.server, 2)
        for piece in (b"cd", b"ef"):
            one.server.sendall(data)
            one.client.sendall(piece)
            data = received(one.server, 2)
        one.server.sendall(data)

    acting = gevent.spawn(act)
    assert one.run() is False
    acting.get(timeout=5)
    assert one.down().endswith(b"\r\n\r\nabcdef")


def test_a_full_server_takes_a_large_chunk_while_its_answer_is_awaited(setting):
    """Who waits until the server takes more of a large chunk is not woken in place of who waits for the answer."""
    one = setting(b"POST /p HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n" + CHUNK_SIZE, buffer=SMALL)
    one.server.sendall(b"HTTP/1.1 200 OK\r\nDate: d\r\nContent-Length: 2\r\n\r\n")
    running = gevent.spawn(one.run)
    until(lambda: one.relay.answered, "the head of the answer")
    assert received(one.server, len(OPENING)) == OPENING
    one.client.sendall(b"x")  # the rest of the chunk is large enough to be spliced
    assert received(one.server, len(CHUNK_SIZE) + 1) == CHUNK_SIZE + b"x"
    with contextlib.suppress(BlockingIOError):
        while True:
            one.server_stream.socket.send(b"x" * SMALL)
    pouring = gevent.spawn(one.client.sendall, b"x" * 200_000)
    until(lambda: one.server_stream.write_deadline < NEVER, "somebody who waits until the server takes more")
    one.server.sendall(b"ok")
    try:
        assert running.get(timeout=5) is False
        assert one.down().endswith(b"\r\n\r\nok")
    finally:
        one.client_stream.close()
        pouring.join(5)


def test_a_whole_answer_stops_the_rest_of_the_body(setting):
    one = setting(length(100, b"abc"))
    one.server.sendall(b"HTTP/1.1 200 OK\r\nDate: d\r\nContent-Length: 2\r\n\r\n")
    gevent.spawn_later(0.03, one.server.sendall, b"ok")
    running = gevent.spawn(one.run)
    assert running.get(timeout=5) is False
    assert one.client_stream.reader is None, "somebody still reads the client"
    assert one.greenlets.working == 0 and not one.relay.reusable


def test_a_client_that_leaves_within_its_body(setting):
    one = setting(length(100, b"abc"))
    gevent.spawn_later(0.02, one.client.close)
    one.fails(errors.CLIENT_GONE_DATA)


def test_a_client_that_leaves_within_its_body_while_the_answer_flows(setting):
    one = setting(length(100, b"abc"))
    one.server.sendall(b"HTTP/1.1 200 OK\r\nDate: d\r\nContent-Length: 2\r\n\r\n")

    def act() -> None:
        until(lambda: one.relay.answered)
        one.client.close()

    gevent.spawn(act)
    one.fails(errors.CLIENT_GONE_DATA)


def test_a_body_that_stalls(setting):
    one = setting(length(100, b"abc"), body_seconds=0.05)
    one.fails(errors.BODY_TIMEOUT)


def test_a_broken_body(setting):
    one = setting(POST + b"Transfer-Encoding: chunked\r\n\r\n1\r\na\r\n")
    one.client.sendall(b"zz\r\n")
    one.fails(errors.BAD_REQUEST)


def test_a_server_that_does_not_take_the_body(setting):
    one = setting(length(1_000_000), buffer=SMALL, response=0.1)
    pouring = gevent.spawn(one.client.sendall, b"x" * 1_000_000)
    one.fails(errors.RESPONSE_TIMEOUT)
    one.client_stream.close()
    pouring.join(5)


def all_read_not_all_sent(one: Setting, size: int) -> None:
    """Bring *one* to where its body has been read whole from the client, and its tail cannot be sent."""
    one.client.sendall(b"x" * size)
    until(lambda: one.body.is_done() and bool(one.body.unsent), "a tail that is read and not sent")


SIZE = 60_000


def test_what_a_server_does_not_take_at_once_of_a_body_follows(setting):
    """The time of the answer begins with its last byte; nothing is sent twice."""
    one = setting(length(SIZE, b"x" * SIZE), buffer=4096)
    opening = OPENING + one.body.first
    assert one.relay.send_at_once(opening) and one.body.unsent
    assert one.server_stream.deadline == NEVER
    running = gevent.spawn(one.run)
    assert received(one.server, len(opening)) == opening
    one.server.sendall(OK)
    assert running.get(timeout=5) is True and one.relay.reusable
    one.server.settimeout(0.01)
    with pytest.raises(TimeoutError):
        one.server.recv(1)


def test_what_a_server_with_tls_does_not_take_at_once_is_not_sent_to_another_one(setting):
    """Some of its records may have left."""
    one = setting(length(SIZE, b"x" * SIZE), buffer=4096)
    peer = TlsPeer(one.server, server_context(), server=True)
    one.server_stream.transport = transport = TlsTransport(one.server_stream.socket, client_context(), server_name=NAME)
    shaking = gevent.spawn(peer.shake)
    handshake(one.server_stream, transport, 5)
    shaking.get(timeout=5)
    opening = OPENING + one.body.first
    assert one.relay.send_at_once(opening)
    assert bytes(one.body.unsent) == opening, "a transport of TLS has to be given it again"
    running = gevent.spawn(one.run)
    got = b""
    while len(got) < len(opening):
        got += peer.receive()
    assert got == opening
    peer.send(OK)
    assert running.get(timeout=5) is True and one.relay.reusable


def test_a_head_that_a_server_does_not_take_at_once_was_not_sent(setting):
    one = setting(buffer=4096)
    assert not one.relay.send_at_once(b"x" * SIZE)


def test_an_interim_answer_does_not_lose_the_tail_of_a_body(setting):
    """F6a: the server speaks while the last piece is being sent; all of the body has been read by then."""
    one = setting(length(SIZE), buffer=4096)
    running = gevent.spawn(one.run)
    all_read_not_all_sent(one, SIZE)
    one.server.sendall(b"HTTP/1.1 103 Early\r\n\r\n")
    assert received(one.server, len(OPENING) + SIZE) == OPENING + b"x" * SIZE
    one.server.sendall(OK)
    assert running.get(timeout=5) is True and one.relay.reusable


def test_a_connection_that_was_not_sent_the_whole_body_is_not_used_again(setting):
    """F6b: a whole answer before the tail of the body was sent: the server still waits for it."""
    one = setting(length(SIZE), buffer=4096)
    running = gevent.spawn(one.run)
    all_read_not_all_sent(one, SIZE)
    one.server.sendall(OK)
    assert running.get(timeout=5) is False and not one.relay.reusable
    assert b"\r\nConnection: close\r\n" in one.down()


def test_the_tail_of_a_body_follows_an_early_answer(setting):
    """F6c: an answer that is only complete when all of the body has come (an echo)."""
    one = setting(length(SIZE), buffer=4096)
    running = gevent.spawn(one.run)
    all_read_not_all_sent(one, SIZE)
    one.server.sendall(b"HTTP/1.1 200 OK\r\nDate: d\r\nContent-Length: 2\r\n\r\n")
    assert received(one.server, len(OPENING) + SIZE) == OPENING + b"x" * SIZE
    one.server.sendall(b"ok")
    running.get(timeout=5)
    assert one.down().endswith(b"\r\n\r\nok")


def test_what_came_with_the_head_and_does_not_fit_is_sent_later(setting):
    one = setting(length(SIZE, b"y" * SIZE), buffer=4096)
    running = gevent.spawn(one.run)
    turn()
    one.server.sendall(b"HTTP/1.1 102 P\r\n\r\n")
    assert received(one.server, len(OPENING) + SIZE) == OPENING + b"y" * SIZE
    one.server.sendall(OK)
    assert running.get(timeout=5) is True and one.relay.reusable


# ------------------------------------------------------------------------------------------------------- expect

EXPECT = b"Expect: 100-continue\r\n"


def test_expect_waits_for_the_server(setting):
    one = setting(length(3, b"", EXPECT))

    def act() -> float:
        assert received(one.server, len(OPENING)) == OPENING
        one.server.sendall(b"HTTP/1.1 100 Continue\r\n\r\n")
        assert received(one.client, 25) == b"HTTP/1.1 100 Continue\r\n\r\n"
        began = clock.monotonic()
        one.client.sendall(b"abc")
        assert received(one.server, 3) == b"abc"
        one.server.sendall(OK)
        return began

    acting = gevent.spawn(act)
    assert one.run() is True and one.relay.reusable
    assert one.exchange.sent_at > acting.get(timeout=5), "the time of the client is put on the server"


def test_a_client_that_does_not_wait_for_100(setting):
    one = setting(length(3, b"", EXPECT))
    one.client.sendall(b"abc")
    gevent.spawn_later(0.03, one.server.sendall, b"HTTP/1.1 100 Continue\r\n\r\n" + OK)
    assert one.run() is True and one.relay.reusable
    assert received(one.server, len(OPENING) + 3) == OPENING + b"abc"


def test_a_final_answer_instead_of_100_ends_the_connection(setting):
    one = setting(length(3, b"", EXPECT))
    one.server.sendall(OK.replace(b"200", b"417"))
    assert one.run() is False and not one.relay.reusable


def test_neither_100_nor_an_answer(setting):
    setting(length(3, b"", EXPECT), response=0.05).fails(errors.RESPONSE_TIMEOUT)


# -------------------------------------------------------------------------------------------------------- upgrade

UPGRADE = b"GET / HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: WebSocket, foo\r\n\r\n"


@pytest.mark.parametrize(
    ("request_", "chosen", "accepted"),
    [(UPGRADE, b"Upgrade: websocket\r\n", True), (UPGRADE, b"Upgrade: FOO\r\n", True), (UPGRADE,
     b"Upgrade: foo, websocket\r\n", True),
     (UPGRADE, b"", False), (UPGRADE, b"Upgrade: \r\n", False), (UPGRADE, b"Upgrade: bar\r\n", False),
     (UPGRADE, b"Upgrade: foo, h2c\r\n", False), (GET, b"Upgrade: websocket\r\n", False), (GET, b"", False)],
)  # fmt: skip
def test_who_may_switch(setting, request_, chosen, accepted):
    one = setting(request_)
    one.server.sendall(b"HTTP/1.1 101 S\r\nConnection: upgrade\r\n" + chosen + b"\r\nearly")
    assert one.relay.request(OPENING, one.greenlets).status == 101
    assert one.relay.accepts_upgrade() is accepted
    assert one.relay.leftover == b"early"


def test_nobody_switches_before_the_request_is_whole(setting):
    one = setting(UPGRADE[:-2] + b"Content-Length: 3\r\n\r\n")
    one.server.sendall(b"HTTP/1.1 101 S\r\nConnection: upgrade\r\nUpgrade: foo\r\n\r\n")
    one.relay.request(OPENING, one.greenlets)
    assert one.relay.accepts_upgrade() is False
    one.relay.stop()
