"""The server on the control socket: one request a connection (``l7 reload``, ``l7 status``), a line of JSON each way.

No client can hold up the master: it reads and writes what is possible at once, and closes a connection that takes too
long. An answer that is long to make is made piece by piece (`l7.master.control.long_answer`), as fast as it is read.
"""

from __future__ import annotations

import json
import socket
from collections.abc import Callable, Iterator, Mapping

from l7.clock import monotonic
from l7.ipc.codec import DecodeError
from l7.ipc.requests import REQUESTS, Answer, Request, refusal, unknown
from l7.master.children.poll import WRITE, Poll
from l7.master.control.long_answer import Entries, pieces_of
from l7.master.resources.control_socket import ControlSocket
from l7.telemetry.events import named

MOST_CONNECTIONS = 32
PATIENCE = 5.0
"""Seconds that a client has to send its request, and to read an answer that does not fit into the socket."""
LONG_PATIENCE = 20.0
"""Seconds that it has to read all of an answer that is made while it is read."""
LONGEST_QUESTION = 64 * 1024
"""The longest request in bytes: room for a URL and header fields."""


class ControlConnection:
    """One connection to the control socket."""

    def __init__(self, sock: socket.socket) -> None:
        self.socket = sock
        self.deadline: float | None = monotonic() + PATIENCE
        self.read = bytearray()
        self.write = bytearray()
        self.rest: Iterator[bytes] | None = None
        """What is still to be made of the answer, and sent after what is in ``write``."""
        self.descriptor: int | None = None
        """What goes with the first byte of the answer."""
        self.asked = False


class ControlServer:
    """Accepts connections; its handler gets each request, and answers now or later by `answer`.

    :param report: takes what went wrong when it is too late to answer it.
    """

    def __init__(self, poll: Poll, control: ControlSocket | None, report: Callable[[str], None]) -> None:
        self._poll = poll
        self._control = control
        self._report = report
        self._handler: Callable[[ControlConnection, Request], None] = self._refuse
        self._connections: dict[int, ControlConnection] = {}
        self.is_open = self.is_closed = False
        """Whether it accepts connections, and whether it has stopped for good."""

    def handle(self, handler: Callable[[ControlConnection, Request], None]) -> None:
        """Let ``handler`` get each request."""
        self._handler = handler

    def open(self, control: ControlSocket | None = None) -> None:
        """Accept connections, from now on at ``control`` where that is given."""
        if control is not None and self._control is not None:
            self._poll.drop(self._control.socket.fileno())
        self.is_open, self._control = True, control or self._control
        if self._control is not None:
            self._poll.add(self._control.socket.fileno(), self._accept)
            if self._control.registration is not None:
                self._control.registration.write()

    def welcome(self, descriptor: int) -> None:
        """Take a connection that was made elsewhere (by the admin endpoint), unless closed."""
        sock = socket.socket(fileno=descriptor)
        if self.is_closed:
            sock.close()
        else:
            self._take(sock)

    def close(self) -> None:
        """Accept no more, and close the connections."""
        self.is_open, self.is_closed = False, True
        if self._control is not None:
            self._poll.drop(self._control.socket.fileno())
            self._control = None
        for connection in list(self._connections.values()):
            self._let_go(connection)

    def release(self) -> None:
        """Close the descriptors only: called in a forked child."""
        for connection in self._connections.values():
            connection.socket.close()

    @property
    def due(self) -> float | None:
        """When the next connection times out."""
        return min((one.deadline for one in self._connections.values() if one.deadline is not None), default=None)

    def expire(self) -> None:
        """Close the connections whose time is over."""
        now = monotonic()
        for connection in list(self._connections.values()):
            if connection.deadline is not None and connection.deadline <= now:
                self._let_go(connection)

    def answer(self, connection: ControlConnection, answer: Answer, descriptor: int | None = None) -> None:
        """Send the answer, with a descriptor that stays open here; ignored for a connection that was closed."""
        if connection.socket.fileno() < 0:
            return
        connection.write += json.dumps(answer).encode() + b"\n"
        connection.deadline = monotonic() + PATIENCE
        connection.descriptor = descriptor
        self._send(connection)

    def answer_at_length(self, connection: ControlConnection, answer: Answer, lists: Mapping[str, Entries]) -> None:
        """As `answer`, with lists behind it that may be very long: each piece is made when those before it are sent."""
        if connection.socket.fileno() < 0:
            return
        connection.rest, connection.deadline = pieces_of(answer, lists), monotonic() + LONG_PATIENCE
        self._continue(connection)

    def pass_on(self, connection: ControlConnection, give: Callable[[int], bool]) -> bool:
        """Leave a connection to another process, to which ``give`` sends its descriptor; returns whether it did."""
        if connection.socket.fileno() >= 0 and not give(connection.socket.fileno()):
            return False
        self._let_go(connection)
        return True

    def _accept(self) -> None:
        assert self._control is not None
        try:
            sock, _ = self._control.socket.accept()
        except OSError:
            return
        self._take(sock)

    def _take(self, sock: socket.socket) -> None:
        sock.setblocking(False)
        if len(self._connections) >= MOST_CONNECTIONS:
            sock.close()
            return
        connection = ControlConnection(sock)
        self._connections[sock.fileno()] = connection
        self._poll.add(sock.fileno(), lambda: self._receive(connection))

    def _receive(self, connection: ControlConnection) -> None:
        if connection.write or connection.rest is not None:
            self._continue(connection)
            return
        try:
            data = connection.socket.recv(LONGEST_QUESTION)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        connection.read += data
        if not data or len(connection.read) > LONGEST_QUESTION:
            self._let_go(connection)
        elif b"\n" in data and not connection.asked:
            connection.asked, connection.deadline = True, None
            try:
                self._handler(connection, REQUESTS.decode(connection.read))
            except DecodeError as error:
                self.answer(connection, unknown(error))
            except Exception as error:  # a request must never be the end of a master that serves
                self.answer(connection, refusal(f"{type(error).__name__}: {error}"))

    def _refuse(self, connection: ControlConnection, request: Request) -> None:
        self.answer(connection, refusal("l7 is starting"))

    def _continue(self, connection: ControlConnection) -> None:
        """Send what is left, and make one more piece when that is nothing."""
        if not connection.write and connection.rest is not None:
            try:
                connection.write += next(connection.rest)
            except StopIteration:
                connection.rest = None
            except Exception as error:  # what was sent cannot be taken back: the end of it is missing
                words = f"an answer on the control socket was cut off: {type(error).__name__}: {error}"
                self._report(named("control.cut", words))
                self._let_go(connection)
                return
        self._send(connection)

    def _send(self, connection: ControlConnection) -> None:
        try:
            if connection.descriptor is None:
                sent = connection.socket.send(connection.write)
            else:
                sent = socket.send_fds(connection.socket, [connection.write], [connection.descriptor])
                connection.descriptor = None
        except BlockingIOError:
            sent = 0
        except OSError:
            self._let_go(connection)
            return
        del connection.write[:sent]
        if connection.write or connection.rest is not None:
            self._poll.want(connection.socket.fileno(), WRITE)
        else:
            self._let_go(connection)

    def _let_go(self, connection: ControlConnection) -> None:
        descriptor = connection.socket.fileno()
        if self._connections.pop(descriptor, None) is not None:
            self._poll.drop(descriptor)
            connection.socket.close()
