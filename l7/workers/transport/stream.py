"""A socket with readiness and deadlines: the one place where `OSError` becomes ours.

Hot: every wait and every byte goes through here, and three measurements shaped it.

* One io watcher a socket, level-triggered, for the socket's whole life: no ``epoll_ctl`` per wait. Its callback
  switches to the greenlet that waits; when none waits it notes ``ready`` and stops the watcher until somebody asks.
  So we wait first, then receive, and never see ``EAGAIN``; and the mark tells that an idle pooled connection was
  closed, or that a client left.
* No timer per operation: a deadline is a number on the stream, and one `DeadlineSweeper` looks at all of them.
* No greenlet for an idle connection: it has a handler that is called when bytes come or time runs out.

What the bytes are on the wire is the business of the transport below (`l7.workers.transport.plain`). Of one that is not
plain a readable socket need not mean that there is something to receive, nor need that show at the socket.
"""

from __future__ import annotations

from _socket import socket as Socket
from collections.abc import Callable
from typing import Any, Protocol

from gevent import get_hub
from greenlet import greenlet

from l7.clock import monotonic
from l7.descriptors import unwatch
from l7.workers.runtime import switching
from l7.workers.transport.plain import PlainTransport
from l7.workers.transport.stream_errors import StreamLost as StreamLost
from l7.workers.transport.stream_errors import StreamTimeout as StreamTimeout
from l7.workers.transport.stream_errors import gone as gone
from l7.workers.transport.stream_errors import is_hung_up

NEVER = float("inf")
"""A deadline that does not come."""
CHUNK = 80 * 1024
"""Bytes asked for in one receive: what a connection can make l7 hold. A body of 64 KiB comes with its head."""


class ReadinessHandler(Protocol):
    """What is called about a stream that no greenlet waits on."""

    def on_ready(self, stream: Stream) -> None:
        """Bytes came, or the end; when they are not taken at once the stream does not listen any more."""

    def on_expired(self, stream: Stream) -> None:
        """Its ``deadline`` passed."""


