"""What a process inherits over exec, put in order: signals, umask, descriptors.

A parent hands these down unasked, and some of them make a server deaf (blocked signals), confused (an ignored SIGCHLD)
or unable to read what it has made (a umask of 0777). What is a decision of the parent process stays as it is: limits
(but for open files, see `l7.master.resources.privileges`), priority, CPUs, working directory, a umask that is stricter
than ours.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import signal
from collections.abc import Collection

KEPT_IGNORED = frozenset({signal.SIGPIPE, signal.SIGXFSZ, signal.SIGHUP, signal.SIGINT, signal.SIGQUIT})
"""Signals that may stay ignored: Python ignores the first two, ``nohup`` and a shell's ``&`` the others. What of these
the master wants to hear, it has taken by then."""
NOT_FOR_OTHERS = 0o022
OWNER = 0o700


def restore_signals() -> None:
    """Let all signals through, and give those that the parent ignored their default action.

    A master calls it when it has its handlers: a signal that waits is delivered at once.
    """
    for number in signal.valid_signals() - KEPT_IGNORED:
        if signal.getsignal(number) is signal.SIG_IGN:
            signal.signal(number, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_SETMASK, ())


def restore_umask() -> None:
    """Set a umask by which others may not write to what l7 makes, and l7 may; a stricter one for others stays."""
    inherited = os.umask(NOT_FOR_OTHERS)
    os.umask((inherited | NOT_FOR_OTHERS) & ~OWNER)


def close_inherited(named: Collection[int] = ()) -> list[int]:
    """Close what was open at exec and has no name: returns those descriptors.

    All that l7 and Python open is closed on exec, and what was handed down by name has been marked so when it was
    taken; what is left without the mark, beside the standard descriptors and ``named``, was forgotten by the parent. It
    would keep a file system, a port or a peer's connection in use for as long as l7 lives.
    """
    closed = []
    for descriptor in _open_descriptors():
        if descriptor > 2 and descriptor not in named and _is_inheritable(descriptor):
            os.close(descriptor)
            closed.append(descriptor)
    return closed


def open_standard_descriptors() -> None:
    """Put the null device where a standard descriptor is closed: else the next socket would become standard output."""
    while True:
        descriptor = os.open(os.devnull, os.O_RDWR)
        if descriptor > 2:
            os.close(descriptor)
            return
        os.set_inheritable(descriptor, True)


def close_all_but(*kept: int) -> None:
    """Close every descriptor but the standard ones and these."""
    for descriptor in _open_descriptors():
        if descriptor > 2 and descriptor not in kept:
            with contextlib.suppress(OSError):  # that of the listing itself
                os.close(descriptor)


def _open_descriptors() -> list[int]:
    try:
        return sorted(map(int, os.listdir("/proc/self/fd")))
    except OSError:  # there is no /proc
        return []


def _is_inheritable(descriptor: int) -> bool:
    try:
        return not fcntl.fcntl(descriptor, fcntl.F_GETFD) & fcntl.FD_CLOEXEC
    except OSError:
        return False  # it was that of the listing itself
