"""TLS below a stream: handshakes, bytes cut anywhere, back-pressure, and how a connection ends."""

from __future__ import annotations

import ssl
from collections.abc import Callable

import gevent
import pytest
from gevent import socket as green

from l7.clock import monotonic
from l7.tls.failures import ALL_LABELS, TlsFailure, words_of
from l7.workers.transport.stream import NEVER, StreamLost, StreamTimeout
from l7.workers.transport.tls import MOST, TlsTransport
from l7.workers.transport.tls_handshake import handshake
from tests.workers.loop import TIMEOUT, Ends, turn, until
from tests.workers.tls_ends import NAME, Observer, TlsPeer, client_context, server_context

VERSIONS = [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3]
DATA = bytes(range(251)) * 1500


class Served:
    """A server's stream and its client."""

    def __init__(self, ends: Ends, version: ssl.TLSVersion = ssl.TLSVersion.TLSv1_3, buffer: int = 0) -> None:
        self.observer = Observer()
        context = server_context(version=version)
        self.stream, sock = ends.pair(
            tcp=not buffer, buffer=buffer, transport=lambda ours: TlsTransport(ours, context, self.observer)
        )
        self.stream.deadline = monotonic() + TIMEOUT
        self.peer = TlsPeer(sock, client_context())

    @property
    def transport(self) -> TlsTransport:
        assert isinstance(self.stream.transport, TlsTransport)
        return self.stream.transport

    def shake(self) -> Served:
        self.peer.shake()
        until(lambda: self.observer.done or self.observer.failures, "the handshake")
        return self


@pytest.fixture(params=VERSIONS, ids=lambda version: version.name)
def served(ends: Ends, request: pytest.FixtureRequest) -> Callable[..., Served]:
    """Makes servers of each version."""
    return lambda **kind: Served(ends, request.param, **kind)


def test_both_ends_understand_each_other(served):
    one = served().shake()
    one.peer.send(b"GET")
    assert one.stream.receive() == b"GET"
    one.stream.send(b"answer", TIMEOUT)
    assert one.peer.receive() == b"answer"
    assert one.observer.done == [one.transport] and not one.observer.failures


@pytest.mark.parametrize("cut", [1, 7, 1000])
def test_bytes_may_be_cut_anywhere(served, cut):
    one = served()
    one.peer.cut = cut
    one.shake()
    shaken = gevent.spawn(one.peer.send, DATA[: 4000 + cut])
    got = b""
    while len(got) < 4000 + cut:
        got += one.stream.receive(999)
    assert got == DATA[: 4000 + cut]
    shaken.get()


def test_a_part_of_a_record_is_nothing_yet(served):
    one = served().shake()
    one.peer.tls.write(b"hello")
    whole = one.peer._outgoing.read()
    for byte in whole[:-1]:
        one.peer.sock.sendall(bytes((byte,)))
        turn(2)
        assert not one.stream.ready and not one.stream.has_bytes() and one.stream.take() is None
    one.peer.sock.sendall(whole[-1:])
    until(lambda: one.stream.ready)
    assert one.stream.take() == b"hello"


def test_many_records_in_one_receive_are_all_received(served):
    one = served().shake()
    one.peer.send(DATA[:5000], 10)
    got = b""
    while len(got) < 5000:
        got += one.stream.receive(777)
    assert got == DATA[:5000] and not one.transport.pending
    assert one.stream.take() is None


def test_what_comes_with_the_end_of_the_handshake_is_received(ends):
    one = Served(ends)
    peer = one.peer
    with pytest.raises(ssl.SSLWantReadError):
        peer.tls.do_handshake()
    peer.flush()
    peer._incoming.write(peer.sock.recv(65536))
    peer.tls.do_handshake()
    peer.tls.write(b"early ")
    peer.tls.write(b"bird")
    peer.flush()  # Finished and data in one segment
    assert one.stream.receive() == b"early bird"


def test_no_exception_is_raised_for_what_is_normal(served):
    """That `ssl` wants more is one: it is asked when there is a whole record, and not before."""
    one = served().shake()
    noting = one.transport._tls = _Noting(one.transport._tls)
    one.peer.send(b"one")
    assert one.stream.receive() == b"one"
    one.stream.send(b"two", TIMEOUT)
    one.peer.send(DATA[:20000])
    got = b""
    while len(got) < 20000:
        got += one.stream.receive()
    assert noting.asked and not any(noting.asked)


