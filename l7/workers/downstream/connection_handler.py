"""Accepting: one connection at a time, never more than the limit, and with patience when the system has no more.

The listening sockets are shared with the other workers. A worker that holds its share of ``limits.connections`` leaves
new connections to those that do not; when all are full, the client that has been idle longest makes place
(`l7.workers.downstream.connection_reclaimer`). Where none is idle, or the system has no descriptors, the listening
sockets are left alone for a moment: connections then wait in the kernel's queue. Nothing is refused and nothing spins.

Hot where each request opens a connection: compiled, with `l7.workers.downstream.accept_balancer`, that costs 14,000
instructions less of 100,000; it is not listened on again after each end where nothing was paused.
"""

from __future__ import annotations

import socket
from _socket import socket as Socket
from collections.abc import Callable, Sequence

from gevent import get_hub

from l7.clock import monotonic
from l7.config.values.listener import FIRST_TLS_PORT
from l7.http.forwarding import Hop
from l7.networks import UNIX, Trusted, of_peer
from l7.oserrors import DESCRIPTORS, SCARCE, describe
from l7.telemetry.events import named
from l7.workers.bounded_cache import BoundedCache
from l7.workers.downstream.accept_balancer import AcceptBalancer
from l7.workers.downstream.bound_listener import BoundListener, Handshakes, ProxyHeaderReader
from l7.workers.downstream.connection import ClientConnection
from l7.workers.downstream.connection_reclaimer import ConnectionReclaimer, has_waiting
from l7.workers.handover.queue import HandoverQueue
from l7.workers.proxy import Proxy
from l7.workers.runtime.oneshot import OneShotTimer
from l7.workers.transport import socket_calls
from l7.workers.transport.stream import DeadlineSweeper, Stream

_IPV4, _UNIX, _STREAM = int(socket.AF_INET), int(socket.AF_UNIX), int(socket.SOCK_STREAM)
BACK_OFF = 0.2
"""Seconds without accepting after the system had no descriptor or memory left, or no connection was idle."""
YIELD = 0.005
"""Seconds that a worker with more than its share leaves a new connection to the others."""
_REMEMBERED = 1024
"""Client addresses for which what is added to each request is kept."""


class ActiveListener:
    """One listening socket as a worker sees it."""

    __slots__ = (
        "_hops", "_server", "_watcher", "authority", "begins_otherwise", "bound", "config", "contexts", "family",
        "https_port", "port", "senders", "sock", "watching",
    )  # fmt: skip

    def __init__(self, bound: BoundListener, server: ConnectionHandler) -> None:
        self.bound = bound
        sock = self.sock = bound.socket
        self.config = bound.config
        self.begins_otherwise = bound.begins_otherwise
        self.contexts = bound.contexts
        self.senders = Trusted(bound.config.proxy_protocol) if bound.config.proxy_protocol else None
        """Whose connections begin with a PROXY header; None where none does."""
        self.family = int(sock.family)
        self._server = server
        self.port, self.authority = bound.name()
        self.https_port = 0
        """Where requests are led to (`Hop.https_port`)."""
        self._hops: BoundedCache[str, Hop] = BoundedCache(_REMEMBERED)
        self._watcher = get_hub().loop.io(sock.fileno(), 1)
        self.watching = False

    def watch(self) -> None:
        """Take connections."""
        if not self.watching:
            self.watching = True
            self._watcher.start(self._on_connection)

    def pause(self) -> None:
        """Take none for now."""
        self.watching = False
        self._watcher.stop()

    def close(self) -> None:
        """Take none any more."""
        self.pause()
        self._watcher.close()
        self.sock.close()

    def hop(self, client: str) -> Hop:
        """What the connections of ``client`` add to each request: one for all of them, while it is remembered."""
        hop = self._hops.get(client)
        if hop is None:
            hop = self._hops[client] = self._new_hop(client)
        return hop

    def _new_hop(self, client: str) -> Hop:
        hop = Hop(client, self.port, self.authority, self.config.scheme, via=self._server.proxy.config.via)
        hop.https_port = self.https_port
        return hop

    def told_hop(self, client: str, port: int) -> Hop:
        """As `hop`, for a client of whom a PROXY header has told that it connected to ``port``; 0: not known."""
        told = b"%d" % port if port else b""
        hop = self.hop(client)
        if hop.told_port != told:
            hop = self._hops[client] = self._new_hop(client)
            hop.told_port = told
        return hop

    def _on_connection(self) -> None:
        if not self._server.yields():
            self._server.take(self)

    def accept(self) -> bool:
        """Accept one connection, if there is one; returns whether there was."""
        try:
            descriptor, peer = socket_calls.accept(self.sock)
        except OSError as failure:
            if failure.errno in SCARCE and not self._server.frees(failure, self):
                self._server.overloaded(failure)
            return False
        self._server.accepted(Socket(self.family, _STREAM, 0, descriptor), peer, self)
        return True


