"""The commands of the control socket: reload, dry run, status, explain, server overrides."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Any, Protocol

from l7 import __version__
from l7.compiled import caution, is_compiled
from l7.ipc.requests import (
    Answer,
    DryRunRequest,
    ExplainRequest,
    HistoryRequest,
    OverviewRequest,
    RecorderRequest,
    ReloadRequest,
    ReopenLogsRequest,
    Request,
    ServerRequest,
    ServersRequest,
    StatusRequest,
    refusal,
    unknown,
)
from l7.master.context import MasterContext
from l7.master.control.explain import insight
from l7.master.control.log_reopener import LogReopener
from l7.master.control.reload_tracker import ReloadTracker
from l7.master.control.server import ControlConnection, ControlServer
from l7.master.control.server_table import history, states, table
from l7.master.control.status import connections, moment, refused, workers
from l7.master.part import MasterPart
from l7.master.supervision.events import ReloadRequested
from l7.master.supervision.lifecycle import ENDS, MasterPhase

NO_MONITOR = "the monitor process, which makes the overview, is not at work just now; ask again in a moment"


class Monitor(Protocol):
    """The monitor process."""

    def entry(self) -> Answer | None:
        """Its status; None where there is none."""

    def tell_overview(self, descriptor: int) -> bool:
        """Let it answer a connection; False where that cannot be now."""


class ControlCommands(MasterPart):
    """Answers each request of the control socket, without ever waiting."""

    def __init__(
        self,
        context: MasterContext,
        control_server: ControlServer,
        reload_tracker: ReloadTracker,
        logs: LogReopener,
        monitor: Monitor,
    ) -> None:
        self._context = context
        self._machine = context.machine
        self._generations = context.generations
        self._server = control_server
        self._reload_tracker = reload_tracker
        self._logs = logs
        self._monitor = monitor
        self._wants_reload: ReloadRequest | None = None

    def start(self) -> None:
        """Answer from now on; the socket is opened when this is the master."""
        self._context.close_in_child.add(self._server.release)
        self._server.handle(self._ask)

    def open(self) -> None:
        """Open the control socket: this is the master now."""
        self._server.open()

    @property
    def due(self) -> float | None:
        """When `look` is to be called again."""
        return self._server.due

    def look(self) -> None:
        """Answer the requests that can be answered by now."""
        self._server.expire()
        if self._wants_reload is not None and self._machine.state.phase not in {MasterPhase.UPGRADING, *ENDS}:
            # While a successor is about to take over, a reload waits: it is done by that one, or here when it fails.
            wanted, self._wants_reload = self._wants_reload, None
            self._machine.post(ReloadRequested(wanted.force))

    def close(self) -> None:
        """Answer all that wait, and take no more requests: the master ends."""
        self.hand_over("l7 has stopped", again=False)

    def hand_over(self, why: str, *, again: bool = True) -> None:
        """Answer all that wait, and take no more requests; ``again`` says that another l7 takes them now."""
        self._reload_tracker.stopped(why, again=again)
        self._server.close()

    def _ask(self, connection: ControlConnection, request: Request) -> None:
        if isinstance(request, ReloadRequest) and self._machine.state.phase not in ENDS:
            self._reload_tracker.want(connection)
            if self._wants_reload is None or request.force:
                self._wants_reload = request
        elif isinstance(request, ReopenLogsRequest):
            self._logs.reopen(connection)
        elif isinstance(request, RecorderRequest):
            self._show_recorder(connection)
        elif isinstance(request, OverviewRequest):
            if not self._server.pass_on(connection, self._monitor.tell_overview):
                phase = self._machine.state.phase
                self._server.answer(connection, refusal(f"l7 is {phase.value}" if phase in ENDS else NO_MONITOR))
        elif isinstance(request, StatusRequest) and request.servers:
            self._server.answer_at_length(connection, self._status(), self._servers())
        else:
            self._server.answer(connection, self._answer(request))

    def _show_recorder(self, connection: ControlConnection) -> None:
        generation = self._generations.current.generation
        if generation.config.recorder is None:
            self._server.answer(connection, refusal("the recorder is off; write `recorder: {}` to have it"))
            return
        answer = {"ok": True, "pid": os.getpid(), "generation": generation.number}
        self._server.answer(connection, answer, self._generations.shared_state.recorder.descriptor)

    def _answer(self, request: Request) -> Answer:
        if isinstance(request, StatusRequest):
            return self._status()
        if isinstance(request, ExplainRequest):
            return insight(self._generations, request)
        if isinstance(request, DryRunRequest):
            return self._preview()
        if isinstance(request, ServerRequest):
            return self._order(request)
        if isinstance(request, HistoryRequest):
            return history(self._generations, request)
        if isinstance(request, ServersRequest):
            return states(self._generations, request)
        return refusal("l7 is stopping") if isinstance(request, ReloadRequest) else unknown(type(request).__name__)

    def _order(self, request: ServerRequest) -> Answer:
        phase = self._machine.state.phase
        if phase in ENDS or phase is MasterPhase.UPGRADING:
            return refusal(f"l7 is {phase.value}; ask again")
        return self._generations.administration.answer(request)

    def _preview(self) -> Answer:
        changes, problems, _ = self._generations.preview(try_out=True)
        number = self._generations.current.generation.number
        return {"ok": not problems, "generation": number, "changes": changes, "reasons": problems}

    def _status(self) -> Answer:
        served, state = self._generations.current, self._machine.state
        changes, problems, digest = self._generations.preview()
        on_disk = "invalid" if problems else "same" if digest == served.generation.digest else "differs"
        last = self._reload_tracker.last
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
            "last-reload": None
            if last is None
            else {
                **last,
                "at": moment(last["at"]),
                "handed-over": self._reload_tracker.handed_over,
            },
            "reloads": self._reload_tracker.history,
            "connections": connections(self._context.scoreboard, self._generations.shared_state.writer),
            "certificates": [one.info.entry() for one in served.files.certificates],
            "workers": workers(state, self._context.children.handles, self._context.scoreboard),
            "monitor": (monitor := self._monitor.entry()),
            "control": monitor,  # its key in 0.1
            "opener": self._context.resources.opener.status(),
        }

    def _servers(self) -> dict[str, Iterator[Any]]:
        config, shared_state = self._generations.current.generation.config, self._generations.shared_state
        return {"refused": refused(config, shared_state), "servers": table(config, shared_state)}


def _full(path: str) -> str:
    try:
        return os.path.abspath(path)
    except OSError:  # the working directory is gone
        return path
