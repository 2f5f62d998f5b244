"""Accepting, receiving and sending by a descriptor.

Compiled, the C in ``socket_calls.pxd`` runs: the system call, and for `receive` one object of the size that came. The
methods of a socket make one for all that might come, let go of the interpreter and take it again. Only for sockets that
do not block.
"""

from __future__ import annotations

import os
from _socket import socket as Socket


def accept(listener: Socket) -> tuple[int, str]:
    """A new connection that does not block, and its peer's address as the kernel writes it; of a unix socket none.

    Raises ``OSError``.
    """
    descriptor, peer = listener._accept()  # type: ignore[attr-defined]
    os.set_blocking(descriptor, False)
    return descriptor, peer[0] if isinstance(peer, tuple) else ""


def receive(descriptor: int, size: int) -> bytes:
    """At most ``size`` bytes, or 80 KiB where that is less; empty at the end. Raises ``OSError``."""
    return os.read(descriptor, size)


def send(descriptor: int, data: bytes | bytearray | memoryview) -> int:
    """Send what can be sent at once; returns how many bytes of ``data`` that were. Raises ``OSError``."""
    return os.write(descriptor, data)


def send_both(descriptor: int, head: bytes, data: bytes, at: int) -> int:
    """As `send`, for ``head`` and what ``data`` holds from ``at`` on, of which no copy is made."""
    return os.writev(descriptor, [head, memoryview(data)[at:]])


def send_pieces(descriptor: int, pieces: list[bytes]) -> int:
    """As `send`, for what the first sixteen ``pieces`` hold together."""
    return os.writev(descriptor, pieces[:16])
