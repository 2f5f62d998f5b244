"""The real l7 as a child process of the test.

``L7Process(config_text)`` or ``L7Process(argv=[...])`` runs ``python -m l7``. By default the test binds the socket and
hands it over as systemd would (``LISTEN_FDS=1``), so the port is known before the program starts and no two tests can
race for one. ``inherit=False`` lets l7 bind ``127.0.0.1`` port 0 by itself; the port is then read from the event
``listening on``.

Standard output (access log, dump) and standard error (events) are read by threads; `wait_for_event` and
`wait_for_output` wait for a line. The program gets a session of its own, so `stop` can prove that no process is left.
As root the suite passes ``--run-as root`` unless a test names another account: temporary files belong to root.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import select
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import weakref
from collections.abc import Callable, Sequence
from pathlib import Path
from types import TracebackType
from typing import IO, Any

import psutil

from tests.harness import TIMEOUT, over_tls
from tests.harness.client import request
from tests.harness.events import event_pattern
from tests.harness.ports import bound

ROOT = Path(__file__).absolute().parents[2]
"""Where ``tests`` lies, and programs are started: the checkout; beside an installed l7 a directory of nothing else."""
PROGRAM = (sys.executable, "-m", "l7")
READY = "master.ready"
WORKER = "l7: worker"
MONITOR = "l7: monitor"
"""How the titles of workers and of monitor processes begin."""
OPENER = "l7: opener"
"""The title of the privileged opener."""
STATUS = "control.sock"
"""The control socket to start it with for who asks for its status."""
_MARK = re.compile(r'"OPTIONS \* HTTP/1\.1"')
"""What `L7Process.logged` asks for."""
LISTENING = re.compile(r"listening on (\S+)")
CONFIG = "backends: {{'*': {{servers: ['{}']}}}}\nusers: {{}}\n"
"""One backend for every host, whose one server is to be put in by ``format``."""
NOBODY = CONFIG.format("127.0.0.1:9").replace("servers:", "retry-for: 0s, servers:")
"""The same with a server that nobody is, which is told at once: requests do not wait for it."""
_PIECE = 65536
"""Bytes that are read from one of its streams at once."""

# Moves the listening socket to descriptor 3 and names its own pid, as sd_listen_fds(3) wants it, then becomes l7. By a
# shell, because a Python takes ten times as long to start, and l7 is started a thousand times.
_HANDOVER = '[ "$1" = 3 ] || eval "exec 3<&$1 $1<&-"; shift; export LISTEN_PID=$$; exec "$@"'


def _runs(pid: int) -> bool:
    """Whether the first thread of a process runs, or would with a processor."""
    try:
        return Path(f"/proc/{pid}/stat").read_bytes().rpartition(b") ")[2][:1] in b"RD"
    except OSError:
        return False


class Lines:
    """The lines of one of the program's streams, collected by a thread.

    What the program had written when somebody looks is what is found: whoever looks reads what is still in the pipe.
    """

    def __init__(self, stream: IO[bytes], name: str) -> None:
        self._stream = stream
        self._lines: list[str] = []
        self._unfinished = b""
        self._changed = threading.Condition()
        self._ended = False
        self._thread = threading.Thread(target=self._collect, name=f"l7-{name}", daemon=True)
        self._thread.start()

    @property
    def lines(self) -> list[str]:
        """The lines so far."""
        with self._changed:
            self._read()
            return list(self._lines)

    def _collect(self) -> None:
        with self._stream:
            while not self._ended:
                self._readable(None)
                with self._changed:
                    self._read()

    def _readable(self, timeout: float | None) -> bool:
        looking = select.poll()
        looking.register(self._stream, select.POLLIN)
        return bool(looking.poll(timeout))

    def _read(self) -> None:
        """Take what is in the pipe, without waiting; only with `_changed`."""
        while not self._ended and self._readable(0):
            if piece := os.read(self._stream.fileno(), _PIECE):
                *whole, self._unfinished = (self._unfinished + piece).split(b"\n")
            else:
                whole, self._ended = [self._unfinished] if self._unfinished else [], True
            self._lines += [line.decode("utf-8", "replace") for line in whole]
            self._changed.notify_all()

    def wait(self, pattern: str, timeout: float, start: int = 0) -> re.Match[str] | None:
        """Wait for a line at or after index *start* that matches; None when it did not come or the stream ended."""
        sought = re.compile(pattern)
        seen = start
        deadline = time.monotonic() + timeout
        with self._changed:
            while True:
                while seen < len(self._lines):
                    found = sought.search(self._lines[seen])
                    seen += 1
                    if found:
                        return found
                left = deadline - time.monotonic()
                if left <= 0 or self._ended:
                    return None
                self._changed.wait(left)

    def join(self, timeout: float) -> bool:
        """Wait for the end of the stream: whoever held its other end has gone."""
        self._thread.join(timeout)
        return not self._thread.is_alive()


class L7Process:
    """One running l7: master and workers. A context manager that stops it and asserts that it stopped cleanly."""

    def __init__(
        self,
        config: str | None = None,
        *,
        argv: Sequence[str] = (),
        env: dict[str, str] | None = None,
        inherit: bool = True,
        workers: int | None = 1,
        run_as: str | None = "root",
        directory: Path | None = None,
        host: str = "127.0.0.1",
        ready: str | None = READY,
        program: Sequence[str] = PROGRAM,
        timeout: float = TIMEOUT,
        before: str = "",
        send_buffer: int = 0,
    ) -> None:
        """Start it and wait until it is ready.

        :param config: the text of the configuration file; None for none.
        :param workers: passed as ``--workers``; None leaves the default (or the file's).
        :param run_as: passed as ``--run-as`` when the suite runs as root; None passes nothing.
        :param program: the words that start it.
        :param ready: the event to wait for on standard error; None does not wait (the program is to fail, say).
        :param before: Python that the process executes before it becomes l7, as a parent would.
        :param send_buffer: the send buffer of its connections with clients, in bytes, where it inherits the socket.
        :raises AssertionError: it was not ready within *timeout* seconds; shows all of standard error.
        """
        self._temporary: tempfile.TemporaryDirectory[str] | None = None
        if directory is None:
            self._temporary = tempfile.TemporaryDirectory(prefix="l7-")
            directory = Path(self._temporary.name)
        self.directory = directory
        self.config_path = directory / "config.yml"
        self._host = host
        self._port: int | None = None
        self._secure = False
        listener = self._bind(send_buffer) if inherit else None
        words = [*program, *self._options(config, list(argv), inherit, workers, run_as)]
        if before:
            words = [sys.executable, "-c", f"{before}\nimport os, sys\nos.execv(sys.argv[1], sys.argv[1:])", *words]
        self.process = self._spawn(words, env or {}, listener)
        self.pid = self.process.pid
        assert self.process.stdout is not None
        assert self.process.stderr is not None
        self.stdout = Lines(self.process.stdout, "stdout")
        self.stderr = Lines(self.process.stderr, "stderr")
        self.baseline: dict[str, int] = {}
        if ready is not None:
            try:
                self.wait_for_event(ready, timeout)
                if workers:
                    self.wait_for(lambda: len(self.workers()) >= workers, "all workers", timeout)
            except BaseException:
                self.kill()
                raise
            self.baseline = self.descriptors()

    def _bind(self, send_buffer: int = 0) -> socket.socket:
        # Nobody else gets the port: whoever looks whether l7 has stopped would meet another test's server there.
        held = bound(self._host)
        self._let_go = weakref.finalize(self, held.close)
        self._port = held.getsockname()[1]
        listener = bound(self._host, self._port)
        if send_buffer:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, send_buffer)
        listener.listen(1024)
        return listener

    def _options(
        self, config: str | None, argv: list[str], inherit: bool, workers: int | None, run_as: str | None
    ) -> list[str]:
        options: list[str] = []
        if config is not None:
            self.write_config(config)
            options += ["--config", str(self.config_path)]
        text = config or ""
        if "--config" in argv:
            text = Path(argv[argv.index("--config") + 1]).read_text("utf-8")
        short = not inherit and "listeners:" not in text
        if short and "--port" not in argv and "port:" not in text:
            options += ["--port", "0"]
        if short and "--bind" not in argv and "bind:" not in text:
            options += ["--bind", self._host]
        if workers is not None and "--workers" not in argv:
            options += ["--workers", str(workers)]
        if run_as and os.geteuid() == 0 and "--run-as" not in argv and "run-as:" not in text:
            options += ["--run-as", run_as]
        tls = over_tls.options(text, argv)
        self._secure = bool(tls)
        if tls and self._port is not None:
            over_tls.note(self._port)
        return [*options, *argv, *tls]

    def _spawn(self, words: list[str], env: dict[str, str], listener: socket.socket | None) -> subprocess.Popen[bytes]:
        # Nothing of the caller's own settings may reach the program under test.
        inherited = {name: value for name, value in os.environ.items() if not name.startswith(("L7_", "LISTEN_"))}
        if "L7_PURE_PYTHON" in os.environ:
            inherited["L7_PURE_PYTHON"] = os.environ["L7_PURE_PYTHON"]
        inherited["PYTHONPATH"] = os.pathsep.join([str(ROOT), *filter(None, [inherited.get("PYTHONPATH")])])
        inherited.update(env)
        keep: tuple[int, ...] = ()
        if listener is not None:
            inherited["LISTEN_FDS"] = "1"
            keep = (listener.fileno(),)
            words = ["bash", "-c", _HANDOVER, "bash", str(listener.fileno()), *words]
        try:
            return subprocess.Popen(
                words,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                env=inherited,
                cwd=self.directory,
                pass_fds=keep,
                start_new_session=True,
            )
        finally:
            if listener is not None:
                listener.close()  # or connections would still be queued when l7 is gone

    # Where it is

    @property
    def port(self) -> int:
        """The port it listens on."""
        if self._port is None:
            found = self.wait_for_event(LISTENING.pattern, TIMEOUT)
            self._port = int(found.group(1).rstrip(",;/").rsplit(":", 1)[1])
        if self._secure:
            over_tls.note(self._port)
        return self._port

    def ports(self, start: int = 0) -> list[int]:
        """The ports that it says it listens on, at or after the line with index *start* of standard error."""
        where = self.wait_for_event(r"listening on ([^\s,]+(?:, [^\s,]+)*)", TIMEOUT, start).group(1)
        return [int(one.rstrip(",;/").rsplit(":", 1)[1]) for one in where.split(", ") if "unix:" not in one]

    @property
    def address(self) -> tuple[str, int]:
        """What to connect to."""
        return self._host, self.port

    # What it says

    @property
    def events(self) -> list[str]:
        """The lines of standard error so far."""
        return self.stderr.lines

    @property
    def output(self) -> list[str]:
        """The lines of standard output so far: access log and dump."""
        return self.stdout.lines

    def wait_for_event(self, event: str, timeout: float = TIMEOUT, start: int = 0, **facts: object) -> re.Match[str]:
        """Wait for an event, at or after the line with index *start*: by its name and facts, or by a pattern."""
        pattern = event_pattern(event, facts)
        found = self.stderr.wait(pattern, timeout, start)
        assert found is not None, f"no event matches {pattern!r}\n{self.transcript()}"
        return found

    def wait_for_output(self, pattern: str, timeout: float = TIMEOUT, start: int = 0) -> re.Match[str]:
        """Wait for a line on standard output that matches, at or after the line with index *start*."""
        found = self.stdout.wait(pattern, timeout, start)
        assert found is not None, f"no output matches {pattern!r}\n{self.transcript()}"
        return found

    def wait_for(self, condition: Callable[[], object], what: str, timeout: float = TIMEOUT) -> None:
        """Wait until *condition* holds; for what can only be observed from outside (processes, descriptors).

        To ask costs a processor that others need: it is asked the less often, the longer it takes.
        """
        begun = time.monotonic()
        while not condition():
            waited = time.monotonic() - begun
            assert waited < timeout, f"{what}: not within {timeout} s\n{self.transcript()}"
            ended = self.process.poll() is not None and not self.session()  # a next one goes on after an upgrade
            assert not ended, f"{what}: l7 ended with {self.process.returncode}\n{self.transcript()}"
            time.sleep(min(max(waited / 10, 0.005), 0.1))

    def settle(self) -> None:
        """Wait until no worker has anything to do: figures and records of a request are written behind its answer.

        One that is kept busy, or stands still, is waited for only for a second.
        """
        deadline = time.monotonic() + 1
        for pid in self.workers():
            while _runs(pid) and time.monotonic() < deadline:
                time.sleep(0.001)

    def turn(self) -> None:
        """Return when the worker, the only one, has seen whatever was sent before: it answers this by itself."""
        request(self.address, "OPTIONS", "*", headers=[("Max-Forwards", "0")])

    def logged(self) -> list[str]:
        """The lines of all requests that were answered before, in the access log of the only worker.

        It is asked for one line more, which comes behind those and is left out.
        """
        before = len(self.output)
        self.turn()
        self.wait_for_output(_MARK.pattern, start=before)
        return [line for line in self.output if not _MARK.search(line)]

    def transcript(self) -> str:
        """Everything it wrote, for the message of a failed assertion."""
        state = self.process.poll()
        lines = [f"--- l7 (pid {self.pid}, {'running' if state is None else f'exit code {state}'}), standard error:"]
        lines += self.stderr.lines
        lines += [f"--- standard output, last 20 of {len(self.stdout.lines)} lines:", *self.stdout.lines[-20:]]
        return "\n".join(lines)

    # What it is asked

    def write_config(self, text: str) -> None:
        """Replace the configuration file in one step; takes effect at the next `hup`."""
        new = self.config_path.with_suffix(".new")
        new.write_text(text, encoding="utf-8")
        new.replace(self.config_path)

    def status(self) -> dict[str, Any]:
        """What ``l7 status --json`` shows; needs ``argv=["--control", STATUS]``."""
        answer = self.ask("status")
        assert answer["ok"]
        return answer

    def ask(self, command: str, **options: object) -> dict[str, Any]:
        """What is answered to a command at the control socket; needs ``argv=["--control", STATUS]``."""
        self.settle()
        with socket.socket(socket.AF_UNIX) as sock:
            sock.settimeout(3 * TIMEOUT)
            sock.connect(str(self.directory / STATUS))
            sock.sendall(json.dumps({"do": command, **options}).encode() + b"\n")
            answer: dict[str, Any] = json.loads(b"".join(iter(lambda: sock.recv(65536), b"")))
        return answer

    def signal(self, number: int) -> None:
        """Send a signal to the master."""
        os.kill(self.pid, number)

    def hup(self) -> None:
        """Reload."""
        self.signal(signal.SIGHUP)

    def usr1(self) -> None:
        """Dump the configuration to standard output."""
        self.signal(signal.SIGUSR1)

    def term(self) -> None:
        """Stop gracefully."""
        self.signal(signal.SIGTERM)

    # What it is made of

    def workers(self) -> list[int]:
        """Pids of the worker processes. A child that was just forked, and has no title yet, is none."""
        return sorted(pid for pid, title in self._children().items() if title.startswith(WORKER))

    def control(self) -> int | None:
        """Pid of the monitor process, the newest where there are two; None without one."""
        return max((pid for pid, title in self._children().items() if title.startswith(MONITOR)), default=None)

    def title(self, pid: int) -> str:
        """What ``ps`` shows for a process; empty when it is gone."""
        return self._children().get(pid, "")

    def titled(self, title: str, master: int | None = None) -> list[int]:
        """Pids of the children of the master, or of another one, whose title begins so."""
        return [pid for pid, found in self._children(master).items() if found.startswith(title)]

    def titles(self, master: int | None = None) -> list[str]:
        """What ``ps`` shows for all children of the master, or of another one after an upgrade."""
        return list(self._children(master).values())

    def wait_for_ended(self, pid: int) -> None:
        """Wait until a process is gone."""
        deadline = time.monotonic() + TIMEOUT
        while psutil.pid_exists(pid):
            assert time.monotonic() < deadline, f"process {pid} has not ended\n{self.transcript()}"
            time.sleep(0.01)

    def _children(self, master: int | None = None) -> dict[int, str]:
        found: dict[int, str] = {}
        try:
            for child in psutil.Process(self.pid if master is None else master).children():
                with contextlib.suppress(psutil.NoSuchProcess):
                    if child.status() != psutil.STATUS_ZOMBIE:
                        found[child.pid] = "".join(child.cmdline()[:1])
        except psutil.NoSuchProcess:
            pass
        return found

    def session(self) -> list[int]:
        """Pids of every process of the program's session, master included, whoever their parent is now."""
        members = []
        for pid in psutil.pids():
            try:
                if os.getsid(pid) == self.pid and psutil.Process(pid).status() != psutil.STATUS_ZOMBIE:
                    members.append(pid)
            except (ProcessLookupError, psutil.NoSuchProcess, PermissionError):
                continue
        return members

    def descriptors(self) -> dict[str, int]:
        """Open descriptors: of the master, and the most that any one worker has."""
        counts = {"master": 0, "worker": 0}
        try:
            counts["master"] = psutil.Process(self.pid).num_fds()
            counts["worker"] = max((psutil.Process(pid).num_fds() for pid in self.workers()), default=0)
        except psutil.NoSuchProcess:
            pass
        return counts

    def memory(self) -> int:
        """Resident bytes of the largest worker."""
        return max((psutil.Process(pid).memory_info().rss for pid in self.workers()), default=0)

    def assert_no_leaks(self, slack: int = 4, timeout: float = TIMEOUT) -> None:
        """Wait for the descriptors of master and workers to come back to what they were when l7 was ready.

        Close clients and origins first: an idle connection is not a leak. *slack* allows for what is opened once and
        kept (a resolver's socket, a log).
        """

        def settled() -> bool:
            now = self.descriptors()
            return all(now[who] <= self.baseline[who] + slack for who in now)

        deadline = time.monotonic() + timeout
        while not settled():
            if time.monotonic() > deadline:
                raise AssertionError(f"leaked descriptors: {self.baseline} before, {self.descriptors()} now")
            time.sleep(0.02)

    # How it ends

    def wait(self, timeout: float = TIMEOUT) -> int:
        """Wait for the master to end; its exit code."""
        try:
            code = self.process.wait(timeout)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"l7 did not stop within {timeout} s\n{self.transcript()}") from None
        self._close(timeout)
        return code

    def stop(self, code: int = 0, timeout: float = TIMEOUT) -> None:
        """Stop gracefully and assert the exit code and that no process of the program is left."""
        if self.process.poll() is None:
            self.term()
        try:
            ended = self.wait(timeout)
            self.assert_nothing_left()
        except BaseException:
            self.kill()
            raise
        assert ended == code, f"exit code {ended}, not {code}\n{self.transcript()}"
        assert not any("Traceback" in line for line in self.events), f"a traceback\n{self.transcript()}"

    def assert_nothing_left(self, timeout: float = TIMEOUT) -> None:
        """Assert that every process of the program's session has ended."""
        deadline = time.monotonic() + timeout
        while left := self.session():
            assert time.monotonic() < deadline, f"processes left behind: {left}\n{self.transcript()}"
            time.sleep(0.01)

    def kill(self) -> None:
        """End every process of the program at once, for tests that failed. Safe to call again."""
        for pid in {*self.session(), *([self.pid] if self.process.poll() is None else [])}:
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                continue
        self.process.wait(TIMEOUT)
        self._close(TIMEOUT)

    def _close(self, timeout: float) -> None:
        over_tls.forget(self._port)
        # Whoever outlives the master keeps the pipes open: the next l7 after an upgrade, or one that the caller finds
        # by `assert_nothing_left`. There is no end to wait for then.
        deadline = time.monotonic() + min(timeout, 5.0)
        for stream in (self.stdout, self.stderr):
            while not stream.join(0.02) and time.monotonic() < deadline and not self.session():
                pass
        if self._temporary is not None:
            self._temporary.cleanup()
            self._temporary = None

    def __enter__(self) -> L7Process:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is None:
            self.stop()
        else:
            self.kill()
            if error is not None and isinstance(error, AssertionError) and hasattr(error, "add_note"):
                error.add_note(self.transcript())
