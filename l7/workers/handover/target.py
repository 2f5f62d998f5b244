"""Going on with connections that come from another worker."""

from __future__ import annotations

from _socket import socket as Socket

from l7.http.forwarding import Hop
from l7.ipc.messages import Adopt
from l7.tls.details import TlsEntrance, from_text
from l7.workers.downstream.accept_balancer import AcceptBalancer
from l7.workers.downstream.connection_handler import ActiveListener, ConnectionHandler
from l7.workers.transport.plain import PlainTransport, RelayTransport
from l7.workers.transport.stream import DeadlineSweeper, Stream


class HandoverTarget:
    """Has ``server`` serve what other workers hand over, and what comes back from where nobody takes it."""

    def __init__(self, server: ConnectionHandler, sweeper: DeadlineSweeper, balancer: AcceptBalancer) -> None:
        self._server = server
        self._sweeper = sweeper
        self._balancer = balancer

    def adopt(self, message: Adopt, descriptor: int) -> None:
        """Go on with a connection that comes from another worker; one that came back ends with its next answer."""
        server, proxy = self._server, self._server.proxy
        sock = Socket(fileno=descriptor)
        sock.setblocking(False)
        listener = self._listener_of(message, sock)
        hop = adopted_hop(message, b"" if listener is None else listener.authority, via=proxy.config.via)
        last = message.returned or message.last
        if listener is not None:
            hop.https_port = listener.https_port
            last = last or listener.bound.is_of_another_kind(hop)
        transport = RelayTransport(sock) if message.tls else PlainTransport(sock)
        connection = server.begin(Stream(sock, self._sweeper, transport), hop)
        self._balancer.adopts()
        connection.adopted(message.data, message.idle_left, last=last)
        if message.tls:
            connection.know_tls(from_text(message.tls), TlsEntrance(message.entrance, message.relay))
        if proxy.handing_over and not message.returned and server.hand_over(connection):
            return
        if proxy.stopping and not connection.pending and not connection.stream.has_bytes():
            connection.close()
            return
        connection.resume()

    def _listener_of(self, message: Adopt, sock: Socket) -> ActiveListener | None:
        """The listener by which a connection came; None where that is gone."""
        for one in self._server.listeners:
            if message.tls:
                if one.contexts is not None and one.contexts.entrance.listener == message.entrance:
                    return one
            elif one.bound.has_accepted(sock):
                return one
        return None

    def announce(self, relay: int) -> None:
        """Let the next answer be the last on each connection whose TLS another process, ``relay``, has."""
        for connection in self._server.connections:
            if connection.entrance is not None and connection.entrance.relay == relay:
                connection.last = True


def adopted_hop(message: Adopt, authority: bytes, *, via: bool) -> Hop:
    """What a connection adds to requests that comes from another worker.

    :param authority: of its listener; empty where that is gone.
    """
    port = f":{message.port}" if message.port else ""
    authority = authority or f"localhost{port}".encode("ascii")
    hop = Hop(message.peer, message.port, authority, message.scheme.encode("ascii"), via=via)
    hop.told_port = message.told_port.encode("ascii")
    return hop
