"""Whether somebody listens on a unix socket: one rule for what l7 makes, and for what it looks for."""

from __future__ import annotations

import contextlib
import os
import socket
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from l7.master.resources.instance_registry import InstanceKey, InstanceRegistryWriter, answers, registered, remove_dead
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


def entries(directory: Path) -> list[str]:
    return sorted(one.socket for one in registered([str(directory)]))


def test_the_entry_of_an_l7_whose_socket_is_not_for_us_is_left_to_it(directory: Path) -> None:
    """It would be taken for a dead one's, and removed."""
    path = directory / "one.sock"
    with listening(path):
        path.chmod(0)
        with somebody_else():
            with pytest.raises(PermissionError):
                listens(str(path))
            InstanceRegistryWriter(str(directory), InstanceKey(), str(path)).write()
            ours = InstanceRegistryWriter(str(directory), InstanceKey(), str(directory / "two.sock"))
            ours.write()
            assert entries(directory) == [str(path), str(directory / "two.sock")]
            ours.remove()
            remove_dead(str(directory))
            assert entries(directory) == [str(path)]
    path.chmod(0o777)
    with somebody_else():
        remove_dead(str(directory))
    assert entries(directory) == [] and not list(directory.glob("*.json*"))


def test_the_entry_of_an_upgraded_l7_takes_the_place_of_the_former_one(directory: Path) -> None:
    former = InstanceRegistryWriter(str(directory), InstanceKey(port=80), str(directory / "one.sock"))
    former.write()
    text = Path(former.path).read_text("utf-8")
    assert f'"pid": {os.getpid()}' in text
    Path(former.path).write_text(text.replace(f'"pid": {os.getpid()}', '"pid": 1'), "utf-8")
    former.remove()
    (entry,) = registered([str(directory)])
    assert (entry.pid, entry.port) == (1, 80), "it is another's by now"


@pytest.mark.parametrize("text", ["", "{", "[]", "{}", "7", "[" * 60_000, '{"socket": "/x", "pid": "y"}'])
def test_what_is_no_entry_misleads_nobody(text: str, directory: Path) -> None:
    (directory / "x.json").write_text(text, "utf-8")
    os.mkfifo(directory / "y.json")
    (directory / "z.json").symlink_to("/dev/zero")
    assert entries(directory) == []
    remove_dead(str(directory))
    assert not list(directory.glob("*.json"))


def test_what_an_entry_is_found_by(directory: Path) -> None:
    (directory / "link.yml").symlink_to(directory / "file.yml")
    settings = InstanceKey("auto", str(directory / "l7.pid"), str(directory / "link.yml"), 8080)
    InstanceRegistryWriter(str(directory), settings, str(directory / "one.sock")).write()
    (entry,) = registered([str(directory)])
    for found in (
        InstanceKey(),
        InstanceKey(port=8080),
        InstanceKey(pid_file=str(directory / "l7.pid")),
        InstanceKey(file=str(directory / "link.yml")),
        InstanceKey(file=str(directory / "file.yml"), port=8080),
    ):
        assert entry.matches(found)
    for other in (
        InstanceKey(port=80),
        InstanceKey(file="x.yml"),
        InstanceKey(file=str(directory / "link.yml"), port=1),
    ):
        assert not entry.matches(other)
