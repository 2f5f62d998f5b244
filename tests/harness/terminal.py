"""A program at a terminal: a pty, and an emulator (pyte) that shows what a person would see."""

from __future__ import annotations

import contextlib
import fcntl
import os
import pty
import select
import signal
import struct
import subprocess
import termios
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import pyte

from tests.harness import TIMEOUT


class Terminal:
    """A program that runs at a terminal of its own."""

    def __init__(self, words: Sequence[str], columns: int, lines: int, **options: Any) -> None:
        self.master, slave = pty.openpty()
        self.screen = pyte.Screen(columns, lines)
        self._stream = pyte.ByteStream(self.screen)
        self.written = b""
        """All that it has written."""
        self._slave = slave
        self.resize(columns, lines)
        self.before = termios.tcgetattr(slave)
        # Who leads a session takes the first terminal that it opens for its own.
        opening = ["sh", "-c", 'exec "$@" <>"$0" >&0 2>&0', os.ttyname(slave), *words]
        self.process = subprocess.Popen(opening, start_new_session=True, **options)

    def resize(self, columns: int, lines: int, *, known: bool = True) -> None:
        """Give the terminal another size; one that is not ``known`` the program is not told."""
        self.screen.resize(lines, columns)
        told = (lines, columns) if known else (0, 0)
        fcntl.ioctl(self._slave, termios.TIOCSWINSZ, struct.pack("HHHH", *told, 0, 0))

    def send(self, keys: str) -> None:
        """Press keys."""
        os.write(self.master, keys.encode())

    def read(self, within: float = 0.0) -> None:
        """Take what the program has written."""
        while select.select([self.master], [], [], within)[0]:
            try:
                data = os.read(self.master, 65536)
            except OSError:  # nobody has it open any more
                return
            self.written += data
            # pyte knows no colons between parameters, and asks back for nothing here.
            self._stream.feed(data)
            within = 0.0

    @property
    def lines(self) -> list[str]:
        """What is on the screen, without spaces at the ends."""
        return [line.rstrip() for line in self.screen.display]

    @property
    def text(self) -> str:
        """What is on the screen, as one text."""
        return "\n".join(self.lines)

    def wait_for(self, wanted: str | Callable[[], object]) -> None:
        """Wait until a text is on the screen, or until something is true of it."""
        deadline = time.monotonic() + TIMEOUT
        while not (wanted in self.text if isinstance(wanted, str) else wanted()):
            assert time.monotonic() < deadline, f"{wanted!r} does not come:\n{self.text}\n{self.written[-2000:]!r}"
            self.read(0.05)

    def wait(self) -> int:
        """Wait until the program has ended, and return its exit code."""
        deadline = time.monotonic() + TIMEOUT
        while self.process.poll() is None:
            assert time.monotonic() < deadline, f"it does not end:\n{self.text}"
            self.read(0.05)
        self.read()
        return self.process.returncode

    @property
    def is_restored(self) -> bool:
        """Whether the terminal is as it was: its settings, the screen, the cursor."""
        left = self.written.rfind(b"\x1b[?1049l") > self.written.rfind(b"\x1b[?1049h")
        shown = self.written.rfind(b"\x1b[?25h") > self.written.rfind(b"\x1b[?25l")
        return left and shown and termios.tcgetattr(self._slave) == self.before

    def close(self) -> None:
        """Kill the program, and let go of the terminal."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait(TIMEOUT)
        self.hang_up()

    def hang_up(self) -> None:
        """Let the terminal go away, as a connection that breaks."""
        for descriptor in (self.master, self._slave):
            with contextlib.suppress(OSError):
                os.close(descriptor)


@contextlib.contextmanager
def terminal(words: Sequence[str], env: Mapping[str, str], columns: int = 80, lines: int = 24) -> Iterator[Terminal]:
    """Run a program at a terminal of a size."""
    one = Terminal(words, columns, lines, env={"TERM": "xterm-256color", "LC_ALL": "C.UTF-8", **env})
    try:
        yield one
    finally:
        one.close()
