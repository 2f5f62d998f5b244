"""The control worker's end of its channel to the master: messages both ways, none of them lost for want of room."""

from __future__ import annotations

import json
import socket
from collections import deque
from collections.abc import Callable
from typing import Any

from gevent import get_hub

from l7.workers.handover import listen

Message = dict[str, Any]


class Channel:
    """Tells the master, in order, as fast as it listens; ``heard`` is called with what it says, ``ended`` at its end.

    What is told is kept until it can be sent: a master that reloads does not listen for a moment.
    """

    def __init__(self, sock: socket.socket, heard: Callable[[Message], None], ended: Callable[[], None]) -> None:
        sock.setblocking(False)
        self._socket = sock
        self._heard = heard
        self._ended = ended
        self._waiting: deque[tuple[bytes, socket.socket | None]] = deque()
        loop = get_hub().loop
        self._readable = loop.io(sock.fileno(), 1)
        self._writable = loop.io(sock.fileno(), 2)

    def listen(self) -> None:
        """Hear the master from now on."""
        self._readable.start(self._receive)

    def tell(self, message: Message, passed: socket.socket | None = None) -> None:
        """Send a message as soon as there is room, with a socket, which is closed here then."""
        self._waiting.append((json.dumps(message).encode("utf-8"), passed))
        if len(self._waiting) == 1:
            self._push()

    def _receive(self) -> None:
        if not listen(self._socket, lambda message, _: self._heard(message)):
            self._readable.stop()
            self._ended()

    def _push(self) -> None:
        try:
            while self._waiting:
                encoded, passed = self._waiting[0]
                descriptors = [] if passed is None else [passed.fileno()]
                socket.send_fds(self._socket, [encoded], descriptors, socket.MSG_DONTWAIT)
                self._waiting.popleft()
                if passed is not None:
                    passed.close()
        except BlockingIOError:
            self._writable.start(self._push)
            return
        except OSError:
            self._waiting.clear()  # the master is gone, and `_receive` will see that
        self._writable.stop()
