"""The TLS handshakes of a worker that are under way: how many there are, how long each may take, what came of it.

A handshake has no greenlet. It goes on while the loop hears its stream, a few steps in each turn of the loop: one costs
what ten requests cost, and a flood of them must not keep requests waiting. When too many are under way the oldest is
closed, which is the one that is likeliest never to end.
"""

from __future__ import annotations

import sys
from _socket import socket as Socket
from collections.abc import Sequence
from typing import Any, Protocol

from gevent import get_hub

from l7.clock import monotonic
from l7.errors import BAD_REQUEST, ProxyError
from l7.http.forwarding import Hop
from l7.tls.client_certificates import client_certificate, has_ended
from l7.tls.contexts import ListenerContexts
from l7.tls.counters import HandshakeCounters
from l7.tls.details import TlsDetails, TlsEntrance
from l7.tls.failures import EXPIRED, OVERLOADED, TIMEOUT, TlsFailure
from l7.workers.downstream.connection import ClientConnection
from l7.workers.transport.plain import PlainTransport
from l7.workers.transport.stream import DeadlineSweeper, Stream
from l7.workers.transport.tls import TlsTransport
from l7.workers.transport.tls_handshake import ShakingTransport, TlsState

MOST = 1024
"""Handshakes under way at a time."""
STEPS = 8
"""Steps in one turn of the loop."""
PLAIN = "plain HTTP was sent to a port that speaks TLS; use https://"


class HandshakeOwner(Protocol):
    """What holds the client connections of a worker."""

    def begin(self, stream: Stream, hop: Hop) -> ClientConnection:
        """Serve a new connection."""

    def established(self, connection: ClientConnection) -> None:
        """Called when the handshake of a connection is complete."""


class ClientHandshake:
    """One handshake: what the transport tells, and what the stream tells meanwhile."""

    __slots__ = ("_all", "connection", "entrance")

    def __init__(self, all_of_them: TlsHandshakes, entrance: TlsEntrance) -> None:
        self._all = all_of_them
        self.entrance = entrance
        self.connection: ClientConnection | None = None

    def may_step(self, transport: ShakingTransport) -> bool:
        """Whether there is time for a step in this turn of the loop."""
        return self._all.may_step()

    def established(self, transport: ShakingTransport) -> None:
        """Wait for the first request from now on."""
        self._all.done(self, transport)

    def failed(self, transport: ShakingTransport, failure: TlsFailure) -> None:
        """Count it; `on_ready` is called next."""
        self._all.failed(self, failure)

    def on_ready(self, stream: Stream) -> None:
        """The handshake has failed."""
        assert self.connection is not None
        clear_text = stream.transport.clear_text  # type: ignore[attr-defined]
        if clear_text:
            stream.transport = PlainTransport(stream.socket)
            self.connection.refuse(ProxyError(BAD_REQUEST, PLAIN), clear_text)
        else:
            self.connection.close()

    def shut_out(self) -> None:
        """Close the connection of a client that may not come in any more."""
        if self.connection is not None and not self.connection.stream.closed:
            self.connection.close()

    def on_expired(self, stream: Stream) -> None:
        """It took too long."""
        self._all.failed(self, TlsFailure("not whole in time", TIMEOUT))
        if self.connection is not None:
            self.connection.close()


