"""The clients of a rehearsal: each keeps one connection busy in its own way, and knows what must come back."""

from __future__ import annotations

import asyncio
import contextlib
import random
from collections.abc import Iterator
from dataclasses import dataclass

from l7.clock import monotonic
from l7.commands.rehearsal import messages
from l7.commands.rehearsal.results import Results

PATIENCE = 30.0
"""Seconds after which a request is given up."""
AGAIN = 0.05
"""Seconds between two tries to connect."""
PIECE, PAUSE = 10, 0.15
"""A slow body comes in pieces of so many bytes, with so many seconds between them."""
QUICK = (messages.GET, messages.GET, messages.GET, messages.POST)
UPGRADE = (
    b"Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
    b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
)


@dataclass(frozen=True)
class Behaviour:
    """How ``clients`` of the clients ask: the kinds of their requests, in turn, and what is between two of them."""

    clients: int
    kinds: tuple[bytes, ...]
    pause: float = 0.0
    """The longest time in seconds between two requests."""
    keeps: bool = False
    """Whether they never leave their connection."""
    closes: bool = False
    """Whether each request asks for the end of the connection."""


BEHAVIOURS = (
    Behaviour(16, QUICK, keeps=True),
    Behaviour(16, QUICK, pause=0.1, keeps=True),
    Behaviour(8, QUICK, closes=True),
    Behaviour(4, (messages.SLOW, messages.UPLOAD)),
    Behaviour(1, (messages.DOWNLOAD,), pause=1.0),
    Behaviour(4, (messages.SOCKET,), pause=0.2),
)
KEPT = sum(behaviour.clients for behaviour in BEHAVIOURS if behaviour.keeps)


@dataclass(frozen=True)
class Route:
    """One route of the configuration, as requests name it: ``fields`` are Host and, where needed, a login."""

    prefix: bytes
    fields: bytes


