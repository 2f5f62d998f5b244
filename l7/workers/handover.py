"""Handing client connections to the next generation: the descriptor travels, the client notices nothing.

A worker that drains sends each idle connection to the master, with what it has read of the next request; the master
passes it on to a worker of the new generation. Both ways are one message on the worker's channel: JSON, and the
descriptor beside it (``SCM_RIGHTS``). Our copy is closed without a shutdown, so the connection itself never ends.

Nothing here waits: a channel that takes no more is watched until it does, and meanwhile a connection on which a request
comes in is served where it is.
"""

from __future__ import annotations

import base64
import errno
import json
import socket
from collections import deque
from collections.abc import Callable
from typing import Any, NamedTuple, Protocol

from gevent import get_hub

from l7.clock import monotonic
from l7.workers.session import Session
from l7.workers.stream import NEVER

LONGEST = 64 * 1024
"""Bytes of the longest message on a channel."""
MOST_READ = 44 * 1024
"""Bytes already read that a connection can take with it: more do not fit into a message, as base64."""
RETRY = 0.05
"""Seconds to wait when the system has no room for a descriptor on its way."""

_FULL = frozenset((errno.EAGAIN, errno.EWOULDBLOCK))
_SCARCE = frozenset((errno.ETOOMANYREFS, errno.ENOBUFS, errno.ENOMEM, errno.EMFILE, errno.ENFILE))


class Arrival(NamedTuple):
    """A connection that comes from another worker; ``left`` is how many seconds it may stay idle."""

    descriptor: int
    peer: str
    port: int
    data: bytes
    left: float


def arrival(message: dict[str, Any], descriptor: int, idle: float) -> Arrival:
    """Read a message that came with a descriptor; ``idle`` stands in for a missing ``left``."""
    data = base64.b64decode(message.get("data", ""))
    return Arrival(descriptor, str(message["peer"]), int(message["port"]), data, float(message.get("left", idle)))


class Origin(Protocol):
    """Where connections leave from."""

    def gone(self, session: Session) -> None:
        """The session is no longer ours."""

    def stay(self, session: Session) -> None:
        """The session cannot be handed over and has to be served here to its end."""


class Outbox:
    """What goes to the master, in order, when its channel takes it; words overtake connections."""

    def __init__(self, channel: socket.socket, origin: Origin) -> None:
        self.handed = 0
        """Connections handed over so far."""
        self._channel = channel
        self._origin = origin
        self._words: deque[bytes] = deque()
        self._leaving: deque[tuple[Session, float | None]] = deque()
        """Who waits; where nobody serves it meanwhile, with when its idle time would be over."""
        loop = get_hub().loop
        self._watcher = loop.io(channel.fileno(), 2)
        self._timer = loop.timer(RETRY)
        self._waiting = False
        self._broken = False

    def tell(self, message: dict[str, Any]) -> None:
        """Send a message; it is lost when the master is."""
        self._words.append(json.dumps(message).encode("utf-8"))
        self._go_on()

    def hand_over(self, session: Session) -> bool:
        """Send an idle session away as soon as the channel takes it; returns False when it must stay.

        One that waits for its next request is served as long as it is here; one with bytes already read waits.
        """
        if self._broken or len(session.buffer) > MOST_READ:
            return False
        stream = session.stream
        until = stream.deadline if session.buffer else None
        if session.buffer:
            stream.keeper = None
            stream.pause()
        else:
            stream.keeper = session
            if not stream.watching:
                stream.watch()
        self._leaving.append((session, until))
        self._go_on()
        return True

    def cancel(self) -> None:
        """Hand nothing over any more: what still waits stays here."""
        leaving, self._leaving = self._leaving, deque()
        for session, until in leaving:
            if until is not None and not session.stream.closed:
                self._origin.stay(session)

    def close(self) -> None:
        """Stop sending."""
        self._broken = True
        self._rest()
        self._watcher.close()
        self._timer.close()

    def _rest(self) -> None:
        self._waiting = False
        self._watcher.stop()
        self._timer.stop()

    def _go_on(self) -> None:
        if not self._waiting and not self._broken:
            self._push()

    def _push(self) -> None:
        """Send until there is nothing left or no room."""
        try:
            while self._words:
                self._channel.send(self._words[0], socket.MSG_DONTWAIT)
                self._words.popleft()
            while self._leaving:
                session, until = self._leaving[0]
                if not session.stream.closed and (until is not None or session.idle):
                    self._send(session, session.stream.deadline if until is None else until)
                    self._leaving.popleft()
                    self._part(session)
                else:
                    self._leaving.popleft()
        except OSError as failure:
            self._wait(failure)
        else:
            self._rest()

    def _send(self, session: Session, until: float) -> None:
        message: dict[str, Any] = {
            "event": "handover",
            "peer": session.hop.client,
            "port": session.hop.port,
            "data": base64.b64encode(session.buffer).decode("ascii"),
        }
        if until != NEVER:
            message["left"] = round(max(until - monotonic(), 0.1), 3)
        descriptors = [session.stream.socket.fileno()]
        socket.send_fds(self._channel, [json.dumps(message).encode("utf-8")], descriptors, socket.MSG_DONTWAIT)

    def _part(self, session: Session) -> None:
        self.handed += 1
        session.stream.let_go()
        self._origin.gone(session)

    def _wait(self, failure: OSError) -> None:
        self._rest()
        if failure.errno in _FULL:
            self._waiting = True
            self._watcher.start(self._push)
        elif failure.errno in _SCARCE:
            self._waiting = True
            self._timer.close()
            self._timer = get_hub().loop.timer(RETRY)  # libev forgets the time of one that has fired
            self._timer.start(self._push)
        else:
            self._broken = True
            self._words.clear()
            self.cancel()


def listen(channel: socket.socket, heard: Callable[[dict[str, Any], int | None], None]) -> bool:
    """Receive what the master has sent, some of it with a descriptor; returns False at the channel's end.

    All of it: who leaves a message unread resets the channel, and the other end may lose what is still on its way.
    """
    was_reset = False
    while True:
        try:
            data, descriptors, _, _ = socket.recv_fds(channel, LONGEST, 1, socket.MSG_CMSG_CLOEXEC)
        except BlockingIOError:
            return True
        except OSError as failure:
            # The reset overtakes what was sent before it.
            if not isinstance(failure, ConnectionResetError) or was_reset:
                return False
            was_reset = True
            continue
        if not data:
            return False
        heard(json.loads(data), descriptors[0] if descriptors else None)