class TlsHandshakes:
    """The handshakes under way in one worker; each may take ``seconds``."""

    def __init__(
        self, owner: HandshakeOwner, sweeper: DeadlineSweeper, counters: HandshakeCounters, seconds: float
    ) -> None:
        self._owner = owner
        self._sweeper = sweeper
        self._counters = counters
        self._seconds = seconds
        self._under_way: dict[ClientHandshake, None] = {}
        self._loop = get_hub().loop
        self._turn = 0.0
        self._steps = 0
        self._ciphers: dict[str, str] = {}
        self._shown: Sequence[ListenerContexts] = ()
        self._timer: Any = None
        _hush()

    def __len__(self) -> int:
        return len(self._under_way)

    def show(self, contexts: Sequence[ListenerContexts]) -> None:
        """Show the certificates of these listeners, and go on to the next keys of tickets when their day is over."""
        self._shown = contexts
        self._renew_sessions()

    def _renew_sessions(self) -> None:
        self._stop_timer()
        now = monotonic()
        for one in self._shown:
            one.sessions.advance(now)
            _install(one)
        self._timer = self._loop.timer(min(one.sessions.until for one in self._shown) - now, ref=False)
        self._timer.start(self._renew_sessions)

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.close()
            self._timer = None

    def begin(self, sock: Socket, contexts: ListenerContexts, hop: Hop) -> None:
        """Shake hands on a new connection, and serve it."""
        self._make_room()
        handshake = ClientHandshake(self, contexts.entrance)
        stream = Stream(sock, self._sweeper, TlsTransport(sock, contexts.sessions.present, handshake))
        handshake.connection = self._owner.begin(stream, hop)
        stream.handler = handshake
        stream.deadline = monotonic() + self._seconds
        self._under_way[handshake] = None

    def go_on(self, connection: ClientConnection, contexts: ListenerContexts) -> None:
        """Shake hands on a connection whose PROXY header has come, within the time that it had for both."""
        self._make_room()
        handshake = ClientHandshake(self, contexts.entrance)
        stream = connection.stream
        stream.transport = TlsTransport(stream.socket, contexts.sessions.present, handshake)
        handshake.connection = connection
        stream.handler = handshake
        self._under_way[handshake] = None
        stream.watch()

    def _make_room(self) -> None:
        while len(self._under_way) >= MOST:
            oldest = next(iter(self._under_way))
            self.failed(oldest, TlsFailure("others needed its place", OVERLOADED))
            if oldest.connection is not None:
                oldest.connection.close()

    def may_step(self) -> bool:
        """Whether there is time for a step in this turn of the loop."""
        now = self._loop.now()
        if now != self._turn:
            self._turn = now
            self._steps = 0
        self._steps += 1
        return self._steps <= STEPS

    def done(self, handshake: ClientHandshake, transport: ShakingTransport) -> None:
        """Count a handshake, and let the connection wait for its first request."""
        self._under_way.pop(handshake, None)
        state = transport.ssl_object
        if state.session_reused and has_ended(state):
            self._counters.failed(EXPIRED)
            self._loop.run_callback(handshake.shut_out)  # its transport is in the middle of something
            return
        version = (state.version() or "").removeprefix("TLSv")
        cipher = (state.cipher() or ("",))[0]
        resumed = bool(state.session_reused)
        self._counters.done(version, resumed=resumed)
        name = state.server_name if isinstance(state, TlsState) else None
        if handshake.connection is not None:
            cipher = self._ciphers.setdefault(cipher, cipher)
            tls = TlsDetails(sys.intern(version), cipher, name or "", resumed, *client_certificate(state))
            handshake.connection.begin_tls(tls, handshake.entrance)
            self._owner.established(handshake.connection)
            handshake.connection = None

    def failed(self, handshake: ClientHandshake, failure: TlsFailure) -> None:
        """Count a handshake that failed; one of a client that came and went without a byte is none."""
        if handshake in self._under_way:
            del self._under_way[handshake]
            self._counters.failed(failure.label)

    def close(self) -> None:
        """Close what is under way: the worker is about to exit."""
        self._stop_timer()
        for handshake in list(self._under_way):
            if handshake.connection is not None:
                handshake.connection.close()
        self._under_way.clear()


def _install(contexts: ListenerContexts) -> None:
    """Have the certificates of this generation shown by the present session context of a listener."""
    certificates = contexts.certificates

    def switch(state: TlsState, server_name: str | None, context: object) -> None:
        state.server_name = server_name
        found = certificates.select(server_name)
        if found is not None:
            state.context = found

    session = contexts.sessions.present
    session.sslobject_class = TlsState
    session.sni_callback = switch  # type: ignore[assignment]


def _hush() -> None:
    """Say nothing of a client that asks for a name which is not ASCII: `ssl` has no other way to tell of that."""
    before = sys.unraisablehook

    def hook(told: Any) -> None:
        if not isinstance(told.exc_value, UnicodeDecodeError):
            before(told)

    sys.unraisablehook = hook
