"""Servers that fail on command: each in the way that a scene asks for, and each notes what traffic came to it.

All of them live in the loop of the bench itself, so that one clock times what was done to a server, what came to it and
what its clients saw of it.
"""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import enum
import socket
import struct
from collections.abc import Sequence
from dataclasses import dataclass
from time import monotonic

HEALTH = b"/health"
"""Where checks ask; what asks for anything else is traffic."""
WELL = b"well\n"
"""What a check is answered."""
SIZE = 12_000
"""Bytes of an answer: more than fits into a packet, less than a proxy buffers."""
WORK = 0.004
"""Seconds that a good server takes."""
SLOW = 0.7
"""Seconds that a slow one takes: longer than a check may, less than a request may."""
GRACE = 0.3
"""Seconds from a server's last connection to its exit, when it stops gracefully."""
HALF = 0.02
"""Seconds between the first half of an answer and the reset."""
CHUNK = 4096

_ETH_P_IP = 0x0800
_PACKET_OUTGOING = 4
_SO_ATTACH_FILTER = 26


class Mode(enum.Enum):
    """What a server does with a request, or to who connects."""

    GOOD = "good"
    GONE = "gone"
    """Nobody listens: connections are refused, and those that were open have been reset."""
    HOLE = "hole"
    """Connections are not even refused, and those that were open stay without an answer."""
    SILENT = "silent"
    """Connections are accepted, requests are read, nothing is answered."""
    RESET = "reset"
    """Every answer breaks off in the middle; checks are answered well."""
    ERROR = "error"
    """Every answer is a 500, to checks, too."""
    SLOW = "slow"
    LEFT = "left"
    """Nobody listens; what was asked before is answered, and each connection ends with its answer: a graceful stop."""
    DYING = "dying"
    """Connections are accepted and reset at once."""


@dataclass(frozen=True)
class Attempt:
    """One request that came, or one connection that was tried where none could be made."""

    at: float
    number: int = -1
    mode: Mode = Mode.GOOD


