"""What a forked child closes: every descriptor that only the master needs.

One that is forgotten stays open in all workers: a client would not see its connection end, a port could not be bound
again. So each part of the master that opens descriptors registers the function that closes them.
"""

from __future__ import annotations

from collections.abc import Callable, Collection

from l7.master.resources.listeners import Listener, Listeners


class CloseInChild:
    """The registry: a child that was just forked calls `close` once."""

    def __init__(self, listeners: Listeners) -> None:
        self._listeners = listeners
        self._closers: list[Callable[[], None]] = []

    def add(self, close: Callable[[], None]) -> None:
        """Let every child call ``close``, which closes what is open then, and does nothing else."""
        self._closers.append(close)

    def close(self, kept: Collection[Listener]) -> None:
        """Close it all in a child, but for the listening sockets that it serves."""
        for close in self._closers:
            close()
        for listener in self._listeners.everything():
            if listener not in kept:
                listener.socket.close()
