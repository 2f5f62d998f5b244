"""Several processes share an output: nothing is torn, nobody waits for ever."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from l7.clock import monotonic
from l7.telemetry.shared_output import PIECE, SharedOutput, descriptor_of, make_lock

WRITER = """
import sys
from l7.telemetry.shared_output import SharedOutput
name, lock = sys.argv[1], int(sys.argv[2])
output = SharedOutput(1, lock)
for _ in range(20):
    assert output.write((name * 9999 + "\\n").encode(), lambda: False) == (10_000, None)
"""
HOLDER = """
import fcntl, sys
fcntl.lockf(int(sys.argv[1]), fcntl.LOCK_EX)
print("held", flush=True)
sys.stdin.read()
"""


def never() -> bool:
    return False


def at_once() -> bool:
    return True


@pytest.fixture
def lock() -> Iterator[int]:
    fd = make_lock()
    yield fd
    os.close(fd)


@pytest.fixture
def pipe() -> Iterator[tuple[int, int]]:
    ends = os.pipe()
    yield ends
    for end in ends:
        try:
            os.close(end)
        except OSError:
            pass


def fill(fd: int) -> None:
    output = SharedOutput(fd)
    while output.write(b"x" * (PIECE - 1) + b"\n", at_once)[0]:
        pass


def test_lines_of_many_processes_are_not_torn(lock: int, pipe: tuple[int, int]) -> None:
    reader, writer = pipe
    arguments = [sys.executable, "-c", WRITER]
    processes = [
        subprocess.Popen([*arguments, name, str(lock)], stdout=writer, pass_fds=[lock]) for name in ("a", "b", "c")
    ]
    os.close(writer)
    with open(reader, "rb", closefd=False) as stream:
        lines = stream.read().splitlines()
    assert [process.wait(20) for process in processes] == [0, 0, 0]
    assert len(lines) == 60
    assert {len(line) for line in lines} == {9999}
    assert all(line == line[:1] * 9999 for line in lines)


def test_a_full_pipe_is_not_waited_for_when_impatient(pipe: tuple[int, int]) -> None:
    fill(pipe[1])
    assert SharedOutput(pipe[1]).write(b"more\n", at_once) == (0, None)


def test_a_closed_pipe_is_an_error_not_an_exception(pipe: tuple[int, int]) -> None:
    os.close(pipe[0])
    written, error = SharedOutput(pipe[1]).write(b"line\n", never)
    assert written == 0
    assert isinstance(error, BrokenPipeError)


def test_a_torn_line_stays_alone(pipe: tuple[int, int]) -> None:
    reader, writer = pipe
    fill(writer)
    os.read(reader, PIECE)
    output = SharedOutput(writer)
    written, _ = output.write(b"a" * (2 * PIECE) + b"\n", at_once)
    assert written == PIECE
    while os.read(reader, 65536)[-1:] != b"a":
        pass
    assert output.write(b"next\n", never) == (5, None)
    assert os.read(reader, 100) == b"\nnext\n"


def test_whole_lines_leave_together(pipe: tuple[int, int]) -> None:
    reader, writer = pipe
    fill(writer)
    os.read(reader, PIECE)
    data = (b"b" * 99 + b"\n") * 100
    written, _ = SharedOutput(writer).write(data, at_once)
    assert 0 < written <= PIECE
    assert written % 100 == 0


def test_a_stopped_process_on_the_lock_does_not_hold_up_the_dump(lock: int, tmp_path: Path) -> None:
    holder = subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(lock)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, pass_fds=[lock]
    )
    try:
        assert holder.stdout is not None
        assert holder.stdout.readline() == b"held\n"
        with (tmp_path / "out").open("wb") as file:
            output = SharedOutput(file.fileno(), lock)
            begin = monotonic()
            assert output.write(b"dump\n", lambda: monotonic() >= begin + 0.2) == (5, None)
            assert monotonic() - begin >= 0.2
        assert (tmp_path / "out").read_bytes() == b"dump\n"
    finally:
        holder.communicate(timeout=10)


def test_a_full_disk_is_an_error_not_an_exception() -> None:
    fd = os.open("/dev/full", os.O_WRONLY)
    output = SharedOutput(fd)
    written, error = output.write(b"line\n", never)
    output.close()
    assert written == 0
    assert error is not None
    assert error.strerror == os.strerror(28)


def test_an_empty_pipe_takes_what_it_holds_at_once(pipe: tuple[int, int], monkeypatch: pytest.MonkeyPatch) -> None:
    reader, writer = pipe
    sizes: list[int] = []
    real = os.write

    def write(fd: int, piece: bytes) -> int:
        sizes.append(len(piece))
        return real(fd, piece)

    monkeypatch.setattr("l7.telemetry.shared_output.os.write", write)
    data = (b"c" * 99 + b"\n") * 1000
    output = SharedOutput(writer)
    written, error = output.write(data, at_once)
    assert error is None
    assert sizes[0] == 65500
    assert written % 100 == 0
    assert os.read(reader, 1 << 20) == data[:written]
    assert output.write(data[written:], at_once) == (len(data) - written, None)


def test_a_path_that_is_a_descriptor(tmp_path):
    link, chain, loop = tmp_path / "access.log", tmp_path / "chain", tmp_path / "loop"
    link.symlink_to("/dev/stdout")
    chain.symlink_to("access.log")
    loop.symlink_to("loop")
    for path, number in {
        "/dev/stdout": 1, "/dev/stderr": 2, "/dev/fd/7": 7, "/proc/self/fd/1": 1, f"/proc/{os.getpid()}/fd/2": 2,
        link: 1, chain: 1, loop: None, "/dev/null": None, "-": None, tmp_path / "missing": None, "/dev/fd/x": None,
        f"/proc/{os.getppid()}/fd/1": None,
    }.items():  # fmt: skip
        assert descriptor_of(str(path)) == number, path
