"""Answers who asks for the overview over the control socket, on connections that the master passes on."""

from __future__ import annotations

import contextlib
import json

import gevent
from gevent import Timeout
from gevent import socket as green
from gevent.event import Event

from l7.ipc.requests import refusal
from l7.workers.monitor.overview.document import Overview, OverviewError

MOST_ASKING = 256
"""Connections at a time: all get the same document. More are told to ask again."""
WITHIN = 10.0
"""Seconds for one: longer than the master may take, which is asked."""
FINISH_WITHIN = 0.5
"""Seconds for all that ask as this process ends: the next one begins after that."""


class OverviewAnswers:
    """The connections that are answered."""

    def __init__(self, overview: Overview) -> None:
        self._overview = overview
        self._asking = 0
        self._ended = Event()
        """Set while nobody asks."""
        self._ended.set()

    def take(self, descriptor: int) -> None:
        """Answer on a connection, and close it."""
        if self._asking >= MOST_ASKING:
            _refuse(descriptor)
            return
        self._asking += 1
        self._ended.clear()
        gevent.spawn(self._answer, green.socket(fileno=descriptor))

    def close(self) -> None:
        """Answer those that ask, within `FINISH_WITHIN` seconds; the master sends no more."""
        self._ended.wait(FINISH_WITHIN)

    def _answer(self, sock: green.socket) -> None:
        # Whoever is slow or has left gets less, and nobody else waits for it.
        with contextlib.closing(sock), contextlib.suppress(OSError, Timeout):
            try:
                with Timeout(WITHIN):
                    sock.sendall(self._document() + b"\n")
            finally:
                self._asking -= 1
                if not self._asking:
                    self._ended.set()

    def _document(self) -> bytes:
        try:
            return self._overview.json()
        except OverviewError as error:
            return json.dumps(refusal(str(error))).encode()


def _refuse(descriptor: int) -> None:
    """Say why there is no answer, in what fits into an empty socket at once."""
    with green.socket(fileno=descriptor) as sock, contextlib.suppress(OSError):
        sock.settimeout(0.0)
        sock.send(json.dumps(refusal("too many ask for the overview at once; ask again in a moment")).encode() + b"\n")