class ConnectionHandler:
    """The connections of one worker: at most ``most``, its part of ``limits.connections``; ``report`` takes events.

    ``balancer`` says when others should take the next connection; ``handover_queue`` is the way out for connections.
    """

    def __init__(
        self, proxy: Proxy, sweeper: DeadlineSweeper, most: int, report: Callable[[str], None], balancer: AcceptBalancer
    ) -> None:
        self.proxy = proxy
        self.handover_queue: HandoverQueue | None = None
        self.handshakes: Handshakes | None = None
        """Opens the connections of listeners with TLS."""
        self.proxy_headers: ProxyHeaderReader | None = None
        """Reads the headers of listeners with ``proxy-protocol``."""
        self.connections: set[ClientConnection] = set()
        self.stopped = False
        self.on_drained: Callable[[], None] = _nothing
        """Called when the last connection of a stopped server has ended."""
        self._sweeper = sweeper
        self._most = most
        self._report = report
        self.listeners: list[ActiveListener] = []
        """What it accepts on."""
        self._timer = OneShotTimer(BACK_OFF)
        self._turn = OneShotTimer(YIELD)
        self._told = False
        """Whether the event ``accept.failed`` was written, and no connection has been accepted since."""
        self._backs_off = False
        """Whether it is too soon to try again."""
        self._paused = False
        """Whether nothing is accepted until there is room again, or `BACK_OFF` is over."""
        self._crowded = False
        """Whether a client waits for a place because no connection was idle."""
        self._balancer = balancer
        self._room = ConnectionReclaimer(self.connections, most, proxy.upstreams, report)
        sweeper.free_descriptor = self._room.free_descriptor

    def listen(self, listeners: Sequence[BoundListener]) -> None:
        """Begin to accept on the sockets of ``listeners``."""
        for bound in listeners:
            sock = bound.socket
            sock.setblocking(False)
            if sock.family != socket.AF_UNIX:
                sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self.listeners.append(ActiveListener(bound, self))
        self._lead_to_https()
        self._balancer.may_hold(self._most)
        self._resume()

    def _lead_to_https(self) -> None:
        """Let listeners know the port of https that they lead to: where it is not named, that of the first with TLS."""
        first = next((one.port for one in self.listeners if one.config.tls is not None), 0)
        for listener in self.listeners:
            wanted = listener.config.redirect_to_https
            listener.https_port = first if wanted == FIRST_TLS_PORT else wanted or 0

    def accepted(self, sock: Socket, peer: str, listener: ActiveListener) -> None:
        """Serve a new connection."""
        self._told = False
        if self._crowded:
            self._room.waited()
            self._crowded = has_waiting(listener.sock)
        hop = listener.hop(client_address(peer, listener.family))
        if listener.begins_otherwise:
            self._begin_otherwise(sock, hop, listener)
        else:
            self.begin(Stream(sock, self._sweeper), hop)

    def _begin_otherwise(self, sock: Socket, hop: Hop, listener: ActiveListener) -> None:
        """Serve a new connection after what comes before its first request: a PROXY header, a TLS handshake."""
        if listener.senders is not None and self.proxy_headers is not None:
            self.proxy_headers.begin(self.begin(Stream(sock, self._sweeper), hop), listener)
        elif listener.contexts is not None and self.handshakes is not None:
            self.handshakes.begin(sock, listener.contexts, hop)

    def introduced(self, connection: ClientConnection, listener: ActiveListener) -> None:
        """Serve a connection whose header has said who the client is: what comes next is in its socket still."""
        connection.trusted = self.proxy.trusts(connection.hop.client)
        if listener.contexts is not None and self.handshakes is not None:
            self.handshakes.go_on(connection, listener.contexts)
            return
        connection.stream.deadline = monotonic() + self.proxy.bounds.head_seconds
        if self.proxy.stopping and not connection.stream.has_bytes():
            connection.close()
            return
        connection.resume()
        if self.proxy.handing_over:
            self.hand_over(connection)

    def established(self, connection: ClientConnection) -> None:
        """Where this worker drains, let another one serve a connection whose handshake is complete."""
        if self.proxy.handing_over:
            connection.stream.handler = None  # what came with the handshake is for the other one, too
            get_hub().loop.run_callback(self._hand_over_new, connection)

    def _hand_over_new(self, connection: ClientConnection) -> None:
        if not connection.stream.closed:
            connection.stream.ready = False
            if not self.hand_over(connection):
                connection.resume()

    def begin(self, stream: Stream, hop: Hop) -> ClientConnection:
        """Serve a new connection."""
        connection = ClientConnection(stream, hop, self, self.proxy, trusted=self.proxy.trusts(hop.client))
        self.connections.add(connection)
        self._balancer.holds(len(self.connections))
        if len(self.connections) >= self._most:
            self._balancer.accepts(accepting=False)
        return connection

    def take(self, listener: ActiveListener) -> None:
        """Accept a connection: where there is room, or where a client that is idle makes place."""
        if len(self.connections) < self._most:
            listener.accept()
        elif has_waiting(listener.sock):
            if self._room.idle_client() is None:
                self._wait_for_room()
            elif listener.accept():
                self._room.make_room()

    def _wait_for_room(self) -> None:
        """Accept nothing until a connection ends; so that one does, each answer is the last of its connection."""
        if not self._crowded:
            self._hurry()
        self._crowded = True
        self._room.all_busy()
        self.proxy.overloaded = True
        self._back_off()

    def yields(self) -> bool:
        """Leave the next connection to others for a moment, when this worker holds more than its share."""
        count = len(self.connections)
        if not (self._balancer.others_accept() if count >= self._most else self._balancer.exceeded(count)):
            return False
        for listener in self.listeners:
            listener.pause()
        self._turn.start(self._take_turn)
        return True

    def _take_turn(self) -> None:
        """Accept a connection that no other worker has accepted meanwhile."""
        for listener in list(self.listeners):
            if not self._paused:
                self.take(listener)
        if not self._paused:
            self._watch()

    def hand_over(self, connection: ClientConnection) -> bool:
        """Let another worker go on with an idle connection; returns False when it has to stay for now.

        One whose transport lives in this process ends with its next answer then.
        """
        if self.handover_queue is not None and self.handover_queue.hand_over(connection):
            return True
        connection.last = connection.last or not connection.stream.transport.can_detach
        return False

    def hand_over_idle(self) -> None:
        """Hand over every connection on which no request is being served, with what has come of its next one."""
        for connection in list(self.connections):
            if connection.idle:
                self.hand_over(connection)
            elif connection.gathering is not None:
                queue, read = self.handover_queue, len(connection.gathering.gathered)
                if queue is not None and queue.takes(connection, read):
                    connection.stream.interrupt()
                else:
                    connection.last = True

    def stay(self, connection: ClientConnection) -> None:
        """Serve here, to its end, what cannot be handed over."""
        connection.last = True
        connection.resume()

    def gone(self, connection: ClientConnection) -> None:
        """Forget a connection that ended, and accept again where that makes room."""
        self.connections.discard(connection)
        self._balancer.holds(len(self.connections))
        if self.stopped:
            if not self.connections:
                self.on_drained()
        elif len(self.connections) == self._most - 1 and not self._backs_off:
            self._resume()

    def frees(self, failure: OSError, listener: ActiveListener) -> bool:
        """Let something idle go for the connection that could not be accepted; returns False when that cannot help."""
        return failure.errno in DESCRIPTORS and has_waiting(listener.sock) and self._room.free_descriptor()

    def overloaded(self, failure: OSError) -> None:
        """Stop accepting for `BACK_OFF` seconds; one event until a connection was accepted again."""
        if not self._told:
            self._told = True
            reason = describe(failure.errno or 0)
            words = f"cannot accept: {reason}; waiting for connections to end"
            self._report(named("accept.failed", words, reason=reason))
        self._backs_off = True
        self._back_off()

    def _back_off(self) -> None:
        self._paused = True
        self._balancer.accepts(accepting=False)
        for listener in self.listeners:
            listener.pause()
        self._timer.start(self._recover)

    def _recover(self) -> None:
        self._backs_off = False
        self._crowded = self._crowded and bool([one for one in self.listeners if has_waiting(one.sock)])
        self._resume()

    def _resume(self) -> None:
        """Accept again."""
        self._paused = self.proxy.overloaded = False
        self._balancer.accepts(accepting=len(self.connections) < self._most)
        self._watch()

    def _watch(self) -> None:
        for listener in self.listeners:
            listener.watch()

    def stop(self) -> None:
        """Accept no more: what was accepted is served."""
        self.stopped = True
        self.proxy.overloaded = False
        self._balancer.accepts(accepting=False)
        self._balancer.may_hold(0)
        self._timer.stop()
        self._turn.stop()
        for listener in self.listeners:
            listener.close()
        self.listeners = []

    def close_idle(self) -> None:
        """Close the connections that wait for a request; one whose request has just come in is served.

        Those that end already may not take much longer.
        """
        self._hurry()
        for opening in (self.handshakes, self.proxy_headers):
            if opening is not None:
                opening.close()
        for connection in [connection for connection in self.connections if connection.idle]:
            if not connection.stream.has_bytes():
                connection.close()

    def _hurry(self) -> None:
        """Wait no longer than a moment for the end of connections whose last answer was sent."""
        for connection in self.connections:
            if connection.lingered >= 0:
                connection.hurry()

    def close(self) -> None:
        """Close everything."""
        self.stop()
        for connection in list(self.connections):
            connection.close()


def _nothing() -> None:
    """Do nothing at the end of the last connection."""


def client_address(peer: str, family: int) -> str:
    """The peer of a connection as it is logged and forwarded: IPv4 in IPv6 is shown as IPv4, without a zone."""
    if family == _UNIX:
        return UNIX
    return peer if family == _IPV4 else of_peer(peer)
