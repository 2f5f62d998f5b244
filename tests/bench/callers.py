"""The clients of the failing servers: each keeps one connection, sends a request, looks hard at what came, and goes on.

One request in three is a POST. An answer is whole when it ends as its framing says; it is right when it is also the one
that the request asked for. What is whole and not right has fooled its client, and is counted apart.
"""

from __future__ import annotations

import asyncio
import itertools
import random
from collections.abc import Iterator
from dataclasses import dataclass, field
from time import monotonic

from tests.bench.actors import content

CLIENTS = 24
PAUSE = 0.025
"""Seconds between an answer and the next request, within a fifth."""
PATIENCE = 5.0
"""Seconds after which a request is given up."""
POSTED = b"x" * 300


@dataclass(frozen=True)
class Outcome:
    """What became of one request; ``why`` is empty when all was well."""

    method: str
    number: int
    began: float
    took: float
    why: str = ""
    fooled: bool = False


@dataclass
class Callers:
    """All clients of one run."""

    port: int
    outcomes: list[Outcome] = field(default_factory=list)
    over: bool = False
    patience: float = PATIENCE
    kept: bool = True
    """Whether connections are kept from one request to the next."""
    numbers: Iterator[int] = field(default_factory=lambda: itertools.count(1_000_000))

    async def call(self, seconds: float) -> None:
        """Let them all call for so long, and wait until the last one has its answer."""
        calls = [asyncio.ensure_future(_Caller(self, place).live()) for place in range(CLIENTS)]
        await asyncio.sleep(seconds)
        self.over = True
        await asyncio.gather(*calls)


class _Broken(Exception):
    """No whole answer came; says why."""


class _Caller:
    def __init__(self, callers: Callers, place: int) -> None:
        self._callers = callers
        self._place = place
        self._lot = random.Random(place)
        self._streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None

    async def live(self) -> None:
        await asyncio.sleep(PAUSE * self._place / CLIENTS)
        turn = self._place
        while not self._callers.over:
            turn += 1
            await self._once("GET" if turn % 3 else "POST")
            await asyncio.sleep(PAUSE * self._lot.uniform(0.8, 1.2))
        self._hang_up()

    async def _once(self, method: str) -> None:
        number, began = next(self._callers.numbers), monotonic()
        why, fooled = "", False
        try:
            status, body = await asyncio.wait_for(self._exchange(method, number), self._callers.patience)
            if status != 200:
                why = str(status)
            elif body != content(number):
                why, fooled = "damaged, and looked whole", True
        except TimeoutError:
            why = f"no answer within {self._callers.patience:g} s"
        except (OSError, EOFError, _Broken) as error:
            why = str(error) if isinstance(error, _Broken) else "connection lost"
        if why and not why.isdecimal():
            self._hang_up()
        if not self._callers.kept:
            self._hang_up()
        self._callers.outcomes.append(Outcome(method, number, began, monotonic() - began, why, fooled))

    def _hang_up(self) -> None:
        if self._streams is not None:
            self._streams[1].transport.abort()
            self._streams = None

    async def _exchange(self, method: str, number: int) -> tuple[int, bytes]:
        if self._streams is None or self._streams[0].at_eof() or self._streams[1].is_closing():
            self._hang_up()
            self._streams = await asyncio.open_connection("127.0.0.1", self._callers.port)
        reader, writer = self._streams
        posted = POSTED if method == "POST" else b""
        length = b"Content-Length: %d\r\n" % len(posted) if posted else b""
        writer.write(b"%s /r/%d HTTP/1.1\r\nHost: site.test\r\n%s\r\n" % (method.encode(), number, length) + posted)
        return await self._answer(reader)

    async def _answer(self, reader: asyncio.StreamReader) -> tuple[int, bytes]:
        head = (await reader.readuntil(b"\r\n\r\n")).lower()
        status = int(head[9:12])
        fields = dict(line.split(b": ", 1) for line in head.split(b"\r\n")[1:] if b": " in line)
        if fields.get(b"transfer-encoding") == b"chunked":
            body = await _chunks(reader)
        elif length := fields.get(b"content-length"):
            body = await reader.readexactly(int(length))
        else:
            body = await reader.read(-1)
        if b"close" in fields.get(b"connection", b"") or reader.at_eof():
            self._hang_up()
        return status, body


async def _chunks(reader: asyncio.StreamReader) -> bytes:
    pieces: list[bytes] = []
    while True:
        size = await reader.readuntil(b"\r\n")
        try:
            count = int(size.split(b";")[0], 16)
        except ValueError:
            raise _Broken("not in chunks") from None
        piece = await reader.readexactly(count + 2)
        if not count:
            return b"".join(pieces)
        pieces.append(piece[:-2])
