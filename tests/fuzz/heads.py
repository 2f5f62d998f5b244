"""Any bytes are one request, a refusal or a beginning, however they are cut; what goes on h11 and llhttp read alike."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from l7.errors import ProxyError, Side
from l7.http import forwarding
from l7.http.heads import HeadReader
from l7.http.messages import CHUNKED, RequestHead
from l7.http.parser import RequestParser
from tests.corpus import REQUESTS
from tests.fuzz.running import cuts, run
from tests.harness.independent import knows_method, with_h11, with_llhttp

LIMIT, FIELDS, TARGET = 1024, 16, 256
"""Small, so that short inputs reach them."""
REFUSALS = (400, 405, 414, 417, 431, 501, 505)
HOP = forwarding.Hop("192.0.2.1", 80, b"proxy.test")
WRITTEN = {
    b"host", b"x-forwarded-for", b"x-real-ip", b"x-forwarded-proto", b"x-forwarded-port", b"x-forwarded-host",
    b"via", b"x-request-id",
    b"content-length", b"transfer-encoding", b"expect", b"upgrade", b"te", b"connection", b"max-forwards",
}  # fmt: skip


def read(pieces: Iterable[bytes]) -> tuple[RequestHead, bytes] | str | None:
    """A head and what follows it, None where more is needed, or the kind of refusal."""
    parser = RequestParser(FIELDS, TARGET)
    reader = HeadReader(LIMIT, parser)
    coming = iter(pieces)
    try:
        for piece in coming:
            head = reader.feed(piece)
            if head is not None:
                return parser.parse(head), reader.rest + b"".join(coming)
    except ProxyError as failure:
        if failure.kind.side is not Side.DOWNSTREAM or failure.kind.status not in REFUSALS:
            raise
        return "refused"
    return None


def facts(outcome: tuple[RequestHead, bytes] | str | None) -> object:
    """What of an outcome must not depend on how the bytes were cut."""
    if outcome is None or isinstance(outcome, str):
        return outcome
    head, rest = outcome
    return [getattr(head, name) for name in RequestHead.__slots__], rest


def one(data: bytes) -> None:
    """Check one input."""
    outcome = read([data])
    for pieces in cuts(data):
        other = read(pieces)
        if other != outcome and None in (other, outcome):  # one was refused early: then no end can make it good
            outcome = other = read([data + b"\r\n\r\n"])
            assert other == "refused", "refused too early"
        assert facts(other) == facts(outcome), "the cut decides"
    if outcome is not None and not isinstance(outcome, str):
        check_forwarded(outcome[0])


def check_forwarded(head: RequestHead) -> None:
    """What goes on is one request for every reader."""
    raw = HOP.request_head(head, b"id")
    body = b""
    if head.length == CHUNKED:
        raw, body = raw + b"3\r\nabc\r\n0\r\n\r\n", b"abc"
    elif 0 < head.length <= 1000:
        body = b"b" * head.length
        raw += body
    readers = [with_h11, with_llhttp] if knows_method(head.method) else [with_h11]
    for reader in readers:
        found = reader(raw)
        assert len(found) == 1, (reader, found)
        got = found[0]
        assert (got.method, got.target) == (head.method, head.path), (reader, got)
        if head.length <= 1000 and not head.upgrade:
            assert (got.complete, got.body) == (True, body), (reader, got)
        names = [name.lower() for name, _ in got.headers]
        assert names.count(b"host") == 1 and len({b"content-length", b"transfer-encoding"} & set(names)) <= 1
        ours = [line.partition(b":")[0].lower() for line in head.lines]
        assert names[1 : 1 + len(ours)] == ours, (reader, names, ours)
        assert set(names[1 + len(ours) :]) <= WRITTEN, (reader, names)


def seeds() -> Iterator[bytes]:
    """The corpus of the parser's tests."""
    return (case.raw for case in REQUESTS if len(case.raw) <= 4096)


if __name__ == "__main__":
    run("heads", seeds())
