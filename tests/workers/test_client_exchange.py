"""A client that does not speak HTTP/1.1: whatever serves it knows nothing but `ClientExchange`."""

from __future__ import annotations

from typing import Any

import gevent
import pytest
from gevent.server import StreamServer

from l7.clock import monotonic
from l7.config.schema import Config
from l7.errors import Kind
from l7.exchange import Exchange
from l7.http.forwarding import Hop
from l7.http.framing import BodyReader
from l7.http.messages import RequestHead, ResponseHead
from l7.http.parser import RequestParser
from l7.telemetry.access_log import NullAccessLog
from l7.workers.downstream.client_exchange import ClientExchange
from l7.workers.proxy import Proxy
from l7.workers.responses import LocalResponse
from l7.workers.runtime.greenlet_pool import GreenletPool
from l7.workers.transport.stream import Stream
from tests.workers.loop import TIMEOUT, alone

ANSWERS = {
    b"/length": b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok",
    b"/chunked": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\nX-Sum: 1\r\n\r\n",
    b"/cut": b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nok",
    b"/interim": b"HTTP/1.1 103 Early Hints\r\n\r\nHTTP/1.1 204 No Content\r\n\r\n",
}


class FrameExchange(ClientExchange):
    """Sends frames, of which the test sees the list."""

    def __init__(self) -> None:
        super().__init__(Hop("192.0.2.1", 80, b"a"), trusted=False)
        self.frames: list[Any] = []

    def has_left(self) -> bool:
        return False

    def await_server(self, server: Stream, gone: Kind) -> None:
        server.wait()

    def send_interim(self, response: ResponseHead) -> None:
        self.frames.append(response.status)

    def start_response(
        self, head: RequestHead, response: ResponseHead, payload: bytes, reader: BodyReader, at: int = 0
    ) -> None:
        self.frames.append(response.status)
        self.write(payload[at:], reader)

    def write(self, payload: bytes, reader: BodyReader) -> None:
        if payload:
            self.frames.append(payload)
        if reader.done:
            self.frames.append(list(reader.trailers))

    def answer(self, response: LocalResponse, head: RequestHead | None, keep: bool = True) -> int:
        self.frames.append((response.status, keep))
        return len(response.body)

    def abort(self) -> None:
        self.frames.append("aborted")


def serve(sock: Any, _address: Any) -> None:
    with sock:
        sock.sendall(ANSWERS[sock.recv(65536).split()[1]])


@pytest.mark.parametrize(
    ("target", "frames"),
    [
        (b"/length", [200, b"ok", []]),
        (b"/chunked", [200, b"ok", [b"X-Sum: 1"]]),
        (b"/interim", [103, 204, []]),
        (b"/cut", [200, b"ok", "aborted"]),
        (b"/elsewhere", [(404, True)]),
    ],
)
def test_requests_are_served_whatever_the_client_speaks(ends, target, frames):
    upstream = StreamServer(("127.0.0.1", 0), serve)
    upstream.start()
    routes = {f"a{path.decode()}": {"servers": [f"127.0.0.1:{upstream.server_port}"]} for path in ANSWERS}
    config = Config.model_validate({"backends": routes})
    proxy = Proxy(config, ends.sweeper, GreenletPool(), NullAccessLog(), alone(config))
    client, exchange = FrameExchange(), Exchange("192.0.2.1", monotonic())
    head = RequestParser(20, 1000).parse(b"GET %s HTTP/1.1\r\nHost: a" % target)
    gevent.spawn(proxy.handle, exchange, head, client).get(timeout=TIMEOUT)
    assert client.frames == frames
    assert exchange.status == (frames[0][0] if target == b"/elsewhere" else 204 if target == b"/interim" else 200)
    proxy.upstreams.close()
    upstream.stop()
