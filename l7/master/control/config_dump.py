"""The dump of USR1: a line for each process, from the master's state and the scoreboard, and its output.

To write down ten thousand backends takes seconds, and who reads it may take his time: another process does both.
"""

from __future__ import annotations

import contextlib
import os
import signal
from collections.abc import Callable, Iterable, Mapping

from l7.clock import monotonic
from l7.config.generation import ConfigDump
from l7.master.children import fork
from l7.master.children.handle import ChildProcess
from l7.master.children.signals import SignalRequest
from l7.master.context import MasterContext
from l7.master.part import MasterPart
from l7.master.supervision.lifecycle import ENDS
from l7.sharedmem.scoreboard import BEAT, CHECKED, CONNECTIONS, IN_FLIGHT, NAMES, Scoreboard
from l7.telemetry.shared_output import SharedOutput

LATE = 2.0
"""Seconds without a heartbeat after which the dump says so."""
WRITE_WITHIN = 5.0
"""Seconds after which a dump that is not read is given up."""
STDOUT = 1
TITLE = "l7: dump"


class ConfigDumper(MasterPart):
    """Has the dump written that USR1 asks for, one at a time."""

    def __init__(self, context: MasterContext) -> None:
        self._context = context
        self._wanted = False
        self._writing: int | None = None
        """The process that writes one."""

    @property
    def signals(self) -> Mapping[SignalRequest, Callable[[], None]]:
        """USR1."""
        return {SignalRequest.DUMP: self._want}

    @property
    def pids(self) -> tuple[int, ...]:
        """The process that writes a dump."""
        return () if self._writing is None else (self._writing,)

    def look(self) -> None:
        """Begin the dump that is wanted, when the one before is written."""
        if self._writing is not None and _has_ended(self._writing):
            self._writing = None
        if self._wanted and self._writing is None:
            self._wanted = False
            self._begin()

    def close(self) -> None:
        """Give up a dump that is not written yet: l7 ends."""
        if self._writing is not None:
            with contextlib.suppress(ProcessLookupError, ChildProcessError):
                os.kill(self._writing, signal.SIGKILL)
                os.waitpid(self._writing, 0)

    def _want(self) -> None:
        self._wanted = True

    def _begin(self) -> None:
        context, master = self._context, os.getpid()
        states = {child.slot: child.state.value for child in context.machine.state.children}
        lines = process_lines(context.children.handles.values(), states, context.scoreboard)
        try:
            dump = context.generations.dump(lines)
        except (Exception, SystemExit) as error:  # a question must never be the end of a master that serves
            self._refuse(error)
            return
        if not dump.aside:
            self._write(dump, self._is_in_a_hurry)
            return
        try:
            self._writing = fork.aside(
                lambda: self._write(dump, lambda: os.getppid() != master),
                lambda: context.close_in_child.close(()),
                TITLE,
            )
        except OSError as error:
            self._refuse(error)
        finally:
            dump.release()

    def _write(self, dump: ConfigDump, hurry: Callable[[], bool]) -> None:
        try:
            text = dump.text()
        except (Exception, SystemExit) as error:
            self._refuse(error)
            return
        write(text, self._context.resources.output_lock, hurry, self._context.events.warning)

    def _refuse(self, error: BaseException) -> None:
        self._context.events.error(f"the configuration cannot be shown: {error}")

    def _is_in_a_hurry(self) -> bool:
        return self._context.machine.state.phase in ENDS or self._context.signal_queue.is_told_to_stop


def _has_ended(pid: int) -> bool:
    """Whether a process of ours has ended; it is reaped then."""
    try:
        return os.waitpid(pid, os.WNOHANG)[0] != 0
    except ChildProcessError:
        return True


def process_lines(handles: Iterable[ChildProcess], states: Mapping[int, str], scoreboard: Scoreboard) -> list[str]:
    """A line for each child of the master, the oldest generation first; ``states`` are by slot."""
    order = sorted(handles, key=lambda handle: (handle.generation, handle.index, handle.pid))
    return [_line(handle, states.get(handle.slot, "gone"), scoreboard.slot(handle.slot)) for handle in order]


def _line(handle: ChildProcess, state: str, cells: memoryview) -> str:
    now = monotonic()
    name = f"worker {handle.index + 1}" if handle.index >= 0 else "monitor"
    silence = now - cells[BEAT] / 1e9 if cells[BEAT] else 0.0
    if handle.index >= 0:
        work = f"requests in flight {cells[IN_FLIGHT]}, connections {cells[CONNECTIONS]}"
    else:
        work = f"servers checked {cells[CHECKED]}, names {cells[NAMES]}"
    return (
        f"{name}: pid {handle.pid}, generation {handle.generation}, digest {handle.digest},"
        f" age {now - handle.started:.1f} s, {work}, {state}"
    ) + (f", no heartbeat for {silence:.1f} s" if silence >= LATE else "")


def write(text: str, lock: int, hurry: Callable[[], bool], warn: Callable[[str], None]) -> None:
    """Write to standard output, between the lines of the workers and never within one.

    It is given up, with a warning, when it is not read in time, cannot be written, or ``hurry`` returns True; never
    raises.
    """
    content = text.encode("utf-8", "backslashreplace")
    deadline = monotonic() + WRITE_WITHIN
    try:
        written, _ = SharedOutput(STDOUT, lock).write(content, lambda: hurry() or monotonic() >= deadline)
    except OSError:
        written = 0
    if written < len(content):
        warn("standard output takes no more, or is not read: the dump is lost")
