"""Streams on socket pairs and a loop that turns while a test waits: what the unit tests of the workers are made of."""

from __future__ import annotations

import contextlib
import time
from _socket import socket as Socket
from collections.abc import Callable, Iterator

import gevent
from gevent import socket as green

from l7.config.schema import Config
from l7.http.forwarding import Hop
from l7.sharedmem.counters import CounterWriter
from l7.sharedmem.memory import FIRST_ROW, SharedMemory
from l7.telemetry.access_log import NullAccessLog
from l7.workers.downstream.http1_exchange import Http1Exchange
from l7.workers.proxy import Proxy
from l7.workers.runtime.greenlet_pool import GreenletPool
from l7.workers.transport.plain import PlainTransport
from l7.workers.transport.stream import DeadlineSweeper, Stream
from l7.workers.upstream.context import BackendContext

TIMEOUT = 15.0


def alone(config: Config, writers: int = 3, number: int = 2) -> BackendContext:
    """What a worker shares with others when there are none: a shared memory of its own."""
    keys: list[tuple[str, ...]] = []
    for route, backend in config.backends.items():
        keys += [(route,), *((route, str(server.address)) for server in backend.servers)]
    shared_memory = SharedMemory()
    shared_memory.open(writers - 1)
    _memories[:] = [shared_memory]
    return BackendContext(
        shared_memory.writer(number), {key: row for row, key in enumerate(keys, FIRST_ROW)}, cookie_key=b"k" * 32
    )


_memories: list[SharedMemory] = []


def proxy_of(sweeper: DeadlineSweeper, **timeouts: object) -> Proxy:
    """A proxy without backends."""
    config = Config.model_validate({"timeouts": timeouts})
    return Proxy(config, sweeper, GreenletPool(), NullAccessLog(), alone(config))


def exchange_on(stream: Stream, proxy: Proxy) -> Http1Exchange:
    """The exchange of a client whose requests come by *stream*."""
    return Http1Exchange(stream, Hop("192.0.2.1", 80, b"proxy.test"), proxy, trusted=False)


def other_lane(number: int) -> CounterWriter:
    """The view that another process has of the shared memory that `alone` made last."""
    return _memories[0].writer(number)


def until(condition: Callable[[], object], what: str = "it") -> None:
    """Let the loop turn until *condition* holds."""
    deadline = time.monotonic() + TIMEOUT
    while not condition():
        assert time.monotonic() < deadline, f"{what}: not within {TIMEOUT} s"
        gevent.sleep(0.001)


def turn(times: int = 3) -> None:
    """Let the loop look at its sockets so many times."""
    for _ in range(times):
        gevent.sleep(0.001)


class Ends:
    """Makes streams whose other end the test holds as a cooperative socket; closes all of them."""

    def __init__(self, sweeper: DeadlineSweeper) -> None:
        self.sweeper = sweeper
        self._stack = contextlib.ExitStack()

    def pair(
        self,
        *,
        tcp: bool = False,
        buffer: int = 0,
        server: bool = False,
        transport: Callable[[Socket], PlainTransport] = PlainTransport,
    ) -> tuple[Stream, green.socket]:
        """A stream and its peer; *buffer* bounds, in bytes and roughly, what can be sent and is not received."""
        if tcp:
            with green.socket() as listener:
                listener.bind(("127.0.0.1", 0))
                listener.listen()
                ours = green.create_connection(listener.getsockname())
                peer, _ = listener.accept()
        else:
            ours, peer = green.socketpair()
        if buffer:
            ours.setsockopt(green.SOL_SOCKET, green.SO_SNDBUF, buffer)
            peer.setsockopt(green.SOL_SOCKET, green.SO_RCVBUF, buffer)
        peer.settimeout(TIMEOUT)
        self._stack.callback(peer.close)
        family, kind = ours.family, ours.type
        sock = Socket(family, kind, 0, ours.detach())
        sock.setblocking(False)
        stream = Stream(sock, self.sweeper, transport(sock), connecting=server)
        if server:
            stream.watch()
        self._stack.callback(stream.close)
        return stream, peer

    def close(self) -> None:
        """Close every end."""
        self._stack.close()


def received(peer: green.socket, size: int) -> bytes:
    """Exactly so many bytes, or fewer where the stream ends."""
    data = b""
    while len(data) < size and (more := peer.recv(size - len(data))):
        data += more
    return data


@contextlib.contextmanager
def running(interval: float = 0.01) -> Iterator[DeadlineSweeper]:
    """A sweeper that sweeps."""
    sweeper = DeadlineSweeper(interval)
    sweeper.start()
    try:
        yield sweeper
    finally:
        sweeper.stop()
