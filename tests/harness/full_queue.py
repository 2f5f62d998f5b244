"""A server that listens and accepts nobody."""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Iterator

MOST = 8
"""More than the kernel lets wait where the queue has no room."""


@contextlib.contextmanager
def full_queue(path: str | None = None) -> Iterator[str]:
    """The address of a server whose queue is full: a connect hears nothing, or EAGAIN at a unix socket of ``path``."""
    family = socket.AF_INET if path is None else socket.AF_UNIX
    with contextlib.ExitStack() as stack:
        listener = stack.enter_context(socket.socket(family))
        listener.bind(("127.0.0.1", 0) if path is None else path)
        listener.listen(0)
        for _ in range(MOST):
            client = stack.enter_context(socket.socket(family))
            client.setblocking(False)
            client.connect_ex(listener.getsockname())
        yield f"127.0.0.1:{listener.getsockname()[1]}" if path is None else f"unix:{path}"
