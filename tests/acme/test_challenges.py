"""The memory of challenges: one process writes, all read, and nobody sees half of it."""

from __future__ import annotations

import os
import signal
import time

import pytest

from l7.sharedmem import challenges
from l7.sharedmem.challenges import SIZE, ChallengeTable
from tests.harness import TIMEOUT


def test_a_token_is_answered_while_it_is_put():
    table = ChallengeTable()
    assert table.find("t") is None
    table.put({"t": "t.print", "u": "u.print"})
    assert (table.find("t"), table.find("u"), table.find("v")) == ("t.print", "u.print", None)
    table.put({})
    assert table.find("t") is None


def test_too_many_are_refused_and_change_nothing():
    table = ChallengeTable()
    table.put({"t": "a"})
    with pytest.raises(ValueError, match="no room"):
        table.put({"t": "x" * SIZE})
    assert table.find("t") == "a"


def test_another_process_sees_it_whole_or_not_at_all():
    table, texts = ChallengeTable(), ("a" * 20_000, "b" * 30_000)
    writer = os.fork()
    if writer == 0:
        while True:
            for text in texts:
                table.put({"t": text})
    found: set[str | None] = set()
    until = time.monotonic() + TIMEOUT
    try:
        while not found.issuperset(texts):
            assert time.monotonic() < until, "the writer is not at work"
            found |= {table.find("t") for _ in range(1000)}
    finally:
        os.kill(writer, signal.SIGKILL)
        os.waitpid(writer, 0)
    assert found <= {None, *texts}


def test_what_stays_torn_is_nothing(monkeypatch):
    table = ChallengeTable()
    table.put({"t": "a"})
    monkeypatch.setattr(challenges.zlib, "crc32", lambda _: 1)
    assert table.find("t") is None
