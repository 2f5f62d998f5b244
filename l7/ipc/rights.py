"""Descriptors beside a packet (SCM_RIGHTS, unix(7)).

Not `socket.send_fds` and `socket.recv_fds`: they take flags and forget them, so that what is received would stay open
in whatever is executed.
"""

from __future__ import annotations

import socket
from array import array
from collections.abc import Iterable

ControlMessage = tuple[int, int, bytes]
"""Level, kind and data, as `socket.socket.recvmsg` returns them."""


def rights(descriptors: list[int]) -> list[tuple[int, int, array[int]]]:
    """The control messages that send copies of ``descriptors``, for `socket.socket.sendmsg`."""
    return [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array("i", descriptors))] if descriptors else []


def room(descriptors: int) -> int:
    """Bytes of control messages in which so many descriptors have room."""
    return socket.CMSG_SPACE(descriptors * array("i").itemsize)


def descriptors_in(control: Iterable[ControlMessage]) -> list[int]:
    """The descriptors that came with a packet: whoever receives them has to close them."""
    found = array("i")
    for level, kind, value in control:
        if (level, kind) == (socket.SOL_SOCKET, socket.SCM_RIGHTS):
            found.frombytes(value[: len(value) - len(value) % found.itemsize])
    return list(found)
