"""Child processes of the bench: pinned to cores, in a group of their own, and gone at the end whatever happens."""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import IO

from tests.harness.ports import reserved

PR_SET_PDEATHSIG = 1
TIMEOUT = 15.0
"""Seconds within which anything must be ready."""
QUICK = 3.0
"""Seconds within which a child stops that was asked to stop at once."""

_libc = ctypes.CDLL(None)


class BenchError(Exception):
    """The bench itself cannot go on: something is missing, or did not start."""


def free_port() -> int:
    """A TCP port that nobody listens on, and that is given to nobody else meanwhile."""
    return reserved()


def wait_for(condition: Callable[[], bool], what: str, timeout: float = TIMEOUT) -> None:
    """Ask again and again until it is so.

    :raises BenchError: it was not so within *timeout* seconds.
    """
    deadline = time.monotonic() + timeout
    while not condition():
        if time.monotonic() > deadline:
            raise BenchError(f"{what}: not within {timeout:g} s")
        time.sleep(0.01)


def accepts(port: int) -> bool:
    """Whether somebody accepts connections on this port of 127.0.0.1."""
    with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
        return True
    return False


@contextlib.contextmanager
def running(
    command: Sequence[str],
    cores: Sequence[int],
    log: Path,
    *,
    port: int = 0,
    environment: Mapping[str, str] | None = None,
    stdin: int = subprocess.DEVNULL,
    stdout: IO[bytes] | int | None = None,
) -> Iterator[subprocess.Popen[bytes]]:
    """A child pinned to these cores, with all that it starts; killed at the end, and dead when the bench is.

    :param log: where its standard error goes, and its standard output unless *stdout* says otherwise.
    :param port: where it is to listen; waited for.
    :raises BenchError: it ended before, or did not listen in time; shows the end of its log.
    """
    child = _start(command, cores, log, environment, stdin, stdout)
    try:
        if port:
            _wait_until_listening(child, command, port, log)
        yield child
    finally:
        kill(child)


def _start(
    command: Sequence[str],
    cores: Sequence[int],
    log: Path,
    environment: Mapping[str, str] | None,
    stdin: int,
    stdout: IO[bytes] | int | None,
) -> subprocess.Popen[bytes]:
    def prepare() -> None:
        # SIGTERM, so that a master whose bench was killed takes its workers along.
        _libc.prctl(PR_SET_PDEATHSIG, signal.SIGTERM)
        os.sched_setaffinity(0, cores)
        # What runs in the background may have been told to ignore it, and it is how we stop children.
        signal.signal(signal.SIGINT, signal.SIG_DFL)

    with log.open("ab") as errors:
        return subprocess.Popen(
            command,
            stdin=stdin,
            stdout=errors if stdout is None else stdout,
            stderr=errors,
            env=dict(os.environ if environment is None else environment),
            start_new_session=True,
            preexec_fn=prepare,
        )


def _wait_until_listening(child: subprocess.Popen[bytes], command: Sequence[str], port: int, log: Path) -> None:
    def listening() -> bool:
        if child.poll() is not None:
            raise BenchError(f"{command[0]} ended with {child.returncode}:\n{tail(log)}")
        return accepts(port)

    try:
        wait_for(listening, f"{' '.join(command)}: listening on {port}")
    except BenchError as error:
        raise BenchError(f"{error}\n{tail(log)}") from None


def kill(child: subprocess.Popen[bytes]) -> None:
    """End the child and its whole group: quickly by its own means, so that it reaps its workers, or else by force."""
    try:
        if child.poll() is None:
            child.send_signal(signal.SIGINT)
            child.wait(QUICK)
    except subprocess.TimeoutExpired:
        pass
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(child.pid, signal.SIGKILL)
        child.wait(TIMEOUT)


def tail(log: Path, size: int = 2000) -> str:
    """The end of a log, for people."""
    return log.read_bytes()[-size:].decode("utf-8", "replace") if log.exists() else ""
