"""Fork: one process becomes two, and the new one becomes a worker with nothing of the master's in its hands."""

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
"""What a worker does with its life: it returns the exit status."""
CRASHED = 1
"""The exit status of a worker that ended with an exception."""


class ChildSpec(Protocol):
    """What a child is given."""

    @property
    def generation(self) -> Generation:
        """What it serves."""


B = TypeVar("B", bound=ChildSpec)


def spawn(
    handle_of: Callable[[int, Channel], ChildProcess],
    boot_of: Callable[[socket.socket], B],
    run: Callable[[B], int],
    release: Callable[[], None],
    events: Events,
    title: str,
) -> ChildProcess:
    """Fork a worker; raises ``OSError`` when the system has no room for another process.

    :param handle_of: makes the master's view of the child from its pid and the channel to it.
    :param boot_of: makes what the child is given from its end of the channel.
    :param release: closes, in the child, what is the master's only.
    :param title: what ``ps`` shows for it.
    """
    ours, theirs = pair()
    with theirs:
        flush()
        # What lives now lives on in the child: its collector is not to touch, and so copy, the pages that it shares.
        gc.collect()
        gc.freeze()
        # A signal that came between fork and reset would be noted in the child for a loop that never runs there.
        mask = signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
        try:
            pid = os.fork()
            if pid == 0:
                _live(ours, lambda: boot_of(theirs), run, release, events, title)
        except OSError:
            ours.close()
            raise
        finally:
            gc.unfreeze()  # in the master, which may have to collect it one day; a child never comes here
            signal.pthread_sigmask(signal.SIG_SETMASK, mask)
    return handle_of(pid, Channel(ours, lambda text: events.warning(f"process {pid}: {text}")))


def _live(
    ours: socket.socket, boot_of: Callable[[], B], run: Callable[[B], int], release: Callable[[], None],
    events: Events, title: str,
) -> NoReturn:  # fmt: skip
    """The whole life of a child; it never returns into the master's code."""
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
    except BaseException as fault:  # the child is at its end whatever it was, and must say so
        _confess(fault, events)
    finally:
        flush()
        os._exit(status)


def _arm() -> None:
    """Let a child that hangs before it serves say where: USR2 until the worker takes it over, ABRT for ever."""
    with contextlib.suppress(OSError, ValueError, RuntimeError, AttributeError):
        faulthandler.enable()
        faulthandler.register(signal.SIGUSR2)


def _confess(fault: BaseException, events: Events) -> None:
    last = traceback.extract_tb(fault.__traceback__)[-1:]
    where = f" at {last[0].filename}:{last[0].lineno}" if last else ""
    events.error(f"worker failed: {type(fault).__name__}: {fault}{where}")
    for line in traceback.format_exception(fault):
        for part in line.rstrip().splitlines():
            events.debug(part)


def title(index: int, generation: int) -> str:
    """What ``ps`` shows for a worker."""
    return f"l7: worker {index + 1} (generation {generation})"


def flush() -> None:
    """Write what is buffered, so that no two processes do."""
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(OSError, ValueError, AttributeError):
            stream.flush()
