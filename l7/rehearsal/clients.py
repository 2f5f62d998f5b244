"""The clients of a rehearsal: each keeps one connection busy in its own way, and knows what must come back.

They are callbacks of one loop, not coroutines: a million requests have to be cheap beside the l7 that serves them.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import ClassVar

from l7.clock import monotonic
from l7.rehearsal import wire
from l7.rehearsal.ledger import Ledger

PATIENCE = 30.0
"""Seconds after which a request is given up."""
AGAIN = 0.05
"""Seconds between two tries to connect."""


@dataclass(frozen=True)
class Site:
    """One route of the configuration, as requests name it: ``fields`` are Host and, where needed, a login."""

    prefix: bytes
    fields: bytes


@dataclass
class Stage:
    """What all clients share. ``held`` keeps the idle ones from their next request, ``over`` lets them end."""

    port: int
    sites: list[Site]
    ledger: Ledger
    held: bool = False
    over: bool = False
    killing: bool = False
    """A worker is being killed: connections that end now end with it."""
    clients: set[Client] = field(default_factory=set)
    connecting: int = 0
    orphans: set[Client] = field(default_factory=set)
    """Clients whose connection ended with a worker that was killed."""
    tasks: set[asyncio.Task[None]] = field(default_factory=set)

    @property
    def busy(self) -> int:
        """Requests and connections on their way."""
        return self.connecting + sum(client.number > 0 for client in self.clients)

    def start(self, make: Callable[[Stage], Client]) -> None:
        """Let a client connect; it is made anew for each connection."""
        task = asyncio.ensure_future(self._connect(make))
        self.tasks.add(task)
        task.add_done_callback(self.tasks.discard)

    async def _connect(self, make: Callable[[Stage], Client]) -> None:
        while not self.over:
            if not self.held:
                self.connecting += 1
                try:
                    await asyncio.get_running_loop().create_connection(lambda: make(self), "127.0.0.1", self.port)
                except OSError as error:
                    self.ledger.bad(f"cannot connect: {error}")
                else:
                    return
                finally:
                    self.connecting -= 1
            await asyncio.sleep(AGAIN)

    def kept(self) -> set[Client]:
        """The clients that never leave their connection."""
        return {client for client in self.clients if isinstance(client, (Kept, Thinking))}

    def resume(self) -> None:
        """Go on after a hold."""
        self.held = self.killing = False
        self.ledger.begin()
        for client in list(self.clients):
            client.proceed()

    def finish(self) -> None:
        """Let every client end when its request is answered."""
        self.over = True
        self.ledger.pause()
        for client in list(self.clients):
            client.proceed()

    def give_up(self) -> None:
        """Fail the requests that take too long."""
        late = monotonic() - PATIENCE
        for client in list(self.clients):
            if client.number and client.since < late:
                client.fail(f"not answered within {PATIENCE:g} s")
                client.abort()


class Client(asyncio.Protocol):
    """One connection: a request, its answer, the next one."""

    kinds: ClassVar[tuple[bytes, ...]] = (wire.GET, wire.GET, wire.GET, wire.POST)
    """The kinds of its requests, in turn."""
    quick: ClassVar[bool] = True
    closes: ClassVar[bool] = False
    """Whether each request asks for the end of the connection."""
    think: ClassVar[float] = 0.0
    """The longest time in seconds between two requests."""

    def __init__(self, stage: Stage) -> None:
        self.stage = stage
        self.ledger = stage.ledger
        self.number = 0
        """Of the request that is on its way; 0: none is."""
        self.since = 0.0
        self._aborted = False
        self._kind = b""
        self._pieces: list[bytes] = []
        self._head = b""
        self._missing = -1
        self._waiting = False
        self._last = False
        self._transport: asyncio.Transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Send the first request."""
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self.stage.clients.add(self)
        self.ledger.opened += 1
        self._waiting = True
        self.proceed()

    def proceed(self) -> None:
        """Send the next request, unless one is on its way or all are held."""
        stage = self.stage
        if self.number or not self._waiting:
            return
        if stage.over:
            self._transport.close()
        elif not stage.held:
            self._waiting = False
            self._ask()

    def _ask(self) -> None:
        number = self.number = self.ledger.number()
        kind = self._kind = self.kinds[number % len(self.kinds)]
        self.since = monotonic()
        self._transport.write(self._request(kind, number))

    def _request(self, kind: bytes, number: int) -> bytes:
        site = self.stage.sites[number % len(self.stage.sites)]
        path = site.prefix + wire.target(kind, number)
        extra = b"Connection: close\r\n" if self.closes else b""
        if kind in (wire.POST, wire.UPLOAD):
            body = wire.content(number)
            return b"POST %b HTTP/1.1\r\n%b%bContent-Length: %d\r\n\r\n%b" % (
                path, site.fields, extra, len(body), body,
            )  # fmt: skip
        return b"GET %b HTTP/1.1\r\n%b%b\r\n" % (path, site.fields, extra)

    def data_received(self, data: bytes) -> None:
        """Gather the answer."""
        if not self.number:
            self.ledger.bad(f"unasked bytes: {data[:60]!r}")
            self.abort()
            return
        if self._missing < 0:
            self._head += data
            head, end, data = self._head.partition(wire.HEAD_END)
            if not end:
                return
            self._head = head
            self._missing = wire.length_of(head)
        self._pieces.append(data)
        self._missing -= len(data)
        if self._missing <= 0:
            self._judge(self._head, b"".join(self._pieces))

    def _judge(self, head: bytes, body: bytes) -> None:
        if not head.startswith(b"HTTP/1.1 200 "):
            self.fail(f"{head[:60]!r} {body[:200]!r}")
        elif body != self._expected():
            self.fail(f"mixed up: {body[:60]!r}")
        else:
            post = self._kind in (wire.POST, wire.UPLOAD)
            self.ledger.good(self.number, monotonic() - self.since, post=post, quick=self.quick)
        self._last = b"\r\nconnection: close" in head.lower()
        self.ledger.announced += self._last and not self.closes
        self._done()

    def _expected(self) -> bytes:
        return wire.content(self.number)

    def _done(self) -> None:
        self.number = 0
        self._head, self._pieces, self._missing = b"", [], -1
        if self._last or self.closes:
            return  # the other side ends it
        self._waiting = True
        if self.think:
            asyncio.get_running_loop().call_later(random.uniform(0, self.think), self.proceed)
        else:
            self.proceed()

    def fail(self, why: str) -> None:
        """Account for the request that is on its way, which was lost."""
        if self.stage.killing:
            self.ledger.killed += 1
        else:
            request = f"{'POST' if self._kind in (wire.POST, wire.UPLOAD) else 'GET'} {self.number}"
            self.ledger.bad(f"{request}, after {monotonic() - self.since:.3f} s: {why}")
        self.number = 0

    def abort(self) -> None:
        """Break the connection."""
        self._aborted = True
        self._transport.abort()

    def connection_lost(self, exc: Exception | None) -> None:
        """The end: expected, announced, silent, or in the middle of something."""
        stage = self.stage
        stage.clients.discard(self)
        self._waiting = False
        if self.number:
            self.fail(f"the connection was lost: {exc or 'closed'}")
        elif stage.killing:
            self.ledger.orphaned += 1
            stage.orphans.add(self)
        elif not (self._last or self.closes or self._aborted or stage.over):
            self.ledger.silent += 1
        if not stage.over:
            stage.start(type(self))


