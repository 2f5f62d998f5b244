"""The servers of a rehearsal: they answer what the number of a request says, and note how often each number came.

Run as a process of its own: ``python -m l7.rehearsal.origin DIRECTORY``. It prints its ports, serves until its standard
input ends, and leaves what it noted in two files: a byte for every number, for GET and for POST. It outlives a
rehearsal that is killed, for a moment: to end what that has left behind.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import hashlib
import json
import os
import shutil
import signal
import sys
from pathlib import Path

from l7.rehearsal import wire

SERVERS = 2
PIECE = 256 * 1024
"""Bytes of a download that are written at a time."""
_GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
_OK = b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: %d\r\n\r\n"


class Notes:
    """How often each number came."""

    def __init__(self) -> None:
        self.received = {wire.GET: bytearray(), wire.POST: bytearray()}
        self.mixed: list[str] = []
        """Requests whose body belongs to another one, or to none."""

    def note(self, kind: bytes, number: int) -> None:
        """Count one more request."""
        counts = self.received[wire.POST if kind in (wire.POST, wire.UPLOAD) else wire.GET]
        if number >= len(counts):
            counts.extend(bytes(number + 65536 - len(counts)))
        counts[number] = min(counts[number] + 1, 255)

    def write(self, directory: Path) -> None:
        """Leave the notes where the rehearsal finds them."""
        (directory / "get.notes").write_bytes(self.received[wire.GET])
        (directory / "post.notes").write_bytes(self.received[wire.POST])
        (directory / "mixed.notes").write_text(json.dumps(self.mixed), "utf-8")


class Server(asyncio.Protocol):
    """One connection."""

    def __init__(self, notes: Notes) -> None:
        self._notes = notes
        self._buffer = b""
        self._busy = False
        self._socket = False
        self._writable = asyncio.Event()
        self._writable.set()
        self._jobs: set[asyncio.Task[None]] = set()
        self._transport: asyncio.Transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin."""
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def connection_lost(self, exc: Exception | None) -> None:
        """End what is still being answered."""
        for job in self._jobs:
            job.cancel()

    def pause_writing(self) -> None:
        """The other end reads slowly."""
        self._writable.clear()

    def resume_writing(self) -> None:
        """The other end has caught up."""
        self._writable.set()

    def data_received(self, data: bytes) -> None:
        """Serve every request that is whole."""
        self._buffer += data
        while not self._busy and self._next():
            pass

    def _next(self) -> bool:
        """Serve one request; False when it is not whole."""
        if self._socket:
            return self._echo()
        head, end, rest = self._buffer.partition(wire.HEAD_END)
        if not end:
            return False
        length = wire.length_of(head)
        if len(rest) < length:
            return False
        self._buffer = rest[length:]
        method, path, _ = head[: head.find(b"\r\n")].split(b" ")
        kind, number = wire.parse_target(path)
        self._notes.note(kind, number)
        if method == b"POST" and rest[:length] != wire.content(number):
            self._notes.mixed.append(f"number {number} came with {rest[:60]!r}")
        self._answer(kind, number, head)
        return True

    def _answer(self, kind: bytes, number: int, head: bytes) -> None:
        if kind == wire.SLOW:
            self._start(self._answer_late(number))
        elif kind == wire.DOWNLOAD:
            self._start(self._send_download(number))
        elif kind == wire.SOCKET:
            self._switch(head)
        else:
            self._answer_now(number)

    def _answer_now(self, number: int) -> None:
        body = wire.content(number)
        self._transport.write(_OK % len(body) + body)

    def _start(self, job: asyncio.coroutines.Coroutine[None, None, None]) -> None:  # type: ignore[name-defined]
        self._busy = True
        task = asyncio.ensure_future(job)
        self._jobs.add(task)
        task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._jobs.discard(task)
        self._busy = False
        if not task.cancelled():
            self.data_received(b"")

    async def _answer_late(self, number: int) -> None:
        await asyncio.sleep(wire.SLOW_SECONDS)
        self._answer_now(number)

    async def _send_download(self, number: int) -> None:
        data = memoryview(wire.download(number))
        self._transport.write(_OK % len(data))
        for place in range(0, len(data), PIECE):
            await self._writable.wait()
            self._transport.write(data[place : place + PIECE])

    def _switch(self, head: bytes) -> None:
        lowered = head.lower()
        start = lowered.find(b"sec-websocket-key: ") + 19
        key = head[start : head.find(b"\r\n", start)] if b"\r\n" in head[start:] else head[start:]
        accept = base64.b64encode(hashlib.sha1(key + _GUID, usedforsecurity=False).digest())
        self._transport.write(
            b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            b"Sec-WebSocket-Accept: %b\r\n\r\n" % accept
        )
        self._socket = True

    def _echo(self) -> bool:
        parsed = wire.parse_frame(self._buffer)
        if parsed is None:
            return False
        opcode, payload, self._buffer = parsed
        self._transport.write(wire.frame(payload, opcode=opcode, masked=False))
        if opcode == 8:
            self._transport.close()
            return False
        return True


async def serve(directory: Path) -> None:
    """Serve until standard input ends.

    A line on it names the process group of the private l7, an empty one says that this has ended. When the input ends
    before that, the rehearsal was killed: then l7 is ended here, and the directory is removed.
    """
    loop = asyncio.get_running_loop()
    notes = Notes()
    servers = [await loop.create_server(lambda: Server(notes), "127.0.0.1", 0, backlog=1024) for _ in range(SERVERS)]
    print(json.dumps([server.sockets[0].getsockname()[1] for server in servers]), flush=True)
    said = await loop.run_in_executor(None, sys.stdin.buffer.read)
    for server in servers:
        server.close()
    group = said.split(b"\n")[-2:-1]
    if group and group[0].isdigit():
        with contextlib.suppress(OSError):
            os.killpg(int(group[0]), signal.SIGKILL)
        shutil.rmtree(directory, ignore_errors=True)
    else:
        notes.write(directory)


if __name__ == "__main__":
    asyncio.run(serve(Path(sys.argv[1])))
