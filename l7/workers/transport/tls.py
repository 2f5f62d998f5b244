"""TLS below a stream, for either side: the standard library's ``ssl`` over two buffers in memory, without a thread.

The system calls are those of the plain transport: what one receive brings is decrypted as a whole, what one send takes
is encrypted before it. Records are told apart here, by their length, so that ``ssl`` is asked only when a whole one is
there: that it wants more would be an exception each time. What comes and goes is cut so that no more than `MOST` bytes
are held either way, and the buffers of OpenSSL, which never shrink, stay at one record.

How a connection ends is told apart: by close_notify, or cut off (``truncated``); `shutdown` ends by close_notify, and
`close` without it. The tickets of TLS 1.3 are sent with the first bytes of an answer: a client that never reads would
make a send of their own fail.

A server shakes hands while its stream is idle: the loop calls `TlsTransport.peek`, and there is no greenlet. A client
calls `l7.workers.transport.tls_handshake.handshake`.
"""

from __future__ import annotations

import ssl
from _socket import socket as Socket
from typing import Any

from gevent import get_hub

from l7.tls.failures import CLOSED, HTTP, NOT_TLS, TlsFailure, failure_of
from l7.workers.transport import socket_calls
from l7.workers.transport.plain import PlainTransport
from l7.workers.transport.tls_handshake import HandshakeObserver
from l7.workers.transport.tls_records import HANDSHAKE, LONGEST, RECORD, RecordReader

MOST = 5 * RECORD
"""Bytes in one receive, in one send, and so what is held of either direction."""


