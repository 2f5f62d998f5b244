"""Upgraded connections: bytes both ways until both sides have ended (RFC 9110, 7.8).

Hot where messages are small: each is one wake-up, one receive and one send.
"""

from __future__ import annotations

from gevent.event import Event

from l7 import clock
from l7.exchange import Exchange
from l7.workers.runtime.greenlet_pool import GreenletPool
from l7.workers.runtime.oneshot import OneShotTimer
from l7.workers.transport.stream import NEVER, Stream, StreamLost, StreamTimeout
from l7.workers.upstream.websocket_frames import FrameBoundaryTracker, going_away

LINGER = 0.2
"""Seconds between the half-close and the end of a tunnel that l7 ends: for the last bytes of both sides."""


class Tunnel:
    """Copies between ``client`` and ``server``: an end in one direction is passed on, and the other goes on.

    After ``idle`` seconds without a byte in either direction both are closed. ``framed`` says that it is a WebSocket.
    """

    __slots__ = (
        "_borders",
        "_exchange",
        "_finished",
        "_idle",
        "_sending",
        "_server",
        "_stirred",
        "_timer",
        "_upward_done",
        "client",
        "leaving",
    )

    def __init__(
        self, client: Stream, server: Stream, exchange: Exchange, idle: float, *, framed: bool = False
    ) -> None:
        self._idle = idle
        self.client = client
        self._server = server
        self._exchange = exchange
        self._upward_done = Event()
        self._stirred = 0.0
        self._borders = {client: FrameBoundaryTracker(), server: FrameBoundaryTracker()} if framed else {}
        """The frame tracker of each direction, by the stream that the bytes go to."""
        self._sending: set[Stream] = set()
        self._finished: set[Stream] = set()
        """The streams that l7 has half-closed: what still comes for them is discarded."""
        self.leaving = False
        """Whether l7 ends it."""
        self._timer: OneShotTimer | None = None

    def run(self, greenlets: GreenletPool, from_client: bytes, from_server: bytes) -> None:
        """Send bytes already read, then copy until both directions have ended; never raises for a lost peer."""
        self._stirred = clock.monotonic()
        greenlets.start(lambda: self._upward(from_client))
        self._copy(self._server, self.client, from_server, True)
        self._upward_done.wait()
        if self._timer is not None:
            self._timer.close()

    def leave(self, within: float) -> None:
        """End it politely: each side of a WebSocket gets a close frame 1001 as soon as it is between two frames.

        What is left after ``within`` seconds is half-closed, and closed `LINGER` seconds later.
        """
        self.leaving = True
        for stream in self.streams:
            self._say_goodbye(stream)
        self._timer = OneShotTimer(within)
        self._timer.start(self._end_soon)

    def _end_soon(self) -> None:
        self.go_away()
        self._timer = OneShotTimer(LINGER)
        self._timer.start(self.end)

    def go_away(self) -> None:
        """End it now: half-close, after a close frame 1001 to each side that is between two WebSocket frames."""
        self.leaving = True
        for stream in self.streams:
            self._say_goodbye(stream)
            self._finish(stream)

    def _say_goodbye(self, stream: Stream) -> None:
        """Send a close frame and half-close, where that is possible now: between frames, and once (RFC 6455, 5.5.1)."""
        border = self._borders.get(stream)
        if border is None or stream.closed or border.closed or not border.between or stream in self._sending:
            return
        stream.try_send(going_away(masked=stream is self._server))
        border.closed = True
        self._finish(stream)

    def _finish(self, stream: Stream) -> None:
        self._finished.add(stream)
        stream.finish_sending()

    @property
    def streams(self) -> tuple[Stream, Stream]:
        """Both connections."""
        return self.client, self._server

    def end(self) -> None:
        """End it as the idle timeout does. For callbacks of the loop."""
        self._idle = float("-inf")
        for stream in self.streams:
            if not stream.closed:
                stream.expire(NEVER)

    def _upward(self, first: bytes) -> None:
        try:
            self._copy(self.client, self._server, first, False)
        finally:
            self._upward_done.set()

    def _copy(self, source: Stream, sink: Stream, first: bytes, downward: bool) -> None:
        exchange = self._exchange
        data = first
        try:
            while True:
                if data:
                    self._stirred = clock.monotonic()
                    self._pass_on(data, sink)
                    if downward:
                        exchange.sent += len(data)
                    else:
                        exchange.received += len(data)
                data = self._receive(source)
                if not data:
                    sink.finish_sending()
                    return
        except (StreamLost, StreamTimeout):
            source.close()
            sink.close()

    def _pass_on(self, data: bytes, sink: Stream) -> None:
        if sink in self._finished:
            return
        border = self._borders.get(sink)
        if border is not None:
            border.feed(data)
            self._sending.add(sink)
        sink.send(data, self._idle)
        self._sending.discard(sink)
        if self.leaving:
            self._say_goodbye(sink)

    def _receive(self, source: Stream) -> bytes:
        """Wait for bytes; the idle timeout ends only when both directions are silent."""
        while True:
            source.deadline = self._stirred + self._idle
            try:
                return source.receive()
            except StreamTimeout:
                if clock.monotonic() >= self._stirred + self._idle:
                    raise