class Kept(Client):
    """Keeps its connection and sends one request after the other."""


class Thinking(Client):
    """Keeps its connection, and leaves it idle now and then."""

    think = 0.1


class Fresh(Client):
    """Takes a new connection for each request."""

    closes = True


class Slow(Client):
    """Sends what takes its time: an answer that comes late, a body that comes in pieces."""

    kinds = (wire.SLOW, wire.UPLOAD)
    quick = False
    PAUSE: ClassVar[float] = 0.15

    def _request(self, kind: bytes, number: int) -> bytes:
        request = super()._request(kind, number)
        if kind == wire.SLOW:
            return request
        split = request.index(wire.HEAD_END) + 4 + 10
        self._send_rest(request[split:])
        return request[:split]

    def _send_rest(self, rest: bytes) -> None:
        def send() -> None:
            if not self._transport.is_closing():
                self._transport.write(rest[:10])
                if rest[10:]:
                    self._send_rest(rest[10:])

        asyncio.get_running_loop().call_later(self.PAUSE, send)


class Downloads(Client):
    """Downloads, again and again."""

    kinds = (wire.DOWNLOAD,)
    quick = False
    think = 1.0

    def _expected(self) -> bytes:
        return wire.download(self.number)


class Talks(Client):
    """Keeps a WebSocket, and expects each message back."""

    kinds = (wire.SOCKET,)
    quick = False
    think = 0.2

    def __init__(self, stage: Stage) -> None:
        super().__init__(stage)
        self._open = False
        self._buffer = b""
        self._said = b""
        self._ended = False

    def _ask(self) -> None:
        if not self._open:
            super()._ask()
            return
        self.number = self.ledger.number()
        self.since = monotonic()
        self._said = wire.content(self.number)[:100]
        self._transport.write(wire.frame(self._said, masked=True))

    def _request(self, kind: bytes, number: int) -> bytes:
        upgrade = b"Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
        key = b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
        return super()._request(kind, number)[:-2] + upgrade + key + b"\r\n"

    def data_received(self, data: bytes) -> None:
        """Take the switch, then frames."""
        self._buffer += data
        if not self._open:
            head, end, rest = self._buffer.partition(wire.HEAD_END)
            if not end:
                return
            if not head.startswith(b"HTTP/1.1 101 "):
                self.fail(f"no WebSocket: {head[:60]!r}")
                self.abort()
                return
            self._buffer, self._open = rest, True
            self._answered()
        while (parsed := wire.parse_frame(self._buffer)) is not None:
            opcode, payload, self._buffer = parsed
            self._take(opcode, payload)

    def _take(self, opcode: int, payload: bytes) -> None:
        if opcode == 8:
            self._ended = True
            self.ledger.announced += 1
            self.number = 0  # said to an end that was just saying goodbye: a client says it again elsewhere
            self._transport.close()
        elif payload != self._said:
            self.fail(f"mixed up: {payload!r}")
            self.abort()
        elif self.number:
            self._answered()

    def _answered(self) -> None:
        self.ledger.answered += 1
        self.number, self._waiting = 0, True
        asyncio.get_running_loop().call_later(random.uniform(0, self.think), self.proceed)

    def connection_lost(self, exc: Exception | None) -> None:
        """The end: after a close frame all is well, without one a WebSocket was cut."""
        if not (self._ended or self.stage.over or self.stage.killing or self.number):
            self.ledger.bad("a WebSocket was closed without a word")
        self._last = True
        super().connection_lost(exc)
