"""Any bytes are one response or a refusal, however they are cut, and never the client's fault; h11 reads the same."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import h11

from l7.errors import BAD_RESPONSE, RESPONSE_HEAD_TOO_LARGE, ProxyError
from l7.http import forwarding
from l7.http.framing import last_chunk, response_reader
from l7.http.heads import HeadReader
from l7.http.messages import CHUNKED, ResponseHead
from l7.http.parser import ResponseParser
from tests.corpus import RESPONSES
from tests.fuzz.running import cuts, run
from tests.harness.chunks import chunk

LIMIT, FIELDS = 1024, 16
METHODS = (b"GET", b"HEAD")
DATE = b"Sun, 06 Nov 1994 08:49:37 GMT"
HOP = forwarding.Hop("192.0.2.1", 80, b"proxy.test")
HOP_BY_HOP = {b"connection", b"keep-alive", b"proxy-connection", b"te", b"upgrade", b"proxy-authenticate"}

Message = tuple[ResponseHead, bytes, bool, bytes, list[bytes]]
"""Head, payload, whether it is whole, what follows it, trailers."""


def read(pieces: Iterable[bytes], method: bytes) -> Message | str | None:
    """What l7 makes of an answer to *method*."""
    reader = HeadReader(LIMIT)
    coming = iter(pieces)
    try:
        for piece in coming:
            head = reader.feed(piece)
            if head is not None:
                break
        else:
            return None
        response = ResponseParser(FIELDS).parse(head, method)
        body = response_reader(response.length, FIELDS, LIMIT)
        payload, rest = b"", b""
        for piece in [reader.rest, *coming]:
            if body.done:
                rest += piece
            elif piece:
                payload += body.feed(piece)
    except ProxyError as failure:
        if failure.kind not in (BAD_RESPONSE, RESPONSE_HEAD_TOO_LARGE):
            raise
        return "refused"
    return response, payload, body.done, body.rest + rest, body.trailers


def facts(outcome: Message | str | None) -> object:
    """What of an outcome must not depend on how the bytes were cut."""
    if outcome is None or isinstance(outcome, str):
        return outcome
    head, *more = outcome
    facts = [getattr(head, name) for name in ResponseHead.__slots__ if name != "start"]
    return facts, head.start.line, more


def one(data: bytes) -> None:
    """Check one input, as an answer to GET and to HEAD."""
    for method in METHODS:
        outcome = read([data], method)
        for pieces in cuts(data):
            assert facts(read(pieces, method)) == facts(outcome), "the cut decides"
        if outcome is not None and not isinstance(outcome, str):
            response, payload, done, _, trailers = outcome
            if response.status >= 200:
                check_relayed(response, method, payload, trailers, done=done)


def check_relayed(head: ResponseHead, method: bytes, payload: bytes, trailers: list[bytes], *, done: bool) -> None:
    """What goes to the client is one response for h11, with the same status, fields and body."""
    framing = HOP.framing(head, 1)
    raw = HOP.response_head(head, framing, DATE, b"")
    if framing == CHUNKED:
        raw += chunk(payload) + (last_chunk(trailers) if done else b"")
    else:
        raw += payload
    client = h11.Connection(h11.CLIENT)
    client.send(h11.Request(method=method, target="/", headers=[("Host", "a")]))
    client.send(h11.EndOfMessage())
    client.receive_data(raw)
    response = client.next_event()
    assert isinstance(response, h11.Response) and response.status_code == head.status, response
    names = [name for name, _ in response.headers]
    assert not HOP_BY_HOP & set(names) and names.count(b"date") >= 1, names
    assert names[: len(head.lines)] == [line.partition(b":")[0].lower() for line in head.lines]
    body = b""
    while isinstance(event := client.next_event(), h11.Data):
        body += bytes(event.data)
    assert body == payload
    if done:
        assert isinstance(event, h11.EndOfMessage), event
        assert not client.trailing_data[0], "bytes behind the answer"


def seeds() -> Iterator[bytes]:
    """The responses of the parser's corpus."""
    return (case.raw for case in RESPONSES if len(case.raw) <= 4096)


if __name__ == "__main__":
    run("responses", seeds())