class TlsTransport(PlainTransport):
    """Bytes in TLS. Give ``observer`` for a server; ``server_name`` and ``session`` are for clients."""

    __slots__ = (
        "_began", "_failure", "_fd", "_flusher", "_held", "_incoming", "_observer", "_outgoing",
        "_over", "_owed", "_plain", "_records", "_shut", "_tls", "_unsent", "clear_text", "established", "ssl_object",
    )  # fmt: skip

    def __init__(
        self,
        sock: Socket,
        context: ssl.SSLContext,
        observer: HandshakeObserver | None = None,
        server_name: str | None = None,
        session: ssl.SSLSession | None = None,
    ) -> None:
        super().__init__(sock)
        self.can_splice = self.can_detach = False
        self.established = False
        """Whether the handshake is complete."""
        self.clear_text = b""
        """What came of a client that does not speak TLS, but something that looks like HTTP."""
        self._fd = sock.fileno()
        self._observer = observer
        self._incoming = incoming = ssl.MemoryBIO()
        self._records = RecordReader(incoming)
        self._outgoing = ssl.MemoryBIO()
        self.ssl_object = context.wrap_bio(incoming, self._outgoing, observer is not None, server_name, session)
        """What tells version, cipher, certificate and session: ask after the handshake, and keep the answer."""
        self._tls: ssl.SSLObject = getattr(self.ssl_object, "_sslobj", self.ssl_object)
        """What does the work below ``ssl_object``: asked directly, it is one call of Python less."""
        self._began = False
        """Whether anything has come."""
        self._plain = b""
        """Bytes decrypted and not yet received."""
        self._over = False
        """Whether nothing more comes: the peer has ended, was cut off, or ``_failure`` says what happened."""
        self._failure: TlsFailure | None = None
        self._unsent: bytes | memoryview = b""
        """Records that the system did not take."""
        self._owed = 0
        """Bytes of the data to be sent that are in them."""
        self._held = 0
        """Bytes in ``_outgoing`` that wait for company: tickets."""
        self._shut = False
        """Whether the socket is to be shut down behind what is unsent."""
        self._flusher: Any = None

    # --- receiving ----------------------------------------------------------------------------------------------------

    def recv(self, size: int) -> bytes:
        """At most ``size`` bytes; empty at the end. Raises ``BlockingIOError``, and ``OSError`` for what went wrong."""
        if not self._plain:
            if not self._over:
                self._pull()
            if not self._plain:
                if not self._over:
                    raise BlockingIOError
                if self._failure is not None:
                    raise TlsFailure(str(self._failure), self._failure.label, self._failure.code)
                return b""
        data = self._plain
        if len(data) > size:
            self._plain = data[size:]
            data = data[:size]
        else:
            self._plain = b""
        self.pending = len(self._plain) or int(self._over)
        return data

    def peek(self) -> bool:
        """Receive and decrypt once, or go on with the handshake; returns whether there is something for `recv`."""
        if not self.pending:
            if not self.established and self._observer is not None and not self._observer.may_step(self):
                return False
            shakes = not self.established
            try:
                self._pull()
            except BlockingIOError:
                return False
            except OSError as failure:  # the system tells of it once
                self._fail(TlsFailure(failure.strerror or "connection lost", CLOSED))
            if shakes and self.established and self._observer is None:
                return True  # a greenlet waits for that
        return self.pending > 0

    def _pull(self) -> None:
        """Receive once, and decrypt all that is whole. Raises ``OSError`` of the socket, and of nothing else."""
        data = socket_calls.receive(self._fd, MOST)
        if not data:
            self._cut()
        elif self.established:
            self._decrypt(data)
        else:
            self._shake(data)
        self.pending = len(self._plain) or int(self._over)

    def _cut(self) -> None:
        """The socket has ended, and close_notify did not come."""
        self._over = True
        if self.established:
            self.truncated = True
        else:
            self._fail(TlsFailure("closed within the TLS handshake", CLOSED))

    def _decrypt(self, data: bytes) -> None:
        records = self._records
        place, end = 0, len(data)
        pieces = []
        while place < end and not self._over:
            place = records.feed(data, place)
            if not records.missing and (piece := self._read(records.size)):
                pieces.append(piece)
        self._plain = pieces[0] if len(pieces) == 1 else b"".join(pieces)
        if self._outgoing.pending > self._held:
            self._flush_soon()

    def _read(self, size: int = LONGEST) -> bytes:
        """What the next record holds; empty for one that is about something else, and at the end."""
        try:
            data = self._tls.read(size)
        except ssl.SSLWantReadError:
            return b""
        except ssl.SSLZeroReturnError:
            data = b""
        except ssl.SSLError as error:
            self._fail(failure_of(error))
            return b""
        if not data:
            self._over = True
        return data

    # --- the handshake ------------------------------------------------------------------------------------------------

    def proceed(self) -> None:
        """Send the first message of a client, or see what came of the others. Raises `TlsFailure`."""
        if not self._began:
            self._began = True
            self._step()
        if self._failure is not None and not self.established:
            raise self._failure

    def _shake(self, data: bytes) -> None:
        """Go on with the handshake; with data that follow it, too."""
        if not self._began and self._observer is not None and self._is_strange(data):
            return
        place, end, whole = 0, len(data), False
        while place < end:
            place = self._records.feed(data, place)
            whole = whole or not self._records.missing
        if whole:
            self._step()
        if self.established:
            pieces = []
            while self._incoming.pending and not self._over and (piece := self._read()):
                pieces.append(piece)
            self._plain = b"".join(pieces)
            if self._outgoing.pending > self._held:
                self._flush_soon()
            if not pieces and self._observer is not None:
                self.acknowledge()  # a client that had the last word may hold back its request

    def _is_strange(self, data: bytes) -> bool:
        """Whether the first bytes of a client are not those of TLS."""
        self._began = True
        if data[0] == HANDSHAKE:
            return False
        if 65 <= data[0] <= 90:
            self.clear_text = data
            self._fail(TlsFailure("plain HTTP on a port that speaks TLS", HTTP))
        else:
            self._fail(TlsFailure("what came is not TLS", NOT_TLS))
        return True

    def _step(self) -> None:
        try:
            self.ssl_object.do_handshake()
        except ssl.SSLWantReadError:
            self._flush_soon()
            return
        except ssl.SSLError as error:
            self._flush_soon()  # the alert
            self._fail(failure_of(error))
            return
        except ValueError as error:  # a name that cannot be one
            self._fail(TlsFailure(f"TLS: {error}"))
            return
        self.established = True
        if self._observer is None or self.ssl_object.version() != "TLSv1.3":
            self._flush_soon()
        else:
            self._held = self._outgoing.pending
        if self._observer is not None:
            self._observer.established(self)

    def _fail(self, failure: TlsFailure) -> None:
        """Nothing more comes, for this reason."""
        early = self._failure is None and not self.established
        self._failure = failure.with_traceback(None)
        self._over = True
        self.pending = len(self._plain) or 1
        if self._outgoing.pending > self._held:
            self._flush_soon()
        if early and self._observer is not None:
            self._observer.failed(self, failure)

    # --- sending ------------------------------------------------------------------------------------------------------

    def send(self, data: bytes | bytearray | memoryview) -> int:
        """Encrypt and send, never more than `MOST` bytes ahead of what the socket takes; raises as the plain one."""
        size = len(data)
        if not 0 < size <= RECORD or self._owed or self._unsent:
            return self._send_more(data)
        self._unsent = self._encrypt(data)
        if not self._empty():
            self._owed = size
            raise BlockingIOError
        return size

    def _send_more(self, data: bytes | bytearray | memoryview) -> int:
        """As `send`, for more than a record, nothing at all, or behind what is unsent."""
        sent = 0
        if self._unsent or self._owed:
            if not self._flush():
                raise BlockingIOError
            sent = min(self._owed, len(data))
            self._owed = 0
        view = memoryview(data)
        size = len(view)
        while sent < size:
            end = min(sent + MOST, size)
            records = [self._encrypt(view[place : min(place + RECORD, end)]) for place in range(sent, end, RECORD)]
            if not self._send_records(records):
                self._owed = end - sent
                if not sent:
                    raise BlockingIOError
                break
            sent = end
        return sent

    def _encrypt(self, data: bytes | bytearray | memoryview) -> bytes:
        """A record of ``data``, behind what TLS itself has to say. Raises `TlsFailure`."""
        if not self.established or self._shut:
            raise TlsFailure("closed here" if self._shut else "no TLS handshake yet")
        try:
            self._tls.write(data)
        except ssl.SSLError as error:
            raise failure_of(error) from None
        self._held = 0
        return self._outgoing.read()

    def _send_records(self, records: list[bytes]) -> bool:
        """Send ``records``; returns whether all of them have left. Raises ``OSError``."""
        try:
            sent = socket_calls.send_pieces(self._fd, records)
        except BlockingIOError:
            sent = 0
        if sent == sum(map(len, records)):
            return True
        self._unsent = memoryview(b"".join(records))[sent:]
        return self._empty()

    def _flush(self) -> bool:
        """Send what is unsent; returns whether all of it has left. Raises ``OSError``."""
        if self._outgoing.pending:
            more = self._outgoing.read()
            self._held = 0
            self._unsent = b"".join((self._unsent, more)) if self._unsent else more
        return self._empty()

    def _empty(self) -> bool:
        """As `_flush`, without what TLS has to say itself."""
        while self._unsent:
            try:
                sent = socket_calls.send(self._fd, self._unsent)
            except BlockingIOError:
                if len(self._unsent) > 2 * MOST:
                    raise TlsFailure("asks and asks, and takes no answer") from None
                return False
            self._unsent = b"" if sent == len(self._unsent) else memoryview(self._unsent)[sent:]
        return True

    def _flush_soon(self) -> None:
        """Send what TLS itself has to say: now, or when the socket takes it."""
        try:
            done = self._flush()
        except OSError as failure:
            self._unsent = b""
            if not self._over:
                self._fail(failure if isinstance(failure, TlsFailure) else TlsFailure(failure.strerror or "", CLOSED))
            return
        if not done and self._flusher is None and self._fd >= 0:
            self._flusher = get_hub().loop.io(self._fd, 2)
            self._flusher.start(self._on_writable)

    def _on_writable(self) -> None:
        try:
            if not self._flush():
                return
            if self._shut:
                PlainTransport.shutdown(self)
        except OSError:  # who receives or sends is told
            pass
        self._stop_flusher()

    def _stop_flusher(self) -> None:
        if self._flusher is not None:
            self._flusher.stop()
            self._flusher.close()
            self._flusher = None

    @property
    def has_unsent(self) -> bool:
        """Whether the socket has not taken all that was sent, close_notify included."""
        return bool(self._unsent)

    def shutdown(self) -> None:
        """Send close_notify, and end what is sent; where the socket takes nothing now, as soon as it does."""
        if self._shut:
            return
        self._shut = True
        if self.established and self._failure is None:
            try:
                self.ssl_object.unwrap()
            except (ssl.SSLError, ValueError):  # it waits for the peer's, or that has ended already
                pass
        if self._outgoing.pending > self._held or self._unsent:
            self._flush_soon()
        if not self._unsent:
            PlainTransport.shutdown(self)

    def close(self) -> None:
        """Let the socket go, without close_notify."""
        self._stop_flusher()
        self._fd = -1
        PlainTransport.close(self)