class _Noting:
    """What reads and writes for a transport, with what each read ended with."""

    def __init__(self, tls: ssl.SSLObject) -> None:
        self.write = tls.write
        self.asked: list[ssl.SSLError | None] = []
        self._read = tls.read

    def read(self, size: int) -> bytes:
        try:
            data = self._read(size)
        except ssl.SSLError as error:
            self.asked.append(error)
            raise
        self.asked.append(None)
        return data


def test_tickets_travel_with_the_first_answer(ends):
    """A client that never reads would make a send of their own fail."""
    one = Served(ends).shake()
    one.peer.send(b"GET")
    one.stream.receive()
    one.peer.sock.setblocking(False)
    with pytest.raises(BlockingIOError):
        one.peer.sock.recv(1)
    one.peer.sock.settimeout(TIMEOUT)
    one.stream.send(b"answer", TIMEOUT)
    assert one.peer.receive() == b"answer" and one.peer.tls.session is not None
    assert one.peer.tls.session.has_ticket


def test_a_large_answer_waits_for_a_slow_client(served):
    one = served(buffer=4096).shake()
    transport = one.transport
    sending = gevent.spawn(one.stream.send, DATA, TIMEOUT)
    turn(10)
    assert not sending.ready()
    assert len(transport._unsent) + transport._outgoing.pending <= MOST + 4096
    assert one.peer.read(len(DATA)) == DATA
    sending.get(timeout=TIMEOUT)


def test_a_short_piece_that_the_socket_did_not_take_is_sent_once(served):
    one = served(buffer=4096).shake()
    piece = DATA[:9000]
    sent = 1
    while one.stream.send_some(piece):
        sent += 1
    assert one.transport._owed == len(piece)
    reading = gevent.spawn(one.peer.read, sent * len(piece))
    one.stream.send(piece, TIMEOUT)  # it begins with what is owed
    one.stream.finish_sending()
    assert reading.get(timeout=TIMEOUT) == sent * piece
    assert one.peer.receive() == b"" and not one.peer.truncated


def test_what_a_slow_stream_does_not_take_stays_in_the_socket(served):
    one = served(buffer=4096).shake()
    one.peer.sock.setsockopt(green.SOL_SOCKET, green.SO_SNDBUF, 4096)
    one.stream.socket.setsockopt(green.SOL_SOCKET, green.SO_RCVBUF, 4096)
    sending = gevent.spawn(one.peer.send, DATA)
    until(lambda: one.stream.ready)
    turn(10)
    assert one.transport.pending <= MOST and not sending.ready()
    got = b""
    while len(got) < len(DATA):
        got += one.stream.receive()
    assert got == DATA
    sending.get()


def test_both_directions_flow_at_once(served):
    one = served(buffer=4096).shake()
    tasks = [gevent.spawn(one.stream.send, DATA, TIMEOUT), gevent.spawn(one.peer.send, DATA)]
    got = b""
    while len(got) < len(DATA):
        got += one.stream.receive()
    assert got == DATA
    tasks[1].get(timeout=TIMEOUT)  # the peer's buffers are used by one greenlet at a time
    assert one.peer.read(len(DATA)) == DATA
    tasks[0].get(timeout=TIMEOUT)


# --- ends -----------------------------------------------------------------------------------------------------------


def test_close_notify_is_an_end(served):
    one = served().shake()
    one.peer.send(b"last")
    one.peer.end()
    assert [one.stream.receive(), one.stream.receive(), one.stream.receive()] == [b"last", b"", b""]
    assert not one.transport.truncated
    one.stream.send(b"answer", TIMEOUT)  # it has only half-closed


@pytest.mark.parametrize("missing", [0, 1, 5])
def test_a_cut_is_told_from_an_end(served, missing):
    one = served().shake()
    one.peer.send(b"last")
    if missing:
        one.peer.tls.write(b"never whole")
        one.peer.sock.sendall(one.peer._outgoing.read()[:-missing])
    one.peer.sock.shutdown(green.SHUT_WR)
    assert one.stream.receive() == b"last"
    assert one.stream.receive() == b"" and one.transport.truncated


