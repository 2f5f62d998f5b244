"""A channel to the master on the loop of a worker or of the monitor process."""

from __future__ import annotations

from collections.abc import Callable

from gevent import get_hub

from l7.ipc.channel import Channel, Received
from l7.ipc.messages import Message
from l7.workers.runtime.oneshot import OneShotTimer

RETRY = 0.05
"""Seconds to wait when the system has no room for a descriptor on its way."""


class LoopChannel:
    """Hands what comes to ``on_message``, and sends what waits as soon as there is room, without ever waiting.

    ``on_end`` is called when the master is gone.
    """

    def __init__(self, channel: Channel, on_message: Callable[[Received], None], on_end: Callable[[], None]) -> None:
        self._channel = channel
        self._on_message = on_message
        self._on_end = on_end
        self._on_room: Callable[[], None] | None = None
        loop = get_hub().loop
        self._readable = loop.io(channel.fileno(), 1)
        self._writable = loop.io(channel.fileno(), 2)
        self._timer = OneShotTimer(RETRY)
        channel.on_wants_write = self._watch

    @property
    def broken(self) -> bool:
        """Whether nothing that is sent arrives any more."""
        return self._channel.broken

    def listen(self) -> None:
        """Receive from now on."""
        self._readable.start(self._receive)

    def send(self, message: Message) -> None:
        """Send a message, in order, as soon as there is room for it."""
        self._channel.send(message)

    def try_send(self, message: Message, descriptor: int) -> bool:
        """Send a message with a copy of a descriptor at once, or not at all."""
        return self._channel.try_send(message, descriptor)

    def when_there_is_room(self, call: Callable[[], None]) -> None:
        """Call ``call`` once, when what could not be sent has a chance again, or the other end is gone."""
        self._on_room = call
        if self._channel.scarce:
            self._timer.start(self._have_room)  # that the socket is writable says nothing
        else:
            self._watch(True)

    def close(self) -> None:
        """Send and receive no more; what waits is dropped."""
        self._on_room = None
        self._timer.close()
        for watcher in (self._readable, self._writable):
            watcher.stop()
            watcher.close()
        self._channel.close()

    def _watch(self, wanted: bool) -> None:
        if wanted:
            self._writable.start(self._have_room)
        elif self._on_room is None:
            self._writable.stop()

    def _have_room(self) -> None:
        self._timer.stop()
        self._channel.flush()
        if self._channel.wants_write:
            return
        self._writable.stop()
        call, self._on_room = self._on_room, None
        if call is not None:
            call()

    def _receive(self) -> None:
        for received in self._channel.receive():
            self._on_message(received)
        if self._channel.closed:
            self._readable.stop()
            self._on_end()
