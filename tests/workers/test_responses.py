"""The answers l7 makes itself: every row of the failure table, read back by h11."""

from __future__ import annotations

import email.utils
import json
import time

import h11
import pytest

from l7 import errors
from l7.errors import FAILURES, Kind, ProxyError, Side
from l7.exchange import Exchange
from l7.http.messages import LocalResponse, RequestHead
from l7.http.parser import RequestParser
from l7.rules.answers.last_hop import last_hop
from l7.workers import responses
from l7.workers.downstream.http1_exchange import answer_bytes


def parse(*fields: bytes, line: bytes = b"GET /p HTTP/1.1") -> RequestHead:
    return RequestParser(20, 1000).parse(b"\r\n".join([line, b"Host: a", *fields]))


def known(request_id: str) -> Exchange:
    """What is known of a request."""
    found = Exchange("192.0.2.1", 0.0)
    found.request_id = request_id
    return found


def read(raw: bytes, method: str = "GET") -> tuple[h11.Response, dict[bytes, bytes], bytes]:
    client = h11.Connection(h11.CLIENT)
    client.send(h11.Request(method=method, target="/", headers=[("Host", "a")]))
    client.send(h11.EndOfMessage())
    client.receive_data(raw)
    response = client.next_event()
    assert isinstance(response, h11.Response)
    body = b""
    while isinstance(event := client.next_event(), h11.Data):
        body += bytes(event.data)
    assert isinstance(event, h11.EndOfMessage) and not client.trailing_data[0]
    fields = dict(response.headers)
    assert len(fields) == len(list(response.headers)), "a field twice"
    return response, fields, body


def written(response: LocalResponse, head: RequestHead | None = None, *, keep: bool = True) -> tuple[bytes, int]:
    """As it goes out by HTTP/1.1."""
    return answer_bytes(response, head or parse(), keep=keep)


ANSWERED = [kind for kind in FAILURES if kind.status]


@pytest.mark.parametrize("keep", [False, True])
@pytest.mark.parametrize("kind", ANSWERED, ids=lambda kind: f"{kind.status}-{kind.code}")
def test_every_row_of_the_table(kind: Kind, keep: bool) -> None:
    raw, size = written(
        responses.refusal(ProxyError(kind, "detail 10.0.0.9", seen="secret"), parse(), known("id-1")), keep=keep
    )
    response, fields, body = read(raw)
    assert response.status_code == kind.status and size == len(body)
    assert (fields.get(b"connection") == b"close") is not keep
    assert fields[b"content-type"] == b"text/plain; charset=utf-8"
    assert b"id-1" in body and kind.name.encode() in body
    assert (b"10.0.0.9" in body) is (kind.side is not Side.UPSTREAM or kind is errors.BAD_RESPONSE)
    assert b"secret" not in body
    assert (b"www-authenticate" in fields) is (kind.status == 401)
    assert (b"allow" in fields) is (kind.status == 405)
    assert (b"retry-after" in fields) is (kind.status == 503)


def test_the_challenge():
    _, fields, _ = read(written(responses.refusal(ProxyError(errors.UNAUTHORIZED), parse(), known("i")))[0])
    assert fields[b"www-authenticate"] == b'Basic realm="l7"'


@pytest.mark.parametrize(
    ("accept", "json_wanted"),
    [(b"application/json", True), (b"application/problem+json, */*", True), (b"APPLICATION/JSON;q=1", True), (b"*/*",
     False),
     (b"text/html, application/json", False), (b"text/plain, application/json", False), (b"", False)],
)  # fmt: skip
def test_json_for_who_asks_for_it(accept, json_wanted):
    failure = ProxyError(errors.NO_ROUTE, 'host "x"\u00e9')
    raw, size = written(responses.refusal(failure, parse(b"Accept: " + accept), known("id-1")))
    _, fields, body = read(raw)
    assert size == len(body)
    if json_wanted:
        assert fields[b"content-type"] == b"application/json"
        assert json.loads(body) == {"status": 404, "error": "Not Found", "reason": str(failure), "request_id": "id-1"}
    else:
        assert fields[b"content-type"] == b"text/plain; charset=utf-8" and body.startswith(b"404 Not Found\n")


def test_head_is_answered_without_a_body():
    head = parse(line=b"HEAD / HTTP/1.1")
    raw, size = written(responses.refusal(ProxyError(errors.NO_ROUTE), head, known("i")), head)
    assert size == 0 and raw.endswith(b"\r\n\r\n") and b"Content-Length: 0" not in raw
    read(raw, "HEAD")


def test_what_was_no_request_is_answered_all_the_same():
    raw, _ = answer_bytes(
        responses.refusal(ProxyError(errors.BAD_REQUEST, "no Host"), None, known("i")), None, keep=False
    )
    response, fields, body = read(raw)
    assert response.status_code == 400 and fields[b"connection"] == b"close" and b"no Host" in body


def test_http_1_0_is_told_that_the_connection_stays():
    head = parse(b"Connection: keep-alive", line=b"GET / HTTP/1.0")
    response = responses.refusal(ProxyError(errors.NO_ROUTE), head, known("i"))
    assert b"\r\nConnection: keep-alive\r\n" in written(response, head)[0]
    assert b"\r\nConnection: close\r\n" in written(response, head, keep=False)[0]


def test_options_ends_here():
    raw, size = written(last_hop(parse(b"Max-Forwards: 0", line=b"OPTIONS * HTTP/1.1")))
    response, fields, body = read(raw)
    assert (response.status_code, body, size) == (200, b"", 0) and b"GET" in fields[b"allow"]


def test_trace_ends_here_and_tells_no_secrets():
    head = parse(
        b"Max-Forwards: 0", b"Authorization: Basic c2VjcmV0", b"Cookie: secret", b"X-A: 1",
        b"Proxy-Authorization: secret",
        line=b"TRACE /x HTTP/1.1",
    )  # fmt: skip
    raw, size = written(last_hop(head), head)
    response, fields, body = read(raw, "TRACE")
    assert response.status_code == 200 and fields[b"content-type"] == b"message/http" and size == len(body)
    assert body == b"TRACE /x HTTP/1.1\r\nHost: a\r\nX-A: 1\r\nMax-Forwards: 0\r\n\r\n"


def test_the_date_is_now():
    parsed = email.utils.parsedate_to_datetime(responses.http_date().decode())
    assert abs(parsed.timestamp() - time.time()) < 3 and responses.http_date().endswith(b" GMT")


def test_phrases():
    assert (responses.phrase(508), responses.phrase(799)) == ("Loop Detected", "Unknown")
