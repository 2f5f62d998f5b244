"""Opens the access log anew, after a rotation that a worker has found or for a command, and hands it to the workers.

Where the new file cannot be opened, lines go on into the old one; that is warned of once, and tried again as long as
workers find that they write to another file than the one at the path.
"""

from __future__ import annotations

from collections.abc import Iterable

from l7.clock import monotonic
from l7.ipc.messages import UseLog
from l7.ipc.requests import Answer, refusal
from l7.master.context import MasterContext
from l7.master.control.reload_tracker import SendVerdict
from l7.master.control.server import ControlConnection
from l7.master.part import MasterPart
from l7.master.resources.logfile import LogOpenResult
from l7.master.supervision.lifecycle import BEATS, LIVE
from l7.telemetry.events import named

ANSWER_WITHIN = 3.0
"""Seconds that workers have to write to the new file before a command is answered without them."""
RETRY = 0.05
"""Seconds until a descriptor is sent again to a worker whose channel had no room for it."""


class LogReopener(MasterPart):
    """Keeps the workers on the file that is at the path of the access log.

    :param answer: sends an answer to a command.
    """

    def __init__(self, context: MasterContext, answer: SendVerdict) -> None:
        self._log = context.resources.log
        self._machine = context.machine
        self._children = context.children
        self._events = context.events
        self._send_answer = answer
        self._unsent: set[int] = set()
        """The slots of workers whose channel had no room for the descriptor."""
        self._unanswered: set[int] = set()
        """The slots of workers that have not said that they write to it."""
        self._waiting: list[tuple[ControlConnection, Answer]] = []
        self._answer_at = 0.0
        self._trouble = ""
        """The warning that was written last; empty since the log could be opened."""

    def reopen(self, connection: ControlConnection) -> None:
        """Open the log anew for a command; answered when all workers write to the file."""
        held = self._log.held
        if held is None or not self._log.may_be_rotated:
            self._send_answer(connection, {"ok": True, "log": None if held is None else held[0], "reopened": False})
            return
        result = self._open()
        if result.trouble:
            self._send_answer(connection, refusal(result.trouble))
            return
        workers = [one.slot for one in self._machine.state.workers if one.state in LIVE | BEATS]
        self._waiting.append(
            (connection, {"ok": True, "log": held[0], "reopened": result.anew, "workers": len(workers)})
        )
        self._answer_at = monotonic() + ANSWER_WITHIN
        if not result.anew:
            self._hand_out(workers)
        self.look()

    def moved(self, slot: int, path: str) -> None:
        """Open the log anew for the worker in a slot, which writes to another file than the one at ``path``."""
        if self._log.held is None or self._log.held[0] != path or not self._log.may_be_rotated:
            return
        result = self._open()
        if not result.trouble and not result.anew:
            self._hand_out([slot])  # the others have it already

    def in_use(self, slot: int) -> None:
        """Note that the worker in a slot writes to the file, or has ended."""
        self._unsent.discard(slot)
        self._unanswered.discard(slot)

    @property
    def due(self) -> float | None:
        """When to send again, or to answer without the workers that do not."""
        if self._unsent:
            return monotonic() + RETRY
        return self._answer_at if self._waiting else None

    def look(self) -> None:
        """Send what could not be sent, and answer the commands that can be answered."""
        self._send()
        if not self._waiting or (self._unanswered and monotonic() < self._answer_at):
            return
        late = len(self._unanswered)
        for connection, answer in self._waiting:
            words = f"{late} of {answer['workers']} workers have not gone over to the file within {ANSWER_WITHIN:g} s"
            self._send_answer(connection, refusal(f"access-log: {answer['log']}: {words}") if late else answer)
        self._waiting.clear()

    def _open(self) -> LogOpenResult:
        held = self._log.held
        assert held is not None
        result = self._log.open(held[0])
        if result.trouble and result.trouble != self._trouble:
            self._events.warning(named("log.not-reopened", result.trouble, log=held[0]))
        self._trouble = result.trouble
        if result.anew:
            # First: what is served after it is said has its line in the new file.
            self._hand_out(one.slot for one in self._machine.state.workers if one.state in LIVE | BEATS)
            self._events.info(named("log.reopened", f"access-log: {held[0]}: opened anew", log=held[0]))
        return result

    def _hand_out(self, slots: Iterable[int]) -> None:
        self._unsent.update(slots)
        self._unanswered |= self._unsent
        self._send()

    def _send(self) -> None:
        held = self._log.held
        for slot in sorted(self._unsent):
            handle = self._children.get(slot)
            if held is None or handle is None or handle.channel.broken:
                self.in_use(slot)
            elif handle.channel.try_send(UseLog(held[0]), held[1]):
                self._unsent.discard(slot)
