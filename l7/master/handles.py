"""The master's view of one worker: its process and the channel to it.

The channel carries one JSON object per message, and with some of them a descriptor (``SCM_RIGHTS``): a client
connection on its way to another worker. The master never waits for a worker: a message that cannot be sent at once is
lost with it, because such a worker does not read any more; a descriptor that cannot be sent stays with the sender.
"""

from __future__ import annotations

import json
import os
import signal
import socket
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from l7.clock import monotonic

LONGEST_MESSAGE = 64 * 1024
"""Bytes of the longest message on a channel."""

MOST_DESCRIPTORS = 4
"""Descriptors that one message may bring; one is expected, more are closed."""

Message = dict[str, Any]


class Letter(NamedTuple):
    """A message and the descriptor that came with it; whoever receives it owns that."""

    message: Message
    descriptor: int | None = None


def send(channel: socket.socket, message: Message, descriptor: int | None = None) -> bool:
    """Send a message, with a copy of a descriptor; False when the other end does not take it now."""
    encoded = json.dumps(message).encode()
    try:
        if descriptor is None:
            channel.send(encoded)
        else:
            socket.send_fds(channel, [encoded], [descriptor])
    except OSError:
        return False
    return True


def receive(channel: socket.socket) -> Iterator[Letter]:
    """What has come so far; what is no message is left out. Raises ``EOFError`` at the end of the channel."""
    was_reset = False
    while True:
        try:
            received, descriptors, _, _ = socket.recv_fds(
                channel, LONGEST_MESSAGE, MOST_DESCRIPTORS, socket.MSG_CMSG_CLOEXEC
            )
        except (BlockingIOError, InterruptedError):
            return
        except OSError as error:
            # An end that left something unread resets the channel, and what it sent before still waits behind that.
            if not isinstance(error, ConnectionResetError) or was_reset:
                raise EOFError from None
            was_reset = True
            continue
        message = _decode(received)
        for descriptor in descriptors[1 if message is not None else 0 :]:
            os.close(descriptor)
        if message is not None:
            yield Letter(message, descriptors[0] if descriptors else None)
        elif not received:
            raise EOFError


@dataclass(eq=False)
class Handle:
    """One child process that has not been reaped, so that its pid is its own."""

    slot: int
    index: int
    generation: int
    pid: int
    channel: socket.socket
    started: float
    why: str = ""
    """What the worker itself said about its end."""
    open: bool = field(default=True)
    """Whether the worker still holds its end of the channel."""

    def tell(self, message: Message) -> bool:
        """Send a message; False when the worker does not take it."""
        return send(self.channel, message)

    def hear(self) -> Iterator[Letter]:
        """What the worker has sent so far. Sets ``open`` to False at the end."""
        if not self.open:
            return
        try:
            yield from receive(self.channel)
        except EOFError:
            self.open = False

    def signal(self, number: signal.Signals) -> None:
        """Send a signal; a process that is gone and not reaped yet takes it without an error."""
        try:
            os.kill(self.pid, number)
        except (ProcessLookupError, PermissionError):
            return

    def reap(self) -> int | None:
        """The wait status if the process has ended; it is gone for good then."""
        try:
            pid, status = os.waitpid(self.pid, os.WNOHANG)
        except ChildProcessError:
            return 0  # somebody set SIGCHLD to be ignored before l7 was started
        return status if pid else None

    def await_end(self, seconds: float) -> None:
        """Wait for the process to end, for so long: only where the master has nothing else left to do."""
        until = monotonic() + seconds
        while self.reap() is None and monotonic() < until:
            time.sleep(0.005)

    def close(self) -> None:
        """Close the channel: a worker that still lives takes that for the master's end."""
        self.open = False
        self.channel.close()


def _decode(received: bytes) -> Message | None:
    try:
        message = json.loads(received)
    except ValueError:
        return None
    return message if isinstance(message, dict) else None


def describe_end(status: int, why: str = "") -> str:
    """A wait status in words, with what the worker itself had to say."""
    if os.WIFSIGNALED(status):
        number = os.WTERMSIG(status)
        try:
            words = f"killed by {signal.Signals(number).name}"
        except ValueError:
            words = f"killed by signal {number}"
        if os.WCOREDUMP(status):
            words += ", core dumped"
    else:
        words = f"exit status {os.WEXITSTATUS(status)}"
    return f"{words} ({why})" if why else words
