"""Whether somebody listens on a unix socket: one rule for what l7 makes, and for what it looks for."""

from __future__ import annotations

import contextlib
import os
import socket
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from l7.master.resources.instance_links import InstanceLinks, answers, remove_dead
from l7.master.resources.listening_sockets import is_stale, listens

STRANGER = 65534


@pytest.fixture
def directory() -> Iterator[Path]:
    """One to which every account can come, and in which all may make links."""
    with tempfile.TemporaryDirectory(prefix="l7-") as path:
        os.chmod(path, 0o777)
        yield Path(path)


@contextlib.contextmanager
def listening(path: Path) -> Iterator[socket.socket]:
    with socket.socket(socket.AF_UNIX) as sock:
        sock.bind(str(path))
        sock.listen(0)
        yield sock


@contextlib.contextmanager
def somebody_else() -> Iterator[None]:
    """Be an account that may not do everything."""
    before = os.geteuid()
    if before == 0:
        os.seteuid(STRANGER)
    try:
        yield
    finally:
        os.seteuid(before)


def test_who_listens(directory: Path) -> None:
    path = directory / "one.sock"
    assert not listens(str(path)) and not is_stale(str(path))
    with listening(path) as sock:
        assert listens(str(path)) and answers(str(path))
        with pytest.raises(OSError, match="in use"):
            is_stale(str(path))
        with contextlib.ExitStack() as stack, contextlib.suppress(BlockingIOError):
            while True:  # until the queue is full
                waiting = stack.enter_context(socket.socket(socket.AF_UNIX))
                waiting.setblocking(False)
                waiting.connect(str(path))
            assert listens(str(path))
        assert sock.fileno() >= 0
    assert not listens(str(path)) and is_stale(str(path)) and not answers(str(path))


def test_the_pointer_to_an_l7_whose_socket_is_not_for_us_is_left_to_it(directory: Path) -> None:
    """It was taken for a dead one's, and removed, or made to point to another l7."""
    path, name = directory / "one.sock", "file@conf"
    with listening(path):
        path.chmod(0)
        with somebody_else():
            with pytest.raises(PermissionError):
                listens(str(path))
            pointer = directory / name
            pointer.symlink_to(path)
            remove_dead([str(pointer)])
            assert pointer.is_symlink()
            ours = InstanceLinks(str(directory), [name], str(directory / "two.sock"))
            ours.set()
            assert pointer.readlink() == path
            assert (directory / f"{name}.{os.getpid()}").readlink() == directory / "two.sock"
            ours.remove()
    with somebody_else():
        (directory / "gone").symlink_to(directory / "nothing.sock")
        remove_dead([str(directory / "gone")])
    assert not (directory / "gone").is_symlink()
