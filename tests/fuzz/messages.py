"""Any bytes are one message between processes, or a refusal in words; what was read is written and read the same."""

from __future__ import annotations

from collections.abc import Iterator

from l7.ipc.channel import LONGEST
from l7.ipc.codec import DecodeError
from l7.ipc.messages import CODEC, KINDS
from tests.fuzz.running import run


def one(data: bytes) -> None:
    """Check one input."""
    try:
        message = CODEC.decode(data[:LONGEST])
    except DecodeError:
        return
    assert CODEC.decode(CODEC.encode(message)) == message


def seeds() -> Iterator[bytes]:
    """One of each kind."""
    yield b'{"kind":"drain","within":1.5,"idle":"close"}'
    yield b'{"kind":"adopt","peer":"::1","port":80,"data":"R0VU","idle_left":2,"returned":false}'
    yield b'{"kind":"set-members","backend":"a","server":"b:80","members":[["::1",80,3,-1,false]]}'
    yield b'{"kind":"resolved","backend":"a","server":"b:80","addresses":[["::1",80,-1,true]],"why":""}'
    yield b'{"kind":"hello","protocol":1,"version":"0.1.0"}'
    for name in KINDS:
        yield b'{"kind":"%s","why":"it is told not to","quick":true}' % name.encode()


if __name__ == "__main__":
    run("messages", seeds())
