"""Compression in streams, end to end: what clients get, decompressed by the libraries themselves, is what was sent."""

from __future__ import annotations

import hashlib
import json
import random
import re
import threading
import time
import zlib
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from l7.config.codings import library
from tests.harness.client import Client, Response, get, request
from tests.harness.l7process import L7Process
from tests.harness.origin import Origin, Reply, Request
from tests.harness.stage import Play, Stage

L7 = Callable[..., L7Process]
Origins = Callable[..., Origin]
Connect = Callable[..., Client]

CONFIG = """
timeouts: {{write: 5s}}
defaults: {{ejection: off}}
backends:
  '*': {{servers: ['{address}'], compress: true}}
  gzip: {{servers: ['{address}'], compress: [gzip], sticky: {{cookie: stick}}}}
  gzip/below: {{servers: ['{address}']}}
  gzip/off: {{servers: ['{address}'], compress: off}}
  plain: {{servers: ['{address}']}}
  fixed: {{respond: {{type: text/html, body: "FIXED"}}, compress: true}}
  away: {{servers: ['127.0.0.1:1'], compress: true, error-pages: {{502: PAGE}}, retry-for: 0s}}
  stripped: {{servers: ['{address}'], compress: true, request-headers: {{remove: [Accept-Encoding]}}}}
  set: {{servers: ['{address}'], compress: true, response-headers: {{set: {{Cache-Control: no-transform}}}}}}
"""
CODINGS = ("gzip", "br", "zstd")
JSON = (b"Content-Type", b"application/json; charset=utf-8")
HTML = (b"Content-Type", b"text/html")
FIXED = "<p>fixed" * 500
PAGE = "<p>Be patient" * 300
STREAM = b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nTransfer-Encoding: chunked\r\n\r\n"
TAG = (b"ETag", b'"v1"')