class Stream:
    """A connected, non-blocking socket. Use it from one reading and one writing greenlet at a time.

    The socket is the C class below `socket.socket`: half the memory, and not what monkey-patching makes of it. It is
    here to be watched, spliced and handed over; bytes go through ``transport``, which is plain where none is given.
    """

    __slots__ = (
        "_expired", "_hub", "_write_expired", "_write_watcher", "_writer", "awaited", "closed", "deadline",
        "half_closed", "handler", "reader", "ready", "seen", "socket", "sweeper", "transport", "watcher", "watching",
        "write_deadline",
    )  # fmt: skip

    def __init__(
        self, sock: Socket, sweeper: DeadlineSweeper, transport: PlainTransport | None = None, connecting: bool = False
    ) -> None:
        self.socket = sock
        self.transport = PlainTransport(sock) if transport is None else transport
        self.sweeper = sweeper
        self.deadline = NEVER
        """When the reader, or the keeper, is told that time is up."""
        self.write_deadline = NEVER
        self.ready = False
        """Whether something can be received: bytes, the end or an error."""
        self.watching = not connecting
        self.closed = False
        self.half_closed = False
        """Whether `take` came to the end of what the peer sends; it may still receive."""
        self.handler: ReadinessHandler | None = None
        self.awaited = False  # whether its handler waits for an answer, as no greenlet does
        self.reader: greenlet | None = None
        self._writer: greenlet | None = None
        self.seen = 0.0
        """When the loop had last looked at its sockets as this one was put aside (``loop.now``)."""
        self._expired = False
        self._write_expired = False
        self._write_watcher: Any = None
        self._hub = self.sweeper.hub
        self.watcher = self.sweeper.loop.io(sock.fileno(), 1)
        if connecting:
            # Of what one poll brings, servers are heard first: an idle connection that spoke out of turn is gone
            # before a client's request in the same batch could be sent on it.
            self.watcher.priority = self.sweeper.loop.MAXPRI
        else:
            self.watcher.start(self._on_readable)
        self.sweeper.streams.add(self)

    def _on_readable(self) -> None:
        """Called by the loop: wake the greenlet that waits; where none does, set ``ready`` and stop the watcher."""
        if not self.transport.can_splice and not self.transport.peek():
            return  # what came is not yet, or is not, anything to receive
        reader = self.reader
        self.ready = True
        if reader is not None:
            self.reader = None
            switching.switch(reader)
            return
        if self.handler is not None:
            self.handler.on_ready(self)
        if self.ready and not self.closed:
            self.watcher.stop()
            self.watching = False

    def watch(self) -> None:
        """Watch again after ``ready`` was acted on; for bytes that the transport holds the handler is called soon."""
        if self.transport.pending:
            self._hold_pending()
            return
        self.ready = False
        if not self.watching:
            self.watching = True
            self.watcher.start(self._on_readable)

    def _hold_pending(self) -> None:
        """The loop does not tell of what has left the socket already."""
        self.ready = True
        if self.handler is not None:
            self._hub.loop.run_callback(self._on_pending)

    def _on_pending(self) -> None:
        if self.handler is not None and self.transport.pending and not self.closed:
            self.handler.on_ready(self)

    def pause(self) -> None:
        """Do not listen for now, and let no time run."""
        self.deadline = NEVER
        self.watcher.stop()
        self.watching = False

    def wait(self) -> None:
        """Wait until something can be received; raises `StreamTimeout` at the deadline, `StreamLost` when closed."""
        if self.ready:
            return
        if not self.watching:
            self.watch()
        self.reader = switching.current()
        switching.switch(self._hub)
        self.reader = None
        if self._expired:
            self._wake_failed()

    def wait_either(self, other: Stream) -> None:
        """Wait until this stream or ``other`` can be received from; the deadlines of both apply."""
        if self.ready or other.ready:
            return
        if not self.watching:
            self.watch()
        if not other.watching:
            other.watch()
        self.reader = other.reader = switching.current()
        switching.switch(self._hub)
        self.reader = other.reader = None
        if self._expired:
            self._wake_failed()
        if other._expired:
            other._wake_failed()

    def _wake_failed(self) -> None:
        self._expired = False
        if self.closed:
            raise StreamLost("closed here")
        raise StreamTimeout

    def receive(self, size: int = CHUNK) -> bytes:
        """Wait for bytes and return at most ``size`` of them; empty at the end. Raises as `wait`, and when reset."""
        if not self.ready:
            self.wait()
        while True:
            try:
                data = self.transport.recv(size)
            except BlockingIOError:
                self.watch()
                self.wait()
            except OSError as failure:
                raise gone(failure) from None
            else:
                self.watch()
                return data

    def take(self, size: int = CHUNK) -> bytes | None:
        """At most ``size`` bytes that are there now, None for nothing, empty at the end. Raises `StreamLost`."""
        try:
            data = self.transport.recv(size)
        except BlockingIOError:
            data = None
        except OSError as failure:
            raise gone(failure) from None
        if data == b"":  # it stays ready from now on: watched, it would call for ever
            self.half_closed = self.ready = True
            self.watcher.stop()
            self.watching = False
        else:
            self.watch()
        return data

    def hung_up(self) -> bool:
        """Whether the peer is known to receive nothing any more (`is_hung_up`)."""
        return self.closed or is_hung_up(self.socket.fileno())

    def has_bytes(self) -> bool:
        """Whether anything at all could be received now, the end included (one system call)."""
        if not self.transport.peek():
            return False
        if self.transport.pending:
            self._hold_pending()
        return True

    def send(self, data: bytes | memoryview, seconds: float) -> None:
        """Send all of ``data``; raises `StreamLost`, or `StreamTimeout` after ``seconds`` without progress."""
        rest = self._send_now(data)
        unsent = len(rest) == len(data)
        while rest:
            self.wait_writable(seconds)
            try:
                rest = self._send_now(rest)
            except StreamLost as failure:
                failure.unsent = unsent
                raise
            unsent = False

    def push(self, data: bytes | memoryview, seconds: float) -> bytes | memoryview:
        """Send ``data`` until all is sent or the peer says something: returns what is left. Raises as `send`."""
        rest = self._send_now(data)
        sent = len(rest) < len(data)
        while rest and not self.ready:
            self.wait_writable_or_readable(self, seconds)
            if not self.ready:
                try:
                    rest = self._send_now(rest)
                except StreamLost as failure:
                    failure.unsent = not sent
                    raise
                sent = True
        return rest

    def _send_now(self, data: bytes | memoryview) -> bytes | memoryview:
        """Send what the kernel takes at once; returns the rest."""
        sent = self.send_some(data)
        return b"" if sent == len(data) else memoryview(data)[sent:]

    def send_some(self, data: Any, head: bytes = b"", at: int = 0) -> int:
        """How much the kernel takes at once, where ``at`` is not 0 of ``head`` and all from there on; `StreamLost`."""
        try:
            return self.transport.send_both(head, data, at) if at else self.transport.send(data)
        except BlockingIOError:
            return 0
        except OSError as failure:
            raise gone(failure) from None

    def wait_writable_or_readable(self, source: Stream, seconds: float) -> None:
        """Wait until more can be sent, or ``source`` can be received from; raises as `wait_writable`."""
        if not source.watching:
            source.watch()
        source.reader = switching.current()
        try:
            self.wait_writable(seconds)
        finally:
            source.reader = None
        if source._expired and not source.closed:
            source._wake_failed()

    def wait_writable(self, seconds: float) -> None:
        """Wait until more can be sent; raises `StreamTimeout` after ``seconds``, `StreamLost` when closed here."""
        if self.closed:
            raise StreamLost("closed here")
        if self._write_watcher is None:
            self._write_watcher = self._hub.loop.io(self.socket.fileno(), 2)
        self.write_deadline = monotonic() + seconds
        self._writer = switching.current()
        self._write_watcher.start(self._on_writable)
        switching.switch(self._hub)
        self._writer = None
        if self._write_watcher is not None:
            self._write_watcher.stop()
        self.write_deadline = NEVER
        if self._write_expired:
            self._write_expired = False
            self._wake_failed()

    def _on_writable(self) -> None:
        writer = self._writer
        if writer is not None:
            self._writer = None
            switching.switch(writer)

    def _interrupt_writer(self) -> None:
        self._write_expired = self._writer is not None
        self._on_writable()

    def expire(self, now: float) -> None:
        """Called by the sweeper: end the waits whose time is up."""
        if now >= self.deadline:
            self.deadline = NEVER
            if self.reader is not None:
                self.interrupt()
            elif self.handler is not None:
                self.handler.on_expired(self)
        if now >= self.write_deadline and self._writer is not None:
            self._interrupt_writer()

    def interrupt(self) -> None:
        """End the reader's wait as if its time were up."""
        reader = self.reader
        if reader is not None:
            self._expired = True
            self.reader = None
            switching.switch(reader)

    def finish_sending(self) -> None:
        """Half-close: the peer sees the end, and can still be read from."""
        try:
            self.transport.shutdown()
        except OSError:
            pass

    def try_send(self, data: bytes) -> None:
        """Send a few last bytes if the kernel takes them at once; never waits, never raises."""
        try:
            self.transport.send(data)
        except OSError:
            pass

    def detach(self) -> None:
        """Close our descriptor of a connection that lives on in another process.

        The loop's ``epoll`` would go on watching it: closing a descriptor ends that only when it was the last one.
        """
        self.watcher.stop()
        unwatch(self._hub.loop.fileno(), self.socket.fileno())
        self.close()

    def reset(self) -> None:
        """Close so that the peer sees an error, not an end."""
        if not self.closed:
            self.transport.abort()
            self.close()

    def close(self) -> None:
        """Close the socket; a greenlet that still waits on it gets `StreamLost`."""
        if self.closed:
            return
        self.closed = True
        self.sweeper.streams.discard(self)
        handler, self.handler = self.handler, None
        if self.awaited and handler is not None:
            self._hub.loop.run_callback(handler.on_ready, self)
        self.watcher.close()
        if self._write_watcher is not None:
            self._write_watcher.close()
            self._write_watcher = None
        self.transport.close()
        self.ready = True
        if self.reader is not None:
            self._hub.loop.run_callback(self.interrupt)
        if self._writer is not None:
            self._hub.loop.run_callback(self._interrupt_writer)


class DeadlineSweeper:
    """Looks at the deadlines of all streams of a worker, every ``interval`` seconds."""

    __slots__ = ("_timer", "free_descriptor", "hub", "interval", "loop", "streams")

    def __init__(self, interval: float = 0.25) -> None:
        self.interval = interval
        self.streams: set[Stream] = set()
        self.free_descriptor: Callable[[], bool] = bool
        """Closes an idle connection because a descriptor is needed; returns False where none is idle."""
        self.hub = get_hub()
        self.loop = self.hub.loop
        self._timer = self.loop.timer(interval, interval)

    def start(self) -> None:
        """Begin."""
        self._timer.start(self.sweep)

    def stop(self) -> None:
        """End."""
        self._timer.stop()
        self._timer.close()

    def sweep(self) -> None:
        """Expire what is due; what a callback opens or closes meanwhile waits for the next time."""
        now = monotonic()
        due = []
        for stream in self.streams:  # not a comprehension, whose variable has no type when it is compiled
            if now >= stream.deadline or now >= stream.write_deadline:
                due.append(stream)
        for stream in due:
            if not stream.closed:
                stream.expire(now)
