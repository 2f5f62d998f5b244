"""What stands below ``limits`` and ``timeouts``: how much is taken of a client, and how long it is waited for."""

from __future__ import annotations

from typing import Annotated, Literal

from l7.config.model import BeforeValidator, Field
from l7.config.section import BufferSize, Count, DurationOrUnlimited, Section, Timeout
from l7.config.values import jsontypes, scalars
from l7.config.values.scalars import Form

HeadSize = Annotated[
    int,
    BeforeValidator(scalars.size(64, 16 * 1024**2)),
    Form("size", scalars.show_size, jsontypes.size(64, 16 * 1024**2)),
]
BodySize = Annotated[
    int | None,
    BeforeValidator(scalars.size_or_unlimited),
    Form("size", scalars.show_size_or_unlimited, jsontypes.size()),
]


class Limits(Section):
    """How much is taken of one client, and of the head of a server's response."""

    head: HeadSize = Field(
        default=32 * 1024,
        description="The most bytes a request's head may have (else 431), or its trailers (else 400).",
    )
    headers: Count = Field(
        default=100, description="The most header fields a request may have (else 431), or trailer fields (else 400)."
    )
    target: HeadSize = Field(default=8 * 1024, description="The most bytes a request's target may have (else 414).")
    target_bytes: Annotated[Literal["ascii", "utf-8"], Form("name")] = Field(
        default="ascii",
        description="What a request's target may be made of. A URI is `ascii` (else 400); with `utf-8` raw UTF-8 in a "
        "path or query is taken, too, and goes on as `%XX`: so it is routed and logged.",
    )
    response_head: HeadSize = Field(
        default=256 * 1024,
        description="The most bytes a response's head may have (else 502), or its trailers (else it is cut short).",
    )
    response_headers: Count = Field(
        default=500,
        description="The most header fields a response may have (else 502), or trailer fields (else it is cut short).",
    )
    body: BodySize = Field(
        default=None, description="The most bytes a request's body may have (else 413); `unlimited` sets no bound."
    )
    discarded_body: BodySize = Field(
        default=None,
        description="The most bytes that are read and forgotten of a client which goes on sending after it was "
        "answered, so that it gets to read the answer; then it is cut off. `unlimited` leaves the bound to "
        "`timeouts.body`.",
    )
    buffers: BufferSize = Field(
        default=64 * 1024**2,
        description="The most memory that all buffers of one worker take together (`buffer` of backends); beyond it "
        "nothing is read ahead any more, and bodies are passed on as they come. What was received by then, up to "
        "80 KiB of each request, is kept and counted all the same.",
    )
    connections: Count = Field(
        default=10_000,
        description="The most client connections l7 holds at a time, shared out evenly among its workers. When all are "
        "taken, the client that has been idle longest makes place for a new one, which waits where nobody is idle.",
    )


class Timeouts(Section):
    """How long l7 waits for a client."""

    head: Timeout = Field(
        default=10.0, description="The whole head of a request must have come within this time (else 408)."
    )
    body: Timeout = Field(
        default=60.0,
        description="The longest pause within a request's body (else 408); and how long the rest of a body may take "
        "that is read and forgotten, because its request was answered early.",
    )
    idle: Timeout = Field(default=75.0, description="How long a kept-alive connection may wait for its next request.")
    write: Timeout = Field(default=60.0, description="The longest pause of a client that is being sent a response.")
    handshake: Timeout = Field(
        default=10.0,
        description="What comes before the first request of a connection must have come within this time: the header "
        "of the PROXY protocol and the TLS handshake, together, on a listener that has them.",
    )
    half_closed: DurationOrUnlimited = Field(
        default=3.0,
        description="How long a server may take to say something to a client that has half-closed its connection: it "
        "waits for the answer, or has left, and only sending tells. After that it has left (499). `0s` takes every end "
        "for leaving, `unlimited` none.",
    )
