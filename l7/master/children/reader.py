"""A reader: a child that reads the configuration for a process which only serves, and ends.

So what only reading needs (pydantic, YAML, a large file in pieces) never is in the memory of those that serve: modules
of the configuration are imported anew in the child, with the validators of the schema (`l7.validation`). A reader runs
one function after the other, each with a function that reads files; these are read by the process that asks.
"""

from __future__ import annotations

import contextlib
import gc
import importlib
import os
import pickle
import signal
import socket
import struct
import sys
from collections.abc import Callable
from typing import Any, NoReturn

from setproctitle import setproctitle

from l7 import validation
from l7.config.file_content import ReadBytes, read_file
from l7.errors import StartError
from l7.master.children.signals import WISHES
from l7.master.resources.privileges import Identity, drop
from l7.master.resources.process_attributes import close_all_but

Function = tuple[str, str]
"""Where a function is: the module and its name there. It is imported in the reader only."""
TITLE = "l7: reader"
GONE = "the process that reads the configuration has ended"

_LENGTH = struct.Struct("=Q")
_CALL, _READ, _RETURNED, _RAISED = "call", "read", "returned", "raised"


class Reader:
    """A reader as the process has it that asks; ``pid`` is None where it is another one's child."""

    def __init__(self, sock: socket.socket, pid: int | None = None) -> None:
        self._socket = sock
        self._pid = pid

    def begin(self, function: Function, *arguments: Any) -> None:
        """Let it run a function, whose result is asked for by `result`."""
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):  # `result` tells it
            _send(self._socket, _CALL, (function, arguments))

    def result(self, read_bytes: ReadBytes = read_file) -> Any:
        """Wait for what the function returns, reading files for it; raises what it raises, and `StartError`."""
        while True:
            try:
                kind, value = _receive(self._socket)
            except (EOFError, ConnectionResetError):
                raise StartError(GONE) from None
            if kind == _RETURNED:
                return value
            if kind == _RAISED:
                raise value
            _send(self._socket, *_outcome(read_bytes, value))

    def call(self, function: Function, *arguments: Any) -> Any:
        """Run a function that reads no file, and end: as `begin`, `result` and `close`."""
        try:
            self.begin(function, *arguments)
            return self.result()
        finally:
            self.close()

    def close(self) -> None:
        """End it, whatever it does."""
        self._socket.close()
        if self._pid is not None:
            with contextlib.suppress(ProcessLookupError, ChildProcessError):
                os.kill(self._pid, signal.SIGKILL)
                os.waitpid(self._pid, 0)


def fork_reader(identity: Identity | None = None) -> Reader:
    """Fork a reader; raises `StartError`.

    :param identity: whom it becomes when it has imported all that it needs, and before it reads anything.
    """
    ours, theirs = socket.socketpair()
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
    try:
        with theirs:
            for stream in (sys.stdout, sys.stderr):
                stream.flush()
            pid = os.fork()
            if pid == 0:
                _live(theirs, identity)
    except OSError as error:
        ours.close()
        raise StartError(f"cannot start a process that reads the configuration: {error.strerror}") from error
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)
    return Reader(ours, pid)


def descriptor_of_reader(identity: Identity) -> int:
    """As `fork_reader`, for another process: its end of the socket. To be called where ended children need no wait."""
    return fork_reader(identity)._socket.detach()


def _live(sock: socket.socket, identity: Identity | None) -> NoReturn:
    """Run what is asked for until the other end is closed; never returns into the code of the process that forked."""
    try:
        gc.disable()  # it lives for a moment
        signal.set_wakeup_fd(-1)
        for number in WISHES:
            signal.signal(number, signal.SIG_DFL)
        signal.pthread_sigmask(signal.SIG_SETMASK, ())
        close_all_but(sock.fileno())
        setproctitle(TITLE)
        begun = _outcome(_prepare, identity)
        while True:
            _serve(sock, begun)
    except (EOFError, OSError):
        pass  # who asked is done, or gone
    finally:
        os._exit(0)


def _prepare(identity: Identity | None) -> None:
    if validation.is_replaced():
        raise StartError("l7 was installed anew: upgrade the one that runs (USR2), or restart it, before a reload")
    validation.bring_back()
    if identity is not None:
        become(None, identity)


def become(_: ReadBytes | None, identity: Identity) -> None:
    """Import all that may be needed, which only root may be able to, and give up root for good: for a reader."""
    importlib.import_module("l7.config.reading.serving").warm_up()
    drop(identity)


def _serve(sock: socket.socket, begun: tuple[str, Any]) -> None:
    """Answer one request; with why it could not begin, where it could not."""

    def read_bytes(name: str) -> bytes:
        _send(sock, _READ, name)
        kind, value = _receive(sock)
        if kind == _RAISED:
            raise value
        content: bytes = value
        return content

    def run() -> Any:
        _, ((module, function), arguments) = pickle.loads(packed)
        return getattr(importlib.import_module(module), function)(read_bytes, *arguments)

    packed = _packed(sock)
    outcome = begun if begun[0] == _RAISED else _outcome(run)
    for stream in (sys.stdout, sys.stderr):
        stream.flush()
    _send(sock, *outcome)


def _outcome(run: Callable[..., Any], *arguments: Any) -> tuple[str, Any]:
    try:
        return _RETURNED, run(*arguments)
    except (Exception, SystemExit) as error:
        try:
            pickle.loads(pickle.dumps(error))
        except Exception:  # not made to be sent
            return _RAISED, StartError(f"{type(error).__name__}: {error}")
        return _RAISED, error


def _send(sock: socket.socket, kind: str, value: Any) -> None:
    packed = pickle.dumps((kind, value), pickle.HIGHEST_PROTOCOL)
    sock.sendall(_LENGTH.pack(len(packed)))
    sock.sendall(packed)


def _receive(sock: socket.socket) -> tuple[str, Any]:
    kind, value = pickle.loads(_packed(sock))
    return kind, value


def _packed(sock: socket.socket) -> bytearray:
    (length,) = _LENGTH.unpack(_exactly(sock, _LENGTH.size))
    return _exactly(sock, length)


def _exactly(sock: socket.socket, length: int) -> bytearray:
    buffer = bytearray(length)
    view, done = memoryview(buffer), 0
    while done < length:
        count = sock.recv_into(view[done:])
        if not count:
            raise EOFError
        done += count
    return buffer