def test_the_peer_sees_our_end_and_can_still_be_read(served):
    one = served().shake()
    one.stream.send(b"answer", TIMEOUT)
    one.stream.finish_sending()
    assert one.peer.receive() == b"answer" and one.peer.receive() == b"" and not one.peer.truncated
    one.peer.send(b"more")
    assert one.stream.receive() == b"more"
    one.peer.end()
    assert one.stream.receive() == b"" and not one.transport.truncated


def test_the_peer_sees_a_cut(served):
    one = served().shake()
    one.stream.send(b"answer", TIMEOUT)
    one.stream.close()
    assert one.peer.receive() == b"answer" and one.peer.receive() == b"" and one.peer.truncated


def test_the_end_waits_behind_what_the_socket_did_not_take(served):
    one = served(buffer=4096).shake()
    sent = 0
    while sent < len(DATA):  # whole slices only; the last one waits here in its other form
        taken = one.stream.send_some(DATA[sent:])
        if not taken:
            break
        sent += taken
    assert one.transport._owed
    one.stream.finish_sending()
    got = one.peer.read(len(DATA))
    assert got == DATA[: sent + MOST] and not one.peer.truncated


def test_a_reset_is_told(served):
    one = served().shake()
    one.peer.sock.setsockopt(green.SOL_SOCKET, green.SO_LINGER, b"\1\0\0\0\0\0\0\0")
    one.peer.sock.close()
    with pytest.raises(StreamLost, match="reset"):
        one.stream.receive()


def test_a_broken_record_ends_the_connection_with_an_alert(served):
    one = served().shake()
    one.peer.send(b"good")
    one.peer.tls.write(b"bad")
    data = bytearray(one.peer._outgoing.read())
    data[-1] ^= 1
    one.peer.sock.sendall(data)
    assert one.stream.receive() == b"good"
    with pytest.raises(StreamLost, match="bad record mac"):
        one.stream.receive()
    with pytest.raises(ssl.SSLError, match="BAD_RECORD_MAC"):
        one.peer.receive()


def test_a_flood_of_questions_without_an_ear_for_answers_ends(ends):
    """Renegotiation is refused each time: the refusals are not piled up without bound."""
    one = Served(ends, ssl.TLSVersion.TLSv1_2, buffer=4096).shake()
    one.transport._unsent = b"x" * (3 * MOST)
    one.transport._flush_soon()
    assert one.transport._failure is not None and not one.transport._unsent


# --- handshakes -----------------------------------------------------------------------------------------------------


def test_plain_http_is_recognised(ends):
    one = Served(ends)
    one.peer.sock.sendall(b"GET / HTTP/1.1\r\n\r\n")
    until(lambda: one.observer.failures)
    assert [failure.label for failure in one.observer.failures] == ["http_request"]
    assert one.transport.clear_text.startswith(b"GET")
    with pytest.raises(StreamLost, match="plain HTTP"):
        one.stream.receive()


@pytest.mark.parametrize("data", [b"\x80\x2e\x01\x03\x01", b"\r\n\r\n\0", b"\0" * 70000, b"proxy"])
def test_what_is_no_tls_is_told(ends, data):
    one = Served(ends)
    one.peer.sock.sendall(data)
    until(lambda: one.observer.failures)
    assert one.observer.failures[0].label == "not_tls" and not one.transport.clear_text


@pytest.mark.parametrize(
    "data",
    [
        b"\x16\x03\x01\xff\xff" + b"x" * 70000,
        b"\x16\x03\x01\0\4" + b"\xff" * 4,
        b"\x16\x03\x01\0\5\1\xff\xff\xff\0",
        b"\x16\x03\x01\0\0" * 50,
        b"\x16\x09\x09\0\1\1",
    ],
)
def test_what_only_begins_as_tls_fails(ends, data):
    one = Served(ends)
    one.peer.sock.sendall(data)
    until(lambda: one.observer.failures)
    assert one.observer.failures[0].label in ALL_LABELS
    with pytest.raises(StreamLost):
        one.stream.receive()


