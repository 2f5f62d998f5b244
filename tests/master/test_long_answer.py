"""Answers on the control socket that are long to make: the master does other things meanwhile."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator
from typing import Any

import pytest

from l7.ipc.requests import REQUESTS, Request, StatusRequest
from l7.master.children.poll import Poll
from l7.master.control import long_answer, server
from l7.master.control.long_answer import pieces_of
from l7.master.control.server import ControlConnection, ControlServer

ASKED = REQUESTS.encode(StatusRequest()) + b"\n"
MANY = 20_000


@pytest.mark.parametrize("within", [0.0, 60.0])
@pytest.mark.parametrize("answer", [{}, {"ok": True, "pid": 7}])
def test_pieces_are_one_line_of_json(answer: dict[str, Any], within: float, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(long_answer, "PIECE_WITHIN", within)
    lists = {"none": (), "blank": (None, None), "some": (None, {"a": 1}, None, {"b": "]"}, {})}
    pieces = list(pieces_of(answer, lists))
    assert (len(pieces) > 7) is (within == 0.0)
    text = b"".join(pieces)
    assert text.index(b"\n") == len(text) - 1
    assert json.loads(text) == {**answer, "none": [], "blank": [], "some": [{"a": 1}, {"b": "]"}, {}]}


class Asked:
    """A server of the control socket that tells ``MANY`` entries, and how many it has made for each who asked."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(long_answer, "PIECE_WITHIN", 0.0)
        self.poll = Poll()
        self.reports: list[str] = []
        self.server = ControlServer(self.poll, None, self.reports.append)
        self.server.handle(self._answer)
        self.made: list[int] = []
        self.fails_at = -1

    def _answer(self, connection: ControlConnection, _: Request) -> None:
        self.server.answer_at_length(connection, {"ok": True}, {"servers": self._entries()})

    def _entries(self) -> Iterator[dict[str, int]]:
        mine = len(self.made)
        self.made.append(0)
        for number in range(MANY):
            if number == self.fails_at:
                raise LookupError("nobody knows")
            self.made[mine] += 1
            yield {"number": number}

    def ask(self) -> socket.socket:
        ours, theirs = socket.socketpair()
        ours.setblocking(False)
        self.server.welcome(theirs.detach())
        ours.sendall(ASKED)
        return ours

    def read(self, sock: socket.socket) -> bytes:
        """Turn as the master does, and read until the end."""
        found = bytearray()
        while True:
            self.poll.wait(0.0)
            try:
                data = sock.recv(1 << 20)
            except BlockingIOError:
                continue
            if not data:
                return bytes(found)
            found += data


def test_a_turn_makes_one_piece_and_who_reads_nothing_has_no_more_made(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = Asked(monkeypatch)
    with asked.ask() as silent, asked.ask() as reader:
        for turn in range(1, 4):
            asked.poll.wait(0.0)
            assert asked.made == [turn, turn]
        assert len(json.loads(asked.read(reader))["servers"]) == MANY
        made = asked.made[0]
        assert made < MANY
        asked.poll.wait(0.0)
        assert asked.made == [made, MANY]
        monkeypatch.setattr(server, "monotonic", lambda: 1e12)
        asked.server.expire()
        assert asked.server.due is None
        assert asked.read(silent).count(b"number") <= made


def test_one_that_cannot_be_ended_is_cut_off_and_told(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = Asked(monkeypatch)
    asked.fails_at = 3
    with asked.ask() as reader:
        assert not asked.read(reader).endswith(b"}\n")
    assert asked.reports == ["an answer on the control socket was cut off: LookupError: nobody knows"]
