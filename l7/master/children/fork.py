"""Fork a child: a worker, the monitor process, or what works aside, with the master's descriptors closed in it."""

from __future__ import annotations

import contextlib
import faulthandler
import gc
import os
import signal
import socket
import sys
import traceback
from collections.abc import Callable
from typing import NoReturn, Protocol, TypeVar

from setproctitle import setproctitle

from l7.config.generation import Generation
from l7.ipc.channel import Channel, pair
from l7.master.children.handle import ChildProcess
from l7.master.children.signals import become_worker
from l7.telemetry.events import Events
from l7.workers.process import WorkerSpec

Run = Callable[[WorkerSpec], int]
"""What a worker runs; returns the exit status."""
CRASHED = 1
"""The exit status of a worker that ended with an exception."""


class ChildSpec(Protocol):
    """What a child gets from the master."""

    @property
    def generation(self) -> Generation:
        """The generation that it serves."""


B = TypeVar("B", bound=ChildSpec)


def spawn(
    handle_of: Callable[[int, Channel], ChildProcess],
    boot_of: Callable[[socket.socket], B],
    run: Callable[[B], int],
    release: Callable[[], None],
    events: Events,
    title: str,
) -> ChildProcess:
    """Fork a child; raises ``OSError`` when the system allows no further process.

    :param handle_of: makes the master's handle of the child from its pid and the channel to it.
    :param boot_of: makes the child's spec from its end of the channel.
    :param release: closes the master's own descriptors in the child.
    :param title: the process title that ``ps`` shows.
    """
    ours, theirs = pair()
    with theirs:
        flush()
        # A signal that came between fork and reset would be noted in the child for a loop that never runs there.
        mask = signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
        try:
            pid = os.fork()
            if pid == 0:
                # Objects of the master live on in here. To look at one for garbage is to copy the page that it is in.
                gc.freeze()
                _live(ours, lambda: boot_of(theirs), run, release, events, title)
        except OSError:
            ours.close()
            raise
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, mask)
    return handle_of(pid, Channel(ours, lambda text: events.warning(f"process {pid}: {text}")))


def aside(work: Callable[[], None], release: Callable[[], None], title: str) -> int:
    """Fork a process that does one thing, with what the master knows at this moment, and ends; returns its pid.

    The caller reaps it. Raises ``OSError`` when the system allows no further process.
    """
    flush()
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
    try:
        pid = os.fork()
        if pid == 0:
            _work(work, release, title)
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)
    return pid


def _work(work: Callable[[], None], release: Callable[[], None], title: str) -> NoReturn:
    status = CRASHED
    try:
        gc.freeze()  # as above
        release()
        become_worker()
        setproctitle(title)
        work()
        status = 0
    finally:
        flush()
        os._exit(status)


def _live(
    ours: socket.socket, boot_of: Callable[[], B], run: Callable[[B], int], release: Callable[[], None],
    events: Events, title: str,
) -> NoReturn:  # fmt: skip
    """Run the child and exit with its status; never returns into the master's code."""
    status = CRASHED
    try:
        release()
        ours.close()
        become_worker()
        boot = boot_of()
        events.generation = boot.generation.number
        setproctitle(title)
        _arm()
        status = run(boot)
    except SystemExit as end:
        status = end.code if isinstance(end.code, int) else CRASHED
    except BaseException as fault:  # whatever it was, the child exits, and must report it
        _report_crash(fault, events)
    finally:
        flush()
        os._exit(status)


def _arm() -> None:
    """Make a child write its stacks: on ABRT, which the master sends to one that hangs; on USR2 until it serves."""
    with contextlib.suppress(OSError, ValueError, RuntimeError, AttributeError):
        faulthandler.enable()
        faulthandler.register(signal.SIGUSR2)


def _report_crash(fault: BaseException, events: Events) -> None:
    last = traceback.extract_tb(fault.__traceback__)[-1:]
    where = f" at {last[0].filename}:{last[0].lineno}" if last else ""
    events.error(f"worker failed: {type(fault).__name__}: {fault}{where}")
    for line in traceback.format_exception(fault):
        for part in line.rstrip().splitlines():
            events.debug(part)


def flush() -> None:
    """Flush standard output and error, so that the child does not write buffered text again."""
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(OSError, ValueError, AttributeError):
            stream.flush()