def document(size: int = 20_000) -> bytes:
    """JSON of this size, as compressible as real one."""
    draw = random.Random(7)
    rows = [{"id": number, "name": f"u{draw.randrange(10**6)}", "on": True} for number in range(size // 20)]
    return json.dumps(rows).encode()[:size]


BODY = document()


@pytest.fixture(scope="module")
def running(spoken: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    """One l7 for all tests, with an error page."""
    path = tmp_path_factory.mktemp("pages") / "502.html"
    path.write_text(PAGE)
    with Stage(CONFIG.replace("PAGE", str(path)).replace("FIXED", FIXED)) as stage:
        yield stage


def decompress(coding: str, data: bytes) -> bytes:
    """Fails for a stream without its end."""
    if coding == "gzip":
        stream = zlib.decompressobj(31)
        plain = stream.decompress(data)
        assert stream.eof and not stream.unused_data
        return plain
    module: Any = library(coding)
    return bytes(module.decompress(data))


def reader(coding: str) -> Callable[[bytes], bytes]:
    """Decompresses what has come so far."""
    module: Any = library(coding)
    if coding == "gzip":
        return zlib.decompressobj(31).decompress
    return module.ZstdDecompressor().decompress if coding == "zstd" else module.Decompressor().process  # type: ignore[no-any-return]


def fetch(play: Play, accepted: str | None = "gzip", target: str = "/", **options: Any) -> Response:
    headers = [*options.pop("headers", []), *([("Accept-Encoding", accepted)] if accepted is not None else [])]
    return request(play.port, options.pop("method", "GET"), target, headers=headers, **options)


def chunk(client: Client) -> bytes:
    """The data of the next chunk."""
    line = b""
    while not line.endswith(b"\r\n"):
        line += client.read_exactly(1)
    return client.read_exactly(int(line, 16) + 2)[:-2]


def replying(reply: Reply) -> Callable[[Request], Reply]:
    return lambda request: reply


# ------------------------------------------------------------------------------------------------ answers


@pytest.mark.parametrize("coding", CODINGS)
@pytest.mark.parametrize("framing", ["length", "chunked", "close"])
@pytest.mark.parametrize("size", [1024, 20_000, 400_000])
def test_an_answer_is_compressed(play: Play, coding: str, framing: str, size: int) -> None:
    body = document(size)
    pieces = body if framing == "length" else [body[at : at + 7000] for at in range(0, size, 7000)]
    play(replying(Reply(headers=[JSON, TAG, (b"Accept-Ranges", b"bytes")], body=pieces, framing=framing)))
    answer = fetch(play, coding)
    assert answer.status == 200 and answer.complete
    assert answer.header(b"content-encoding") == coding.encode()
    assert answer.header(b"vary") == b"Accept-Encoding" and answer.header(b"etag") == b'W/"v1"'
    assert not answer.values(b"accept-ranges")
    assert decompress(coding, answer.body) == body
    assert len(answer.body) < size * 2 / 3
    assert answer.framing in ("length", "chunked")


def test_an_answer_that_comes_whole_keeps_a_length(play: Play) -> None:
    play(replying(Reply(headers=[JSON], body=BODY)))
    answer = fetch(play)
    assert answer.framing == "length" and decompress("gzip", answer.body) == BODY


@pytest.mark.parametrize(
    ("accepted", "expected"),
    [
        (None, None), ("", None), ("identity", None), ("deflate", None), ("gzip;q=0", None), ("*", b"zstd"),
        ("gzip, deflate, br, zstd", b"zstd"), ("gzip, deflate, br", b"br"), ("br;q=0.1, gzip;q=0.9", b"gzip"),
        ("identity;q=0", None), ("nonsense;q=x, gzip", b"gzip"),
    ],
)  # fmt: skip
def test_the_client_chooses(play: Play, accepted: str | None, expected: bytes | None) -> None:
    play(replying(Reply(headers=[JSON, TAG], body=BODY)))
    answer = fetch(play, accepted)
    assert answer.header(b"content-encoding") == expected
    assert answer.header(b"vary") == b"Accept-Encoding"
    if expected is None:
        assert (answer.body, answer.header(b"etag")) == (BODY, b'"v1"')
    else:
        assert decompress(expected.decode(), answer.body) == BODY


def test_a_route_has_its_own_codings_and_another_none(play: Play) -> None:
    play(replying(Reply(headers=[JSON], body=BODY)))
    assert fetch(play, "br, gzip, zstd", host="gzip").header(b"content-encoding") == b"gzip"
    answer = fetch(play, "br, gzip, zstd", host="plain")
    assert not answer.values(b"content-encoding") and not answer.values(b"vary") and answer.body == BODY


def test_a_path_has_what_its_host_has(play: Play) -> None:
    play(replying(Reply(headers=[JSON], body=BODY)))
    assert fetch(play, "br, gzip", target="/below/x", host="gzip").header(b"content-encoding") == b"gzip"
    assert not fetch(play, "br, gzip", target="/off/x", host="gzip").values(b"content-encoding")


def test_what_the_server_is_not_told_l7_knows(play: Play) -> None:
    """The habit of nginx: servers are kept from compressing, and the proxy does."""
    app = play(replying(Reply(headers=[JSON], body=BODY)))
    answer = fetch(play, "br", host="stripped")
    assert not app.requests[0].values(b"accept-encoding") and answer.header(b"content-encoding") == b"br"


def test_rules_about_the_answer_come_first(play: Play) -> None:
    play(replying(Reply(headers=[JSON], body=BODY)))
    assert not fetch(play, host="set").values(b"content-encoding")


@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_what_l7_answers_itself_is_compressed_too(play: Play, method: str) -> None:
    answers = [fetch(play, "gzip", host="fixed", method=method) for _ in range(2)]
    for answer in answers:
        assert answer.header(b"content-encoding") == b"gzip" and answer.header(b"vary") == b"Accept-Encoding"
        assert answer.header(b"content-type") == b"text/html; charset=utf-8"
        if method == "GET":
            assert decompress("gzip", answer.body) == FIXED.encode()
    plain = fetch(play, None, host="fixed", method=method)
    assert plain.header(b"vary") == b"Accept-Encoding" and plain.header(b"content-length") == b"4000"


def test_error_pages_are_compressed(play: Play) -> None:
    answer = fetch(play, "br", host="away")
    assert answer.status == 502 and decompress("br", answer.body) == PAGE.encode()


def test_the_cookie_for_sticky_connections_is_no_secret(play: Play) -> None:
    play(replying(Reply(headers=[JSON], body=BODY)))
    answer = fetch(play, host="gzip")
    assert answer.values(b"set-cookie") and answer.header(b"content-encoding") == b"gzip"


@pytest.mark.parametrize(
    "reply",
    [
        Reply(headers=[(b"Content-Type", b"image/png")], body=BODY),
        Reply(headers=[(b"Content-Type", b"text/event-stream")], body=BODY),
        Reply(headers=[JSON], body=BODY[:1023]),
        Reply(headers=[JSON, (b"Content-Encoding", b"br")], body=BODY),
        Reply(headers=[JSON, (b"Cache-Control", b"no-transform")], body=BODY),
        Reply(headers=[JSON, (b"Set-Cookie", b"session=secret")], body=BODY),
        Reply(headers=[JSON, TAG, (b"Content-Range", b"bytes 0-19999/90000")], status=206, body=BODY),
        Reply(headers=[TAG], status=204, framing="none"),
        Reply(body=BODY),
    ],
    ids=["image", "events", "small", "coded", "no-transform", "cookie", "range", "no-content", "no-type"],
)  # fmt: skip
def test_these_stay_as_they_are(play: Play, reply: Reply) -> None:
    play(replying(reply))
    answer = fetch(play, "gzip", headers=[("Range", "bytes=0-19999")] if reply.status == 206 else [])
    sent = [value for name, value in reply.headers if name == b"Content-Encoding"]
    assert answer.values(b"content-encoding") == sent
    assert answer.body == reply.body and not answer.values(b"vary")
    assert answer.values(b"etag") == [value for name, value in reply.headers if name == b"ETag"]


def test_a_body_that_does_not_shrink_goes_on_as_it_is(play: Play) -> None:
    noise = random.Random(1).randbytes(4000)
    play(replying(Reply(headers=[JSON, TAG], body=noise)))
    answer = fetch(play)
    assert answer.body == noise and not answer.values(b"content-encoding")
    assert (answer.header(b"etag"), answer.header(b"vary")) == (b'"v1"', b"Accept-Encoding")


def test_a_chunked_body_that_turns_out_to_be_small(play: Play) -> None:
    play(lambda request: STREAM + b"2\r\nok\r\n0\r\n\r\n")
    answer = fetch(play)
    assert answer.body == b"ok" and not answer.values(b"content-encoding")


def test_failures_of_the_application_are_compressed(play: Play) -> None:
    play(replying(Reply(status=422, headers=[JSON], body=BODY)))
    answer = fetch(play)
    assert answer.status == 422 and decompress("gzip", answer.body) == BODY


def test_an_http_1_0_client_gets_it_plain(play: Play) -> None:
    play(replying(Reply(headers=[JSON], body=[BODY], framing="chunked")))
    client = play.connect()
    client.send(b"GET / HTTP/1.0\r\nHost: a\r\nAccept-Encoding: gzip\r\n\r\n")
    answer = client.read_response()
    assert (answer.body, answer.framing) == (BODY, "close") and answer.header(b"vary") == b"Accept-Encoding"


def test_the_server_is_asked_as_the_client_asked(play: Play) -> None:
    app = play(replying(Reply(headers=[JSON], body=BODY)))
    fetch(play, "gzip;q=0.7, br;q=0.1", headers=[("Range", "bytes=0-"), ("If-Range", '"x"')])
    assert app.requests[0].header(b"accept-encoding") == b"gzip;q=0.7, br;q=0.1"
    assert (app.requests[0].header(b"range"), app.requests[0].header(b"if-range")) == (b"bytes=0-", b'"x"')


def test_head_has_the_fields_of_get(play: Play) -> None:
    """RFC 9110, 9.3.2: but for those that only the content would tell."""
    play(replying(Reply(headers=[JSON, TAG], body=BODY)))
    answers = {}
    for method in ("GET", "HEAD"):
        answer = fetch(play, method=method)
        assert bool(answer.values(b"content-length")) is (method == "GET")  # of the answer as it came it would be wrong
        answers[method] = {name.lower(): value for name, value in answer.headers}
        answers[method].pop(b"date"), answers[method].pop(b"content-length", None)
    assert answers["HEAD"] == answers["GET"] and answers["HEAD"][b"content-encoding"] == b"gzip"
    plain = fetch(play, None, method="HEAD")
    assert plain.header(b"content-length") == b"%d" % len(BODY) and not plain.values(b"content-encoding")


def test_digests_of_other_bytes_are_left_out_also_from_trailers(play: Play) -> None:
    play(
        replying(
            Reply(
                headers=[JSON, (b"Content-Digest", b"sha-256=:x:"), (b"Trailer", b"X-Time, Repr-Digest")],
                body=[BODY],
                framing="chunked",
                trailers=[(b"X-Time", b"5"), (b"Repr-Digest", b"sha-256=:x:")],
            )
        )
    )
    client = play.connect()
    client.send(b"GET / HTTP/1.1\r\nHost: a\r\nTE: trailers\r\nConnection: TE\r\nAccept-Encoding: gzip\r\n\r\n")
    answer = client.read_response()
    assert decompress("gzip", answer.body) == BODY
    assert answer.trailers == [(b"X-Time", b"5")] and not answer.values(b"content-digest")


# ------------------------------------------------------------------------------------------------ entity tags


def test_a_client_with_the_weak_tag_gets_its_304(play: Play) -> None:
    """Also from a server that compares byte by byte; the 304 has the tag that the client knows."""

    def serve(request: Request) -> Reply:
        known = b"".join(request.values(b"if-none-match")).replace(b" ", b"").split(b",")
        return Reply(304, [TAG], framing="none") if b'"v1"' in known else Reply(headers=[JSON, TAG], body=BODY)

    app = play(serve)
    first = fetch(play)
    tag = first.header(b"etag")
    assert tag == b'W/"v1"'
    again = fetch(play, headers=[("If-None-Match", tag.decode())])
    assert app.requests[-1].header(b"if-none-match") == b'W/"v1", "v1"'
    assert (again.status, again.header(b"etag"), again.header(b"vary")) == (304, tag, b"Accept-Encoding")
    plain = fetch(play, None)
    assert plain.header(b"etag") == b'"v1"'
    again = fetch(play, None, headers=[("If-None-Match", '"v1"')])
    assert app.requests[-1].header(b"if-none-match") == b'"v1"'
    assert (again.status, again.header(b"etag"), again.header(b"vary")) == (304, b'"v1"', b"Accept-Encoding")


def test_a_client_that_changes_what_it_got_compressed_is_not_refused(play: Play) -> None:
    """If-Match is compared strongly (RFC 9110, 13.1.1): a weak tag alone never matches."""

    def serve(request: Request) -> Reply:
        tags = b"".join(request.values(b"if-match")).replace(b" ", b"").split(b",")
        return Reply(204, framing="none") if b'"v1"' in tags else Reply(412)

    play(serve)
    assert fetch(play, method="PUT", body=b"x", headers=[("If-Match", 'W/"v1"')]).status == 204
    assert fetch(play, method="PUT", body=b"x", headers=[("If-Match", 'W/"v2"')]).status == 412


# ------------------------------------------------------------------------------------------------ streams


@pytest.mark.parametrize("coding", CODINGS)
@pytest.mark.parametrize("framing", ["chunked", "close"])
def test_what_the_server_says_before_it_pauses_comes_at_once(play: Play, coding: str, framing: str) -> None:
    """Each event is answered by the client before the server says the next one."""

    def serve(request: Request) -> None:
        connection = request.connection
        chunked = b"Transfer-Encoding: chunked" if framing == "chunked" else b"Connection: close"
        connection.send(b"HTTP/1.1 200 OK\r\nContent-Type: application/x-ndjson\r\n" + chunked + b"\r\n\r\n")
        for number in range(5):
            event = b'{"event": %d}\n' % number
            connection.send(b"%x\r\n%s\r\n" % (len(event), event) if framing == "chunked" else event)
            seen[number].acquire(timeout=10)
        connection.send(b"0\r\n\r\n") if framing == "chunked" else connection.close()

    seen = [threading.Semaphore(0) for _ in range(5)]
    play(serve)  # type: ignore[arg-type]
    client = play.connect()
    client.send(f"GET / HTTP/1.1\r\nHost: a\r\nAccept-Encoding: {coding}\r\n\r\n".encode())
    head = client.read_head()
    assert head.header(b"content-encoding") == coding.encode() and head.header(b"transfer-encoding") == b"chunked"
    plain, read = b"", reader(coding)
    for number in range(5):
        while not plain.endswith(b'{"event": %d}\n' % number):
            plain += read(chunk(client))
        seen[number].release()
    assert plain == b"".join(b'{"event": %d}\n' % number for number in range(5))


def test_the_head_is_not_held_back(play: Play) -> None:
    def serve(request: Request) -> None:
        request.connection.send(STREAM)
        request.connection.wait_closed()

    play(serve)  # type: ignore[arg-type]
    client = play.connect()
    client.send(b"GET / HTTP/1.1\r\nHost: a\r\nAccept-Encoding: gzip\r\n\r\n")
    assert client.read_head().header(b"content-encoding") == b"gzip"


@pytest.mark.parametrize("coding", CODINGS)
def test_a_large_answer_comes_whole_and_holds_nobody_up(play: Play, coding: str) -> None:
    """10 MB; others are answered meanwhile."""
    body = document(500_000) * 20

    def serve(request: Request) -> Reply:
        return Reply(headers=[JSON], body=body) if request.target == b"/large" else Reply(body=b"ok")

    play(serve)
    client = play.connect()
    client.send(f"GET /large HTTP/1.1\r\nHost: a\r\nAccept-Encoding: {coding}\r\n\r\n".encode())
    for _ in range(20):
        assert get(play.port).body == b"ok"
    answer = client.read_response()
    assert answer.framing == "chunked"
    assert hashlib.sha256(decompress(coding, answer.body)).digest() == hashlib.sha256(body).digest()
    client.send(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
    assert client.read_response().body == b"ok"


@pytest.mark.parametrize("coding", CODINGS)
@pytest.mark.parametrize("framing", ["chunked", "length"])
@pytest.mark.parametrize("end", ["close", "reset"])
def test_what_is_cut_short_has_no_end(play: Play, coding: str, framing: str, end: str) -> None:
    """Neither of the chunks nor of the coding."""

    def serve(request: Request) -> None:
        counted = b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 40000\r\n\r\n"
        request.connection.send(STREAM + b"4e20\r\n" if framing == "chunked" else counted, BODY)
        play.turn()
        getattr(request.connection, end)()

    play(serve)  # type: ignore[arg-type]
    client = play.connect()
    client.send(f"GET / HTTP/1.1\r\nHost: a\r\nAccept-Encoding: {coding}\r\n\r\n".encode())
    answer = client.read_response()
    assert not answer.complete and client.end
    with pytest.raises(Exception):  # noqa: B017
        assert len(decompress(coding, answer.body)) == 20_000
    play.wait_for_log(r'"GET / HTTP/1\.1" 200 .* SD$')


@pytest.mark.parametrize("coding", CODINGS)
def test_a_slow_client_makes_nobody_hold_the_whole_answer(running: Stage, play: Play, coding: str) -> None:
    """The server is read from as far as `buffer.response` goes."""
    draw = random.Random(3)
    block = b"".join(b"%d," % draw.getrandbits(64) for _ in range(50_000))
    sent = [0]

    def serve(request: Request) -> None:
        connection = request.connection
        connection.send(STREAM)
        for _ in range(20):
            connection.send(b"%x\r\n%s\r\n" % (len(block), block))
            sent[0] += 1
        connection.send(b"0\r\n\r\n")

    play(serve)  # type: ignore[arg-type]
    client = play.connect(receive_buffer=8192)
    client.send(f"GET / HTTP/1.1\r\nHost: a\r\nAccept-Encoding: {coding}\r\n\r\n".encode())
    before = -1
    while sent[0] != before:
        before = sent[0]
        time.sleep(0.3)
    assert sent[0] < 18
    answer = client.read_response()
    assert decompress(coding, answer.body) == block * 20


def test_a_slow_client_gets_the_beginning_while_the_server_pauses(l7: L7, origin: Origins, connect: Connect) -> None:
    """What it does not take at once is sent when it does, and not only when the server goes on."""
    block = random.Random(5).randbytes(30_000).hex().encode()

    def serve(request: Request) -> None:
        request.connection.send(STREAM + b"%x\r\n%s\r\n" % (len(block), block))
        request.connection.wait_closed()

    app = origin(serve)
    proxy = l7(f"backends: {{'*': {{servers: ['{app.address}'], compress: [gzip]}}}}", send_buffer=4096)
    client = connect(proxy.address, receive_buffer=4096)
    client.send(b"GET / HTTP/1.1\r\nHost: a\r\nAccept-Encoding: gzip\r\n\r\n")
    assert client.read_head().header(b"content-encoding") == b"gzip"
    read, plain = reader("gzip"), b""
    while len(plain) < len(block):
        plain += read(chunk(client))
    assert plain == block
    client.close()


def test_a_client_that_leaves_ends_it(play: Play) -> None:
    def serve(request: Request) -> None:
        request.connection.send(STREAM)
        request.connection.send(b"4e20\r\n" + BODY + b"\r\n")
        request.connection.wait_closed()

    app = play(serve)  # type: ignore[arg-type]
    client = play.connect()
    client.send(b"GET / HTTP/1.1\r\nHost: a\r\nAccept-Encoding: gzip\r\n\r\n")
    client.read_head()
    client.reset()
    play.wait_for_log(r'"GET / HTTP/1\.1" (200|499) .* CD$')
    assert app.connections[0].wait_closed()


def test_requests_in_a_pipeline_are_answered_in_order(play: Play) -> None:
    play(lambda request: Reply(headers=[JSON], body=document(int(request.target[1:]))))
    client = play.connect()
    sizes = [5000, 100, 300_000, 1024, 70_000]
    client.send(b"".join(b"GET /%d HTTP/1.1\r\nHost: a\r\nAccept-Encoding: gzip\r\n\r\n" % size for size in sizes))
    for size in sizes:
        answer = client.read_response()
        plain = decompress("gzip", answer.body) if answer.values(b"content-encoding") else answer.body
        assert plain == document(size) and not answer.closes


def test_the_connection_to_the_server_is_used_again(play: Play) -> None:
    app = play(lambda request: Reply(headers=[JSON], body=[document(200_000)], framing="chunked"))
    client = play.connect()
    for _ in range(5):
        client.send(b"GET / HTTP/1.1\r\nHost: a\r\nAccept-Encoding: br\r\n\r\n")
        assert decompress("br", client.read_response().body) == document(200_000)
    assert len(app.connections) == 1


def test_the_log_says_what_the_client_got(play: Play) -> None:
    play(replying(Reply(headers=[JSON], body=[BODY, BODY], framing="chunked")))
    answer = fetch(play, target="/logged")
    play.wait_for_log(rf'"GET /logged HTTP/1\.1" 200 {len(answer.body)} ')


def test_an_answer_that_comes_before_the_body_was_sent(play: Play) -> None:
    def serve(request: Request) -> Reply:
        return Reply(413, headers=[JSON], body=BODY, close=True)

    play(serve)
    client = play.connect()
    client.send(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3000000\r\nAccept-Encoding: gzip\r\n\r\n")
    client.send(b"x" * 1_000_000)
    answer = client.read_response()
    assert answer.status == 413 and decompress("gzip", answer.body) == BODY


# ------------------------------------------------------------------------------------------------ figures, the setting


def test_bytes_are_counted_before_and_after(l7: L7, origin: Origins, tmp_path: Any) -> None:
    app = origin(replying(Reply(headers=[JSON], body=BODY)))
    where = tmp_path / "admin"
    proxy = l7(f"admin: 'unix:{where}'\nbackends: {{a: {{servers: ['{app.address}'], compress: [gzip]}}}}")
    proxy.wait_for(where.exists, "the admin endpoint")
    answer = request(proxy.port, host="a", headers=[("Accept-Encoding", "gzip")])
    request(proxy.port, host="a")

    def figures() -> list[int]:
        text = get(str(where), "/metrics").body.decode()
        return [int(value) for value in re.findall(r'^l7_compression_\w+_bytes_total\{host="a"\} (\d+)', text, re.M)]

    proxy.wait_for(lambda: figures() == [len(BODY), len(answer.body)], "both figures")
