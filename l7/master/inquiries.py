"""What is asked over the control socket, and who answers it: reload, dry run, status, orders about servers."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

from l7 import __version__
from l7.master.control import ControlSocket, Desk, Message, Visitor
from l7.master.fleet import Fleet
from l7.master.generations import Generations
from l7.master.insight import insight
from l7.master.lifecycle import BEATS, ENDS, MasterState
from l7.master.polling import Poll
from l7.master.relay import Relay
from l7.master.report import Survey, moment
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
        control_worker: Callable[[], Message | None],
    ) -> None:  # fmt: skip
        self.desk = Desk(poll, control, self._ask)
        self.verdicts = Verdicts(self.desk.answer, lambda: relay.passed)
        self._board = board
        self._roster = roster
        self._generations = generations
        self._fleet = fleet
        self._reload = reload
        self._control_worker = control_worker
        self._surveys: list[Survey] = []
        self._wants_reload = False

    @property
    def due(self) -> float | None:
        """When to look again."""
        moments = [self.desk.due, self.verdicts.due, *(survey.due for survey in self._surveys)]
        return min((moment for moment in moments if moment is not None), default=None)

    def look(self) -> None:
        """Answer what can be answered by now."""
        self.verdicts.look()
        self.desk.expire()
        if self._wants_reload and self._fleet().phase not in {MasterState.UPGRADING, *ENDS}:
            # While another l7 is about to take over, whoever asks waits: that one does the reload, or we when it fails.
            self._wants_reload = False
            self._reload()
        for survey in [survey for survey in self._surveys if survey.over]:
            self._surveys.remove(survey)
            self.desk.answer(survey.visitor, self._status(survey))

    def heard(self, slot: int) -> None:
        """A worker has answered, or has ended."""
        for survey in self._surveys:
            survey.heard(slot)

    def close(self, why: str, *, again: bool = False) -> None:
        """Answer whoever waits, and take no more questions; ``again`` says that another l7 takes them now."""
        self.verdicts.stopped(why, again=again)
        self.desk.close()

    def _ask(self, visitor: Visitor, question: Message) -> None:
        wish = question.get("do")
        if wish == "status":
            self._surveys.append(Survey(visitor, self._board, self._ask_workers()))
        elif wish == "explain":
            self.desk.answer(visitor, insight(self._generations, question))
        elif wish == "dry-run":
            self.desk.answer(visitor, self._preview())
        elif wish == "server":
            self.desk.answer(visitor, self._order(question))
        elif wish == "reload" and self._fleet().phase in ENDS:
            self.desk.answer(visitor, {"ok": False, "reasons": ["l7 is stopping"]})
        elif wish == "reload":
            self.verdicts.want(visitor)
            self._wants_reload = True
        else:
            self.desk.answer(visitor, {"ok": False, "reasons": ["unknown question"]})

    def _ask_workers(self) -> set[int]:
        slots = [worker.slot for worker in self._fleet().workers if worker.state in BEATS]
        handles = [handle for slot in slots if (handle := self._roster.get(slot)) is not None]
        return {handle.slot for handle in handles if handle.tell({"do": "dump"})}

    def _order(self, question: Message) -> Message:
        phase = self._fleet().phase
        if phase in ENDS or phase is MasterState.UPGRADING:
            return {"ok": False, "reasons": [f"l7 is {phase.value}; ask again"]}
        return self._generations.administration.answer(question)

    def _preview(self) -> Message:
        changes, problems, _ = self._generations.preview(try_out=True)
        number = self._generations.current.generation.number
        return {"ok": not problems, "generation": number, "changes": changes, "reasons": problems}

    def _status(self, survey: Survey) -> Message:
        served, fleet = self._generations.current, self._fleet()
        changes, problems, digest = self._generations.preview()
        on_disk = "invalid" if problems else "same" if digest == served.generation.digest else "differs"
        last = self.verdicts.last
        report: dict[str, Any] = {
            "ok": True,
            "version": __version__,
            "pid": os.getpid(),
            "state": fleet.phase.value,
            "listening": [str(listener) for listener in served.listeners],
            "configuration": {
                "generation": served.generation.number,
                "digest": served.generation.digest,
                "file": None if served.file is None else os.path.abspath(served.file),
                "loaded": moment(served.loaded),
                "on-disk": on_disk,
                "changes": changes,
                "problems": problems,
            },
            "last-reload": None if last is None else {**last, "at": moment(last["at"])},
            "workers": survey.workers(fleet, self._roster.handles),
            "control": self._control_worker(),
            "servers": list(table(served.generation.config, self._generations.books)),
        }
        return report
