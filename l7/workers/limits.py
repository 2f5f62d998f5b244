"""The limits and timeouts of the configuration as plain numbers: bytes, fields and seconds.

Hot only as types: what is declared here is read by others without asking Python.
"""

from __future__ import annotations

from l7.config.schema import BackendTimeouts, Buffer, Limits, Timeouts
from l7.http.framing import WHOLE, BodyReader, LengthReader, response_reader
from l7.http.parser import ResponseParser
from l7.workers.transport.stream import NEVER


class ClientProtocolLimits:
    """The limits and timeouts that apply towards clients, as plain numbers: bytes, fields and seconds."""

    __slots__ = (
        "body", "body_seconds", "buffers", "discarded", "fields", "half_closed_seconds", "head", "head_seconds",
        "idle_seconds", "write_seconds",
    )  # fmt: skip

    def __init__(self, limits: Limits, timeouts: Timeouts) -> None:
        self.head = limits.head
        self.fields = limits.headers
        self.body = limits.body
        """None: no limit."""
        self.buffers = limits.buffers
        """For all buffers of the worker together."""
        self.discarded = limits.discarded_body
        """None: no limit."""
        self.head_seconds = timeouts.head
        self.body_seconds = timeouts.body
        self.idle_seconds = timeouts.idle
        self.write_seconds = timeouts.write
        self.half_closed_seconds = NEVER if timeouts.half_closed is None else timeouts.half_closed
        """For what the server says next, once the client has half-closed: it may be gone."""


class BackendProtocolLimits:
    """The limits and timeouts that apply to one backend on one listener; seconds and bytes."""

    __slots__ = (
        "body", "connect", "fields", "head", "parser", "request_buffer", "response", "response_buffer", "tunnel",
    )  # fmt: skip

    def __init__(self, limits: Limits, timeouts: BackendTimeouts, buffer: Buffer | None) -> None:
        self.connect = timeouts.connect
        self.response = timeouts.response
        """For the head of an answer, and for the server to take what it is sent."""
        self.body = timeouts.body or timeouts.idle
        """Between two pieces of an answer's body."""
        self.tunnel = timeouts.tunnel or timeouts.idle
        """Without a byte in either direction of an upgraded connection."""
        self.head = limits.response_head
        self.fields = limits.response_headers
        self.parser = ResponseParser(self.fields)
        self.request_buffer = 0 if buffer is None else buffer.request
        """The longest body of a request that is read before a server is picked."""
        self.response_buffer = 0 if buffer is None else buffer.response
        """The most that is read of an answer ahead of its client."""

    def reader(self, length: int, came: int) -> BodyReader:
        """The reader for a response with the framing ``length``; ``came`` bytes have come behind its head already."""
        if length == came:
            return WHOLE
        return LengthReader(length) if length >= 0 else response_reader(length, self.fields, self.head)
