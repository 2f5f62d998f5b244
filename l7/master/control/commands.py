"""The commands of the control socket: reload, dry run, status, explain, server overrides."""

from __future__ import annotations

import os
from collections.abc import Callable

from l7 import __version__
from l7.compiled import caution, is_compiled
from l7.ipc.requests import (
    Answer,
    DryRunRequest,
    ExplainRequest,
    ReloadRequest,
    Request,
    ServerRequest,
    StatusRequest,
    refusal,
)
from l7.master.children.connection_broker import ConnectionBroker
from l7.master.children.poll import Poll
from l7.master.children.table import ChildTable
from l7.master.control.explain import insight
from l7.master.control.reload_waiters import ReloadWaiters
from l7.master.control.server import ControlConnection, ControlServer, ControlSocket
from l7.master.control.server_table import table
from l7.master.control.status import connections, moment, workers
from l7.master.state.generations import Generations
from l7.master.supervision.lifecycle import ENDS, MasterState
from l7.master.supervision.state import SupervisorState
from l7.sharedmem.scoreboard import Scoreboard


class ControlCommands:
    """Answers each request of the control socket, without ever waiting.

    :param fleet: returns the supervision's state.
    :param reload: asks for a reload, as HUP does.
    :param monitor_status: returns the status of the monitor process.
    """

    def __init__(
        self,
        poll: Poll,
        control: ControlSocket | None,
        scoreboard: Scoreboard,
        children: ChildTable,
        relay: ConnectionBroker,
        generations: Generations,
        state: Callable[[], SupervisorState],
        reload: Callable[[], None],
        monitor_status: Callable[[], Answer | None],
    ) -> None:
        self.control_server = ControlServer(poll, control, self._ask)
        self.reload_waiters = ReloadWaiters(self.control_server.answer, lambda: relay.passed)
        self._scoreboard = scoreboard
        self._children = children
        self._generations = generations
        self._state = state
        self._reload = reload
        self._monitor_status = monitor_status
        self._wants_reload = False

    @property
    def due(self) -> float | None:
        """When to look again."""
        moments = [self.control_server.due, self.reload_waiters.due]
        return min((moment for moment in moments if moment is not None), default=None)

    def look(self) -> None:
        """Answer the requests that can be answered by now."""
        self.reload_waiters.look()
        self.control_server.expire()
        if self._wants_reload and self._state().phase not in {MasterState.UPGRADING, *ENDS}:
            # While a successor is about to take over, a reload waits: it is done by that one, or here when it fails.
            self._wants_reload = False
            self._reload()

    def close(self, why: str, *, again: bool = False) -> None:
        """Answer all that wait, and take no more requests; ``again`` says that another l7 takes them now."""
        self.reload_waiters.stopped(why, again=again)
        self.control_server.close()

    def _ask(self, visitor: ControlConnection, request: Request) -> None:
        if isinstance(request, ReloadRequest) and self._state().phase not in ENDS:
            self.reload_waiters.want(visitor)
            self._wants_reload = True
        else:
            self.control_server.answer(visitor, self._answer(request))

    def _answer(self, request: Request) -> Answer:
        if isinstance(request, StatusRequest):
            return self._status()
        if isinstance(request, ExplainRequest):
            return insight(self._generations, request)
        if isinstance(request, DryRunRequest):
            return self._preview()
        if isinstance(request, ServerRequest):
            return self._order(request)
        return refusal("l7 is stopping")

    def _order(self, request: ServerRequest) -> Answer:
        phase = self._state().phase
        if phase in ENDS or phase is MasterState.UPGRADING:
            return refusal(f"l7 is {phase.value}; ask again")
        return self._generations.administration.answer(request)

    def _preview(self) -> Answer:
        changes, problems, _ = self._generations.preview(try_out=True)
        number = self._generations.current.generation.number
        return {"ok": not problems, "generation": number, "changes": changes, "reasons": problems}

    def _status(self) -> Answer:
        served, state = self._generations.current, self._state()
        changes, problems, digest = self._generations.preview()
        on_disk = "invalid" if problems else "same" if digest == served.generation.digest else "differs"
        last = self.reload_waiters.last
        return {
            "ok": True,
            "version": __version__,
            "compiled": is_compiled(),
            "caution": caution() or None,
            "pid": os.getpid(),
            "state": state.phase.value,
            "listening": [str(listener) for listener in served.listeners],
            "configuration": {
                "generation": served.generation.number,
                "digest": served.generation.digest,
                "file": None if served.file is None else _full(served.file),
                "loaded": moment(served.loaded),
                "on-disk": on_disk,
                "changes": changes,
                "problems": problems,
            },
            "last-reload": None if last is None else {**last, "at": moment(last["at"])},
            "connections": connections(self._scoreboard, self._generations.shared_state.shared_memory),
            "workers": workers(state, self._children.handles, self._scoreboard),
            "monitor": (monitor := self._monitor_status()),
            "control": monitor,  # its key in 0.1
            "servers": list(table(served.generation.config, self._generations.shared_state)),
        }


def _full(path: str) -> str:
    try:
        return os.path.abspath(path)
    except OSError:  # the working directory is gone
        return path
