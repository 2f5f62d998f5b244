"""Control sockets of several l7 in one runtime directory, made at the same moment."""

from __future__ import annotations

import os
import threading
import time
from pathlib import Path

import pytest

from l7.master.resources import control_socket
from l7.master.resources.control_socket import ControlSocket, open_control
from l7.master.resources.instance_registry import InstanceKey, answers
from l7.master.resources.privileges import Identity
from tests.harness import TIMEOUT

KEY = InstanceKey("auto", None, None, None)


def is_waited_for() -> bool:
    """Whether a thread of ours waits for a lock, as the kernel lists it."""
    return any("->" in line and f" {os.getpid()} " in line for line in Path("/proc/locks").read_text().splitlines())


def test_one_that_does_not_listen_yet_is_not_taken_for_stale(tmp_path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Between `bind` and `listen` nobody answers there: whoever starts then must not remove it."""
    me = Identity(os.geteuid(), os.getegid(), "", ())
    made: list[ControlSocket | None] = []

    def make() -> None:
        made.append(open_control(KEY, me, {}, pytest.fail))

    other = threading.Thread(target=make)

    def while_it_is_bound(*_: object, **__: object) -> None:
        monkeypatch.undo()
        monkeypatch.setattr(control_socket, "make_directory", lambda *_: str(tmp_path))
        other.start()
        until = time.monotonic() + TIMEOUT
        while other.is_alive() and not is_waited_for():
            assert time.monotonic() < until
            other.join(0.01)

    monkeypatch.setattr(control_socket, "make_directory", lambda *_: str(tmp_path))
    monkeypatch.setattr(control_socket.os, "chown", while_it_is_bound)
    make()
    other.join(TIMEOUT)
    paths = [one.path for one in made if one is not None]
    assert len(set(paths)) == 2
    assert all(answers(path) for path in paths)
    for one in made:
        assert one is not None
        one.close()
    assert not list(tmp_path.iterdir())
