"""Writing whole lines to a descriptor that other processes write to as well, with a bounded wait.

Standard output is shared: every worker's access log and the master's dump go there. They take turns by an advisory
lock (``fcntl.lockf``) on a descriptor that the master makes before it forks (`make_lock`). Such a lock belongs to a
*process*: it does not exclude two threads of one process, a fork does not inherit it, it is released when its process
ends, and **it is lost when any descriptor of the locked file is closed in its process**: so the lock's descriptor is
never closed or duplicated.

A pipe whose reader has stopped fills up. Descriptors stay blocking (the open file is shared with other programs);
instead a write waits until there is room and is never larger than what then surely fits: a pipe's capacity when it is
empty, else ``PIPE_BUF``.
"""

from __future__ import annotations

import _thread
import fcntl
import os
import select
import stat
import sys
import termios
import time
from collections.abc import Callable
from typing import Any, NamedTuple

# A writable pipe takes so many bytes at once, and never interleaves them with other writers (POSIX: PIPE_BUF).
PIECE = select.PIPE_BUF

LOG_MODE = 0o640
"""Permissions of a log file that is created."""

_MOST_LINKS = 40
_STALL_SLICE = 50  # milliseconds between two looks at whether to give up
_LOCK_SLICE = 0.002

Impatience = Callable[[], bool]
"""Returns whether it is time to give up waiting."""


class NativeThreading(NamedTuple):
    """The threading functions for a thread beside an event loop: in a monkey-patched process, the originals."""

    start_thread: Callable[[Callable[[], None], tuple[()]], Any] = _thread.start_new_thread
    poll: Callable[[], Any] = select.poll
    sleep: Callable[[float], None] = time.sleep


NATIVE = NativeThreading()
"""The functions as they were when this module was imported."""


def descriptor_of(path: str) -> int | None:
    """The descriptor of this process that a path names, itself or by links: ``/dev/stdout``, ``/dev/fd/3``; else None.

    The path behind the descriptor is not looked up: a pipe, a socket or a file that only root may open cannot be opened
    again by a path, and need not be.
    """
    for _ in range(_MOST_LINKS):
        try:
            directory, name = os.path.split(os.path.abspath(path))
            real = os.path.realpath(directory)
            if real in ("/proc/self/fd", f"/proc/{os.getpid()}/fd"):
                return int(name) if name.isascii() and name.isdigit() and len(name) < 10 else None
            path = os.path.join(real, os.readlink(os.path.join(real, name)))
        except (OSError, ValueError):
            return None
    return None


def open_for_lines(path: str, flags: int = 0, folder: int | None = None, *, create: bool = True) -> int:
    """Open a file for appending, or create it; raises ``OSError``.

    :param flags: are added to those of ``open``.
    :param folder: a descriptor of the directory that a relative path begins at.
    """
    # O_NONBLOCK: a named pipe without a reader is an error at once rather than an endless wait.
    flags |= os.O_WRONLY | os.O_APPEND | os.O_CLOEXEC | os.O_NOCTTY | os.O_NONBLOCK
    try:
        # Without O_CREAT first: with it, not even root may open another account's file in /tmp (fs.protected_regular).
        return os.open(path, flags, dir_fd=folder)
    except FileNotFoundError:
        if not create:
            raise
        return os.open(path, flags | os.O_CREAT, LOG_MODE, dir_fd=folder)


def make_lock() -> int:
    """Make the descriptor that writers to one output lock: once, before the fork; it is never closed."""
    return os.memfd_create("l7-output", os.MFD_CLOEXEC)


class SharedOutput:
    """A descriptor for whole lines. ``lock`` is from `make_lock`, or ``None`` for an output with one writer."""

    __slots__ = ("_lock", "_native", "_pipe", "_poll", "_torn", "_unbounded", "fd")

    def __init__(self, fd: int, lock: int | None = None, native: NativeThreading = NATIVE) -> None:
        self.fd = fd
        self._lock = lock
        self._native = native
        mode = os.fstat(fd).st_mode
        self._pipe = stat.S_ISFIFO(mode)
        self._unbounded = stat.S_ISREG(mode) or (stat.S_ISCHR(mode) and not os.isatty(fd))
        self._poll = native.poll()
        self._poll.register(fd, select.POLLOUT)
        self._torn = False

    def write(self, data: bytes, raise_on_stop: Impatience) -> tuple[int, OSError | None]:
        """Write lines in turn with the other processes: returns the bytes written, and the error that ended it.

        Fewer bytes and no error: ``raise_on_stop`` returned True. Never raises ``OSError``.
        """
        locked = self._acquire(raise_on_stop)
        try:
            return self._write(data, raise_on_stop)
        finally:
            if locked:
                self._release()

    def close(self) -> None:
        """Close the descriptor, unless it is a standard one."""
        if self.fd > 2:
            os.close(self.fd)

    def _acquire(self, raise_on_stop: Impatience) -> bool:
        if self._lock is None:
            return False
        while True:
            try:
                fcntl.lockf(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                return True
            except BlockingIOError:
                if raise_on_stop():
                    return False
                self._native.sleep(_LOCK_SLICE)
            except OSError:
                return False

    def _release(self) -> None:
        if self._lock is not None:
            fcntl.lockf(self._lock, fcntl.LOCK_UN)

    def _write(self, data: bytes, raise_on_stop: Impatience) -> tuple[int, OSError | None]:
        if self._torn:
            # A line that was cut off gets its newline: it must not be read as the beginning of the next one.
            ended, error = self._write_bytes(b"\n", raise_on_stop)
            if not ended:
                return 0, error
            self._torn = False
        written, error = self._write_bytes(data, raise_on_stop)
        if written:
            self._torn = data[written - 1] != 0x0A
        return written, error

    def _write_bytes(self, data: bytes, raise_on_stop: Impatience) -> tuple[int, OSError | None]:
        written, total = 0, len(data)
        while written < total:
            room = self._await_room(raise_on_stop)
            if not room:
                break
            try:
                written += os.write(self.fd, data[written : _end_of_lines(data, written, room)])
            except BlockingIOError:
                if raise_on_stop():
                    break
                self._native.sleep(_LOCK_SLICE)
            except OSError as error:
                return written, error
        return written, None

    def _await_room(self, raise_on_stop: Impatience) -> int:
        """Wait until a write does not block (or fails at once); returns how many bytes, 0 when time is up."""
        if self._unbounded:
            return sys.maxsize
        if self._pipe and not any(fcntl.ioctl(self.fd, termios.FIONREAD, b"\0\0\0\0")):
            return fcntl.fcntl(self.fd, fcntl.F_GETPIPE_SZ)
        while not self._poll.poll(_STALL_SLICE):
            if raise_on_stop():
                return 0
        return PIECE


def _end_of_lines(data: bytes, begin: int, room: int) -> int:
    """Where a write of at most ``room`` bytes ends: behind the last whole line, or within a line that is longer."""
    if len(data) - begin <= room:
        return len(data)
    return data.rfind(b"\n", begin, begin + room) + 1 or begin + room
