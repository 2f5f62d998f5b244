"""What is listened on, one object a listener: `port` and `bind` are its short form."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class ListenerConfig:
    """One listener: an address and a port, or the path of a unix socket.

    What clients do there belongs here: a setting of a listener is a field of this class, and whoever accepts on the
    socket has it.
    """

    host: str = ""
    port: int = 0
    path: str | None = None
    scheme: bytes = b"http"
    """What clients speak there, as X-Forwarded-Proto says it."""


HANDED_DOWN = ListenerConfig()
"""A socket that was bound by somebody else, as systemd does: it knows best where it is."""


def listeners_of(bind: tuple[str, ...], port: int) -> tuple[ListenerConfig, ...]:
    """The listeners of a configuration in its order, each once."""
    found: dict[ListenerConfig, None] = {}
    for address in bind:
        if address.startswith("unix:"):
            found[ListenerConfig(path=address.removeprefix("unix:"))] = None
        else:
            host = address[1:-1] if address.startswith("[") and address.endswith("]") else address
            found[ListenerConfig(host, port)] = None
    return tuple(found)
