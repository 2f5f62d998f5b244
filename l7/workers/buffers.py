"""The memory that the buffers of a worker take: request bodies before a server is picked, answers ahead of clients.

It is counted in bytes as they come and go, so that a client that announces much and sends little takes little. What
must be kept anyway (the rest of one receive, of which a client takes no more) is counted, too, but never refused.
"""

from __future__ import annotations


class BufferLimit:
    """The bytes that all buffers of a worker hold: to be read ahead only while they are fewer than ``limit``."""

    __slots__ = ("limit", "used")

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.used = 0

    @property
    def left(self) -> int:
        """How many bytes may still be read ahead; 0 or fewer for none."""
        return self.limit - self.used
