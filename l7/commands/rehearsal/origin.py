"""The servers of a rehearsal: they answer what the number of a request says, and note each number that came."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import hashlib
import re
from asyncio import StreamReader, StreamWriter

from l7.commands.rehearsal import messages
from l7.commands.rehearsal.results import Results

SERVERS = 2
_GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
_KEY = re.compile(rb"\r\nsec-websocket-key: *(\S+)", re.IGNORECASE)
_OK = b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: %d\r\n\r\n"
_SWITCH = b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: "


async def start_servers(results: Results) -> list[int]:
    """Start the servers, which end with the loop; returns their ports."""

    async def serve(reader: StreamReader, writer: StreamWriter) -> None:
        with contextlib.suppress(*messages.LOST, asyncio.CancelledError), contextlib.closing(writer):
            await _serve(reader, writer, results)

    servers = [await asyncio.start_server(serve, "127.0.0.1", 0, backlog=1024) for _ in range(SERVERS)]
    return [server.sockets[0].getsockname()[1] for server in servers]


async def _serve(reader: StreamReader, writer: StreamWriter, results: Results) -> None:
    """Answer every request of one connection."""
    while True:
        head, body = await messages.read_message(reader)
        kind, number = messages.parse_target(head.split(b" ", 2)[1])
        results.received(number, post=kind in messages.POSTS)
        if body != (messages.content(number) if kind in messages.POSTS else b""):
            results.bad(f"mixed up: number {number} came with {body[:60]!r}")
        if kind == messages.SOCKET:
            break
        if kind == messages.SLOW:
            await asyncio.sleep(messages.SLOW_SECONDS)
        answer = messages.answer(kind, number)
        writer.write(_OK % len(answer) + answer)
        await writer.drain()
    key = _KEY.search(head)
    accept = base64.b64encode(hashlib.sha1((key[1] if key else b"") + _GUID, usedforsecurity=False).digest())
    writer.write(_SWITCH + accept + b"\r\n\r\n")
    opcode = messages.TEXT
    while opcode != messages.CLOSE:
        opcode, payload = await messages.read_frame(reader)
        writer.write(messages.frame(opcode, payload, masked=False))
