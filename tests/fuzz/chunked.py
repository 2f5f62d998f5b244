"""Any bytes are a chunked body or a refusal, however they are cut; framed anew it is the same body, for h11 too."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from l7.errors import BAD_REQUEST, BODY_TOO_LARGE, ProxyError
from l7.http.framing import REQUEST_TRAILERS, ChunkedReader, last_chunk
from tests.corpus import REQUESTS
from tests.fuzz.running import cuts, run
from tests.harness.chunks import chunk
from tests.harness.independent import Unreadable, with_h11

FIELDS, TRAILER_BYTES, LIMIT = 8, 256, 4096
HEAD = b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"

Body = tuple[bytes, bool, bytes, list[bytes]]
"""Payload, whether it is whole, what follows it, trailers."""


def read(pieces: Iterable[bytes], *, framed: bool = False) -> Body | str:
    """What a reader makes of a body, or the kind of refusal; where ``framed``, with chunks in place of the payload."""
    reader = ChunkedReader(REQUEST_TRAILERS, FIELDS, TRAILER_BYTES)
    reader.bound(LIMIT)
    reader.framed = framed
    payload = b""
    overhead = 0
    rest = b""
    try:
        for piece in pieces:
            if reader.done:
                rest += piece
            else:
                payload += reader.feed(piece)
                overhead += reader.overhead
    except ProxyError as failure:
        if failure.kind not in (BAD_REQUEST, BODY_TOO_LARGE):
            raise
        return failure.kind.name
    assert overhead == len(payload) - sum(map(len, payload_of(payload))) if framed else not overhead
    return payload, reader.done, reader.rest + rest, reader.trailers


def payload_of(chunks: bytes) -> Iterator[bytes]:
    """The payload of chunks as l7 passes them on, which may end anywhere; nothing but sizes may stand before them."""
    at = 0
    while at < len(chunks):
        line, _, _ = chunks[at:].partition(b"\r\n")
        assert not line.strip(b"0123456789abcdefABCDEF") and (line == b"0" or line[:1] != b"0"), line
        size = int(line, 16)
        if not size:
            return
        at += len(line) + 2
        yield chunks[at : at + size]
        assert chunks[at + size : at + size + 2] in (b"\r\n", b"\r", b"")
        at += size + 2


def check_passed_on(data: bytes, body: Body | str) -> None:
    """What goes on in chunks is the same body, or is refused for the same reason, however it comes."""
    for pieces in ([data], *cuts(data)):
        passed = read(pieces, framed=True)
        if isinstance(passed, str) or isinstance(body, str):
            assert passed == body
            continue
        chunks, done, rest, trailers = passed
        assert (done, rest, trailers) == body[1:]
        assert b"".join(payload_of(chunks)) == body[0]
        if done:
            assert read([chunks]) == (body[0], True, b"", trailers), chunks


def one(data: bytes) -> None:
    """Check one input."""
    body = read([data])
    for pieces in cuts(data):
        assert read(pieces) == body, "the cut decides"
    check_passed_on(data, body)
    if isinstance(body, str):
        return
    payload, done, rest, trailers = body
    assert len(payload) <= LIMIT
    if not done:
        return
    framed = chunk(payload) + last_chunk(trailers)
    assert read([framed]) == (payload, True, b"", trailers), framed
    found = with_h11(HEAD + framed)
    assert [(one.body, one.complete) for one in found] == [(payload, True)]
    assert [name.lower() for name, _ in found[0].trailers] == [line.partition(b":")[0].lower() for line in trailers]
    raw = data[: len(data) - len(rest)]
    try:
        found = with_h11(HEAD + raw)
    except Unreadable:
        return  # h11 takes no white space before the semicolon of an extension
    assert [(one.body, one.complete) for one in found] == [(payload, True)], "h11 reads another body"


def seeds() -> Iterator[bytes]:
    """The chunked bodies of the parser's corpus."""
    for case in REQUESTS:
        head, _, body = case.raw.partition(b"\r\n\r\n")
        if b"chunked" in head and len(body) <= 4096:
            yield body


if __name__ == "__main__":
    run("chunked", seeds())