@dataclass(eq=False)
class Connection:
    """A client's connection; ``since`` is when the unanswered request was sent, 0 without one."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter
    behaviour: Behaviour
    since: float = 0.0
    switched: bool = False
    """Whether it is a WebSocket by now."""

    @property
    def lost(self) -> bool:
        """Whether it has ended, and all was read that had come before."""
        return self.reader.at_eof() or self.reader.exception() is not None


class Clients:
    """All clients, before the l7 that listens on ``port``."""

    def __init__(self, port: int, routes: list[Route], results: Results) -> None:
        self.killed: set[Connection] = set()
        """Connections that ended with a worker that was killed."""
        self._port = port
        self._routes = routes
        self._results = results
        self._connections: set[Connection] = set()
        self._busy = 0
        """Requests and connections on their way."""
        self._allowed = asyncio.Event()
        self._tasks: list[asyncio.Task[None]] = []

    async def start(self) -> None:
        """Let all of them begin; returns when those that keep their connection have it, or something failed."""
        self._allowed.set()
        every = [behaviour for behaviour in BEHAVIOURS for _ in range(behaviour.clients)]
        self._tasks = [asyncio.ensure_future(self._run(behaviour)) for behaviour in every]
        self._tasks.append(asyncio.ensure_future(self._give_up()))
        while len(self.kept()) < KEPT and not self._results.failed:
            await asyncio.sleep(0.01)
        self._results.begin()

    def open(self) -> set[Connection]:
        """The connections that there are now."""
        return {connection for connection in self._connections if not connection.lost}

    def kept(self) -> set[Connection]:
        """Those of them whose clients never leave them."""
        return {connection for connection in self.open() if connection.behaviour.keeps}

    async def hold(self) -> bool:
        """Keep all from their next request; True when none is on its way any more."""
        self._allowed.clear()
        self._results.pause()
        until = monotonic() + 2 * PATIENCE
        while self._busy and monotonic() < until:
            await asyncio.sleep(0.02)
        return not self._busy

    def resume(self) -> None:
        """Go on after a hold."""
        self._results.begin()
        self._allowed.set()

    async def finish(self) -> None:
        """Let every request be answered, and end."""
        await self.hold()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _give_up(self) -> None:
        """Fail the requests that take too long."""
        while True:
            await asyncio.sleep(0.2)
            for connection in self._connections:
                if connection.since and monotonic() - connection.since > PATIENCE:
                    connection.writer.transport.abort()

    @contextlib.contextmanager
    def _underway(self) -> Iterator[None]:
        self._busy += 1
        try:
            yield
        finally:
            self._busy -= 1

    async def _run(self, behaviour: Behaviour) -> None:
        """Be one client: connect, ask until the connection ends, connect again."""
        while True:
            await self._allowed.wait()
            try:
                with self._underway():
                    connection = Connection(*await asyncio.open_connection("127.0.0.1", self._port), behaviour)
            except OSError as error:
                self._results.bad(f"cannot connect: {error}")
                await asyncio.sleep(AGAIN)
                continue
            self._connections.add(connection)
            try:
                await self._use(connection)
            finally:
                self._connections.discard(connection)
                connection.writer.transport.abort()

    async def _use(self, connection: Connection) -> None:
        """Ask until the connection ends, and account for the end."""
        goes_on = True
        while goes_on:
            if connection.behaviour.pause:
                await asyncio.sleep(random.uniform(0, connection.behaviour.pause))
            await self._allowed.wait()
            if connection.lost:
                self._lost_idle(connection)
                return
            with self._underway():
                goes_on = await self._ask(connection)
        with contextlib.suppress(OSError):
            await connection.reader.read()  # the other end closes it; who closes first keeps its port for a minute

    def _lost_idle(self, connection: Connection) -> None:
        if connection in self.killed:
            return
        if connection.switched:
            self._results.bad("a WebSocket was closed without a word")
        else:
            self._results.silent += 1

    async def _ask(self, connection: Connection) -> bool:
        """Send one request, or one WebSocket message; whether the connection goes on after it."""
        number = self._results.number()
        kind = connection.behaviour.kinds[number % len(connection.behaviour.kinds)]
        connection.since = monotonic()
        try:
            if connection.switched:
                return await self._say(connection, number)
            return await self._request(connection, kind, number)
        except (*messages.LOST, ValueError) as error:
            took = monotonic() - connection.since
            why = f"the connection was lost: {error if isinstance(error, OSError) else 'closed'}"
            if isinstance(error, ValueError):
                why = str(error)
            elif took > PATIENCE:
                why = f"not answered within {PATIENCE:g} s"
            self._results.bad(f"{'POST' if kind in messages.POSTS else 'GET'} {number}, after {took:.3f} s: {why}")
            connection.writer.transport.abort()
            return False
        finally:
            connection.since = 0.0

    async def _request(self, connection: Connection, kind: bytes, number: int) -> bool:
        """As `_ask`; raises one of `messages.LOST`, or ``ValueError`` for a wrong answer."""
        behaviour = connection.behaviour
        request = self._text(number, kind, closes=behaviour.closes)
        first = request.index(messages.HEAD_END) + len(messages.HEAD_END) + PIECE
        connection.writer.write(request[:first] if kind == messages.UPLOAD else request)
        for place in range(first, len(request) if kind == messages.UPLOAD else 0, PIECE):
            await asyncio.sleep(PAUSE)
            connection.writer.write(request[place : place + PIECE])
        head, body = await messages.read_message(connection.reader)
        connection.switched = kind == messages.SOCKET
        if not head.startswith(b"HTTP/1.1 101 " if connection.switched else b"HTTP/1.1 200 "):
            raise ValueError(f"{head[:60]!r} {body[:200]!r}")
        if body != messages.answer(kind, number):
            raise ValueError(f"mixed up: {body[:60]!r}")
        took = monotonic() - connection.since
        self._results.good(number, took, post=kind in messages.POSTS, quick=behaviour.kinds == QUICK)
        closes = b"\r\nconnection: close\r\n" in head.lower()
        self._results.announced += closes and not behaviour.closes
        return not closes

    def _text(self, number: int, kind: bytes, *, closes: bool) -> bytes:
        """A request, with its body."""
        route = self._routes[number % len(self._routes)]
        fields = route.fields + b"Connection: close\r\n" * closes + UPGRADE * (kind == messages.SOCKET)
        target = route.prefix + messages.target(kind, number)
        if kind not in messages.POSTS:
            return b"GET %b HTTP/1.1\r\n%b\r\n" % (target, fields)
        body = messages.content(number)
        return b"POST %b HTTP/1.1\r\n%bContent-Length: %d\r\n\r\n%b" % (target, fields, len(body), body)

    async def _say(self, connection: Connection, number: int) -> bool:
        """As `_request`, for a message that has to come back."""
        said = messages.content(number)[:100]
        connection.writer.write(messages.frame(messages.TEXT, said, masked=True))
        opcode, payload = await messages.read_frame(connection.reader)
        if opcode == messages.CLOSE:  # said to an end that was just saying goodbye: a client says it again elsewhere
            self._results.announced += 1
            connection.writer.close()
            return False
        if payload != said:
            raise ValueError(f"mixed up: {payload!r}")
        return True