def test_a_client_that_leaves_within_the_handshake_is_counted_once(ends):
    one = Served(ends)
    one.peer.sock.sendall(b"\x16\x03\x01\x01\0")
    turn()
    one.peer.sock.close()
    until(lambda: one.observer.failures)
    assert [failure.label for failure in one.observer.failures] == ["closed"]


def test_a_failed_handshake_is_told_to_the_peer(ends):
    one = Served(ends)
    context = client_context()
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    context.set_ciphers("ECDHE-ECDSA-AES128-GCM-SHA256")  # whatever the certificate is, one of the two cannot be
    one.transport.ssl_object.context.set_ciphers("ECDHE-RSA-AES256-GCM-SHA384")
    peer = TlsPeer(one.peer.sock, context)
    with pytest.raises(ssl.SSLError, match="HANDSHAKE_FAILURE"):
        peer.shake()
    assert [failure.label for failure in one.observer.failures] == ["no_shared_cipher"]


def test_a_client_that_rejects_the_certificate_is_counted(ends):
    one = Served(ends)
    peer = TlsPeer(one.peer.sock, ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT))
    with pytest.raises(ssl.SSLCertVerificationError):
        peer.shake()
    until(lambda: one.observer.failures)
    assert one.observer.failures[0].label == "certificate_rejected"
    assert "the peer says: unknown ca" in str(one.observer.failures[0])


def test_a_handshake_waits_until_it_may_go_on(ends):
    one = Served(ends)
    one.observer.allowed = False
    shaking = gevent.spawn(one.peer.shake)
    until(lambda: one.observer.asked > 3)
    assert not shaking.ready() and not one.transport._began
    one.observer.allowed = True
    shaking.get(timeout=TIMEOUT)


@pytest.mark.parametrize("version", VERSIONS)
def test_a_client_shakes_hands(ends, version):
    stream, sock = ends.pair(tcp=True, server=True)
    transport = stream.transport = TlsTransport(stream.socket, client_context(), server_name=NAME)
    peer = TlsPeer(sock, server_context(version=version), server=True)
    shaking = gevent.spawn(peer.shake)
    handshake(stream, transport, TIMEOUT)
    shaking.get(timeout=TIMEOUT)
    assert stream.deadline == NEVER and not stream.ready
    stream.send(b"GET", TIMEOUT)
    assert peer.receive() == b"GET"
    peer.send(b"answer")
    stream.deadline = monotonic() + TIMEOUT
    assert stream.receive() == b"answer"


def test_a_client_that_waits_in_vain_has_a_deadline(ends):
    stream, _ = ends.pair(tcp=True, server=True)
    transport = stream.transport = TlsTransport(stream.socket, client_context(), server_name=NAME)
    with pytest.raises(StreamTimeout):
        handshake(stream, transport, 0.05)


@pytest.mark.parametrize("name", ["other.example", NAME])
def test_a_client_is_told_why_it_does_not_trust(ends, name):
    trusting = client_context() if name != NAME else ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    stream, sock = ends.pair(tcp=True, server=True)
    transport = stream.transport = TlsTransport(stream.socket, trusting, server_name=name)
    peer = TlsPeer(sock, server_context(), server=True)
    shaking = gevent.spawn(_swallow, peer.shake)
    with pytest.raises(TlsFailure, match=r"(?i)hostname mismatch|local issuer certificate") as told:
        handshake(stream, transport, TIMEOUT)
    assert told.value.code
    shaking.get(timeout=TIMEOUT)


def _swallow(call: Callable[[], object]) -> None:
    try:
        call()
    except (OSError, ssl.SSLError):
        pass


def test_a_stream_that_is_closed_holds_no_watcher(served):
    one = served(buffer=4096).shake()
    sending = gevent.spawn(one.stream.send, DATA, TIMEOUT)
    turn(5)
    one.stream.finish_sending()
    one.stream.close()
    with pytest.raises(StreamLost):
        sending.get(timeout=TIMEOUT)
    assert one.transport._flusher is None


def test_reasons_are_words():
    assert words_of("TLSV1_ALERT_UNKNOWN_CA") == "the peer says: unknown ca"
    assert words_of("NO_SHARED_CIPHER") == "no shared cipher"
    assert words_of(None) == "failed"
