"""What is asked over the control socket, and who answers it: reload, dry run, status, orders about servers."""

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
from l7.master.control import ControlSocket, Desk, Visitor
from l7.master.fleet import Fleet
from l7.master.generations import Generations
from l7.master.insight import insight
from l7.master.lifecycle import ENDS, MasterState
from l7.master.polling import Poll
from l7.master.relay import Relay
from l7.master.report import connections, moment, workers
from l7.master.roster import Roster
from l7.master.servers import table
from l7.master.verdicts import Verdicts
from l7.telemetry.board import Board


class Inquiries:
    """Takes questions and sees to it that each is answered, without ever waiting.

    :param fleet: what the supervision knows now.
    :param reload: asks for a reload, as HUP does.
    :param control_worker: what is to be said of the control worker.
    """

    def __init__(
        self, poll: Poll, control: ControlSocket | None, board: Board, roster: Roster, relay: Relay,
        generations: Generations, fleet: Callable[[], Fleet], reload: Callable[[], None],
        control_worker: Callable[[], Answer | None],
    ) -> None:  # fmt: skip
        self.desk = Desk(poll, control, self._ask)
        self.verdicts = Verdicts(self.desk.answer, lambda: relay.passed)
        self._board = board
        self._roster = roster
        self._generations = generations
        self._fleet = fleet
        self._reload = reload
        self._control_worker = control_worker
        self._wants_reload = False

    @property
    def due(self) -> float | None:
        """When to look again."""
        moments = [self.desk.due, self.verdicts.due]
        return min((moment for moment in moments if moment is not None), default=None)

    def look(self) -> None:
        """Answer what can be answered by now."""
        self.verdicts.look()
        self.desk.expire()
        if self._wants_reload and self._fleet().phase not in {MasterState.UPGRADING, *ENDS}:
            # While another l7 is about to take over, whoever asks waits: that one does the reload, or we when it fails.
            self._wants_reload = False
            self._reload()

    def close(self, why: str, *, again: bool = False) -> None:
        """Answer whoever waits, and take no more questions; ``again`` says that another l7 takes them now."""
        self.verdicts.stopped(why, again=again)
        self.desk.close()

    def _ask(self, visitor: Visitor, request: Request) -> None:
        if isinstance(request, ReloadRequest) and self._fleet().phase not in ENDS:
            self.verdicts.want(visitor)
            self._wants_reload = True
        else:
            self.desk.answer(visitor, self._answer(request))

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
        phase = self._fleet().phase
        if phase in ENDS or phase is MasterState.UPGRADING:
            return refusal(f"l7 is {phase.value}; ask again")
        return self._generations.administration.answer(request)

    def _preview(self) -> Answer:
        changes, problems, _ = self._generations.preview(try_out=True)
        number = self._generations.current.generation.number
        return {"ok": not problems, "generation": number, "changes": changes, "reasons": problems}

    def _status(self) -> Answer:
        served, fleet = self._generations.current, self._fleet()
        changes, problems, digest = self._generations.preview()
        on_disk = "invalid" if problems else "same" if digest == served.generation.digest else "differs"
        last = self.verdicts.last
        return {
            "ok": True,
            "version": __version__,
            "compiled": is_compiled(),
            "caution": caution() or None,
            "pid": os.getpid(),
            "state": fleet.phase.value,
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
            "connections": connections(self._board, self._generations.books.ledger),
            "workers": workers(fleet, self._roster.handles, self._board),
            "control": self._control_worker(),
            "servers": list(table(served.generation.config, self._generations.books)),
        }


def _full(path: str) -> str:
    try:
        return os.path.abspath(path)
    except OSError:  # the working directory is gone
        return path