def content(number: int) -> bytes:
    """The body that answers a request: no other request has the same."""
    word = b"%d:" % number
    return (word * (SIZE // len(word) + 1))[:SIZE]


class Actor:
    """One server on a port of 127.0.0.1, which stays its own also while nobody listens."""

    def __init__(self) -> None:
        self._place = socket.socket()
        self._place.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self._place.bind(("127.0.0.1", 0))
        self.port: int = self._place.getsockname()[1]
        self.mode = Mode.GOOD
        self.attempts: list[Attempt] = []
        self.checked = False
        """Whether a check was answered well."""
        self.peers: set[_Peer] = set()
        self._listener: socket.socket | None = None
        self._plugs: list[socket.socket] = []
        self._coming: set[asyncio.Task[None]] = set()

    def become(self, mode: Mode) -> None:
        """Behave so from now on. Connections that were left without an answer are reset, as a restart does."""
        loop = asyncio.get_running_loop()
        was, self.mode = self.mode, mode
        for plug in self._plugs:
            plug.close()
        self._plugs.clear()
        if was in (Mode.SILENT, Mode.HOLE) or mode is Mode.GONE:
            for peer in list(self.peers):
                peer.reset()
        if mode is Mode.LEFT:
            loop.call_later(GRACE, self._leave)
        if mode in (Mode.GONE, Mode.LEFT):
            self._shut(last=mode is Mode.LEFT)
            return
        if self._listener is None:
            self._listener = self._listen()
        loop.remove_reader(self._listener)
        if mode is Mode.HOLE:
            self._plug(self._listener)
        else:
            self._listener.listen(1024)
            loop.add_reader(self._listener, self._accept, self._listener)

    async def close(self) -> None:
        """Be gone for good."""
        self.become(Mode.GONE)
        self._place.close()
        await asyncio.gather(*self._coming, return_exceptions=True)
        while self.peers:
            await asyncio.sleep(0)

    def _leave(self) -> None:
        """Exit: end the connections on which nothing was asked since."""
        if self.mode is Mode.LEFT:
            for peer in list(self.peers):
                peer.leave()

    def _shut(self, *, last: bool) -> None:
        """Listen no more; with ``last`` those that have their connection already are not turned away."""
        if self._listener is not None:
            asyncio.get_running_loop().remove_reader(self._listener)
            queued = _accepted(self._listener) if last else []
            self._listener.close()
            self._listener = None
            self._begin(queued)

    def _listen(self) -> socket.socket:
        # A second socket on the port may listen, because the one that keeps the port never does.
        listener = socket.socket()
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(("127.0.0.1", self.port))
        listener.setblocking(False)
        listener.listen(1024)
        return listener

    def _plug(self, listener: socket.socket) -> None:
        """Fill the queue of connections, so that the kernel drops whatever else comes."""
        listener.listen(0)
        for _ in range(3):
            plug = socket.socket()
            plug.setblocking(False)
            plug.connect_ex(("127.0.0.1", self.port))
            self._plugs.append(plug)

    def _accept(self, listener: socket.socket) -> None:
        self._begin(_accepted(listener))

    def _begin(self, connections: Sequence[socket.socket]) -> None:
        for connection in connections:
            task = asyncio.get_running_loop().create_task(self._take(connection))
            self._coming.add(task)
            task.add_done_callback(self._coming.discard)

    async def _take(self, connection: socket.socket) -> None:
        await asyncio.get_running_loop().connect_accepted_socket(lambda: _Peer(self), connection)


def _accepted(listener: socket.socket) -> list[socket.socket]:
    found: list[socket.socket] = []
    with contextlib.suppress(OSError):
        while True:
            found.append(listener.accept()[0])
    return found


class _Peer(asyncio.Protocol):
    """One connection to a server."""

    def __init__(self, actor: Actor) -> None:
        self._actor = actor
        self._received = b""
        self._transport: asyncio.Transport | None = None
        self._asked = 0
        """Requests that are not answered yet."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self._actor.peers.add(self)
        if self._actor.mode in (Mode.GONE, Mode.DYING):
            self.reset()

    def connection_lost(self, _error: Exception | None) -> None:
        self._transport = None
        self._actor.peers.discard(self)

    def data_received(self, data: bytes) -> None:
        self._received += data
        while request := self._cut():
            self._serve(*request)

    def _cut(self) -> tuple[bytes, bytes] | None:
        """The method and the path of a request that came whole."""
        head, end, rest = self._received.partition(b"\r\n\r\n")
        if not end:
            return None
        size = 0
        for line in head.lower().split(b"\r\n")[1:]:
            if line.startswith(b"content-length:"):
                size = int(line[15:])
        if len(rest) < size:
            return None
        self._received = rest[size:]
        method, path, _ = head.split(b" ", 2)
        return method, path

    def _serve(self, method: bytes, path: bytes) -> None:
        mode, later = self._actor.mode, asyncio.get_running_loop().call_later
        check = path == HEALTH
        number = -1 if check else int(path.rpartition(b"/")[2])
        self._asked += 1
        if not check:
            self._actor.attempts.append(Attempt(monotonic(), number, mode))
        if mode in (Mode.SILENT, Mode.HOLE):
            return
        if mode is Mode.ERROR:
            self._answer(b"500 Oops", b"oops\n", 0)
        elif check:
            later(SLOW if mode is Mode.SLOW else 0, self._answer, b"200 OK", WELL, 0)
        else:
            # One in three is cut in pieces, one in three ends with its connection.
            later(
                SLOW if mode is Mode.SLOW else WORK,
                self._answer, b"200 OK", content(number), number % 3, mode is Mode.RESET,
            )  # fmt: skip

    def _answer(self, status: bytes, body: bytes, framing: int, broken: bool = False) -> None:
        if self._transport is None:
            return
        self._asked -= 1
        if self._actor.mode is Mode.LEFT:
            framing = 2 if framing != 1 else 1
        field = (b"Content-Length: %d" % len(body), b"Transfer-Encoding: chunked", b"Connection: close")[framing]
        if framing == 1:
            pieces = [body[at : at + CHUNK] for at in range(0, len(body), CHUNK)]
            body = b"".join(b"%x\r\n%s\r\n" % (len(piece), piece) for piece in [*pieces, b""])
        head = b"HTTP/1.1 %s\r\nContent-Type: text/plain\r\n%s\r\n\r\n" % (status, field)
        if broken:
            self._transport.write(head + body[: len(body) // 2])
            asyncio.get_running_loop().call_later(HALF, self.reset)
            return
        self._transport.write(head + body)
        self._actor.checked |= body == WELL
        if framing == 2 or self._actor.mode is Mode.LEFT:
            self._transport.close()

    def leave(self) -> None:
        """End the connection once nothing that was asked is left to answer."""
        if self._transport is not None and not self._asked:
            self._transport.close()

    def reset(self) -> None:
        """End the connection as a process that crashes does."""
        if self._transport is not None:
            sock = self._transport.get_extra_info("socket")
            with contextlib.suppress(OSError):
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self._transport.abort()


class Sniffer:
    """Notes who tries to connect to a server that cannot be connected to; it takes root to see that."""

    def __init__(self, actor: Actor) -> None:
        self._actor = actor
        self._seen: dict[int, float] = {}
        self._socket: socket.socket | None = None
        try:
            sock = socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM, socket.htons(_ETH_P_IP))
        except PermissionError:
            return
        program = b"".join(struct.pack("HBBI", *line) for line in _first_packets_to(actor.port))
        held = ctypes.create_string_buffer(program)
        filtered = struct.pack("HP", len(program) // 8, ctypes.addressof(held))
        sock.setsockopt(socket.SOL_SOCKET, _SO_ATTACH_FILTER, filtered)
        sock.bind(("lo", _ETH_P_IP))
        sock.setblocking(False)
        asyncio.get_running_loop().add_reader(sock, self._read, sock)
        self._socket = sock

    @property
    def sees(self) -> bool:
        """Whether it may look at all."""
        return self._socket is not None

    def close(self) -> None:
        """Look no more."""
        if self._socket is not None:
            asyncio.get_running_loop().remove_reader(self._socket)
            self._socket.close()

    def _read(self, sock: socket.socket) -> None:
        with contextlib.suppress(BlockingIOError):
            while True:
                packet, origin = sock.recvfrom(64)
                mode, now = self._actor.mode, monotonic()
                port = int.from_bytes(packet[(packet[0] & 15) * 4 :][:2], "big")
                again = now - self._seen.get(port, -10) < 5  # the kernel tries a connection again after a second
                if origin[2] == _PACKET_OUTGOING or mode not in (Mode.GONE, Mode.HOLE) or again:
                    continue
                self._seen[port] = now
                self._actor.attempts.append(Attempt(now, -1, mode))


def _first_packets_to(port: int) -> list[tuple[int, int, int, int]]:
    """The BPF program (bpf(4)) that lets through TCP packets to a port that have SYN and no ACK."""
    return [
        (0x30, 0, 0, 9),  # the protocol
        (0x15, 0, 6, socket.IPPROTO_TCP),
        (0xB1, 0, 0, 0),  # skip the header of IP
        (0x48, 0, 0, 2),  # the port
        (0x15, 0, 3, port),
        (0x50, 0, 0, 13),  # the flags
        (0x54, 0, 0, 0x12),
        (0x15, 1, 0, 0x02),
        (0x06, 0, 0, 0),
        (0x06, 0, 0, 64),
    ]
