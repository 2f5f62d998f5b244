"""The master's view of one worker: its process and the channel to it.

The channel carries one JSON object per message. The master never waits for a worker: a message that cannot be sent
at once is lost with it, because such a worker does not read any more.
"""

from __future__ import annotations

import json
import os
import signal
import socket
from dataclasses import dataclass, field
from typing import Any

LONGEST_MESSAGE = 64 * 1024
"""Bytes of the longest message on a channel."""

Message = dict[str, Any]


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
        try:
            self.channel.send(json.dumps(message).encode())
        except OSError:
            return False
        return True

    def hear(self) -> list[Message]:
        """What the worker has sent; what is not a message is left out. Sets ``open`` to False at the end."""
        messages: list[Message] = []
        while self.open:
            try:
                received = self.channel.recv(LONGEST_MESSAGE)
            except (BlockingIOError, InterruptedError):
                break
            except OSError:
                received = b""
            if not received:
                self.open = False
                break
            message = _decode(received)
            if message is not None:
                messages.append(message)
        return messages

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
