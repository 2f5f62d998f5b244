"""``l7 demo``: three small servers, l7 in front of them, on http and https, and the curl lines to try.

The servers are processes of their own, so that one can be killed to see what l7 makes of it. They belong to no
terminal and to no process group of the master: nothing that is sent to l7 reaches them. They live as long as
somebody holds the other end of their lifeline, a socket pair, and so end with the demo however it ends, `kill -9`
included.
"""

from __future__ import annotations

import os
import shutil
import signal
import socket
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit

from setproctitle import setproctitle

from l7.commands.demo_https import DemoSettings, with_https
from l7.commands.serve import ConfigReader
from l7.config.reading.flags import parse_environment
from l7.config.reading.loading import load
from l7.master.build import serve
from l7.master.resources.privileges import Identity, drop, identify

NAMES = ("one", "two", "three")
HOSTS = ("localhost", "*")
PORT = "8080"
"""Where the demo listens unless it is told otherwise: port 80 needs root."""

PIECE = 64 * 1024
"""Bytes that ``/big`` writes at a time."""
PATIENCE = 2.0
"""Seconds that the demo waits for its servers to end."""

HTTPS = """\
    curl --cacert {certificate} https://localhost:{port}/   # the same by https
"""
WORDS = """\
{servers}
Try:

    {curl} {scheme}://localhost:{port}/                   # again and again: all three answer
    {curl} '{scheme}://localhost:{port}/slow?seconds=3'   # an answer that takes its time
    {curl} -N {scheme}://localhost:{port}/stream          # server-sent events, one a second
    {curl} -o /dev/null '{scheme}://localhost:{port}/big?bytes=100000000'
    {curl} -T README.rst {scheme}://localhost:{port}/up   # says how many bytes arrived
{https}    kill -HUP {pid}      # reload: new workers, no request lost
    kill -USR1 {pid}     # the configuration in use, and the workers
    kill {victim}           # one server ends; its requests go to the other two

Ctrl-C stops everything.
"""


def main(argv: list[str], environ: Mapping[str, str]) -> int:
    """Run the demo and return the exit code.

    ``argv`` is the command line without the word ``demo``; every option of ``l7`` is taken. SystemExit comes from
    ``--help``. Raises `l7.errors.ConfigError` and `l7.errors.StartError` as running l7 itself does.
    """
    asked = DemoSettings(argv, settings(environ))
    listeners = [socket.create_server(("127.0.0.1", 0)) for _ in NAMES]
    addresses = [f"127.0.0.1:{listener.getsockname()[1]}" for listener in listeners]
    words = [f"{host}={address}" for host in HOSTS for address in addresses]

    loaded = load([*argv, *words], asked.environ)
    identity = identify(loaded.config.run_as)
    with with_https(asked, loaded, identity) as used, running(listeners, identity, used.directory) as pids:
        servers = "".join(
            f"server {name:<5} on {address}, pid {pid}\n"
            for name, address, pid in zip(NAMES, addresses, pids, strict=True)
        )
        first = loaded.config.listened_on[0]
        # Whoever brings a certificate has one of another name, most likely.
        curl, scheme = ("curl", "http") if first.tls is None else ("curl -k", "https")
        https = ""
        if used.https_port is not None:
            https = HTTPS.format(certificate=used.certificate, port=used.https_port)
        text = WORDS.format(
            servers=servers, curl=curl, scheme=scheme, port=first.address.port or "PORT", https=https,
            pid=os.getpid(), victim=pids[1],
        )  # fmt: skip
        print(text, flush=True)
        return serve(ConfigReader([*used.argv, *words], used.environ))


def settings(environ: Mapping[str, str]) -> Mapping[str, str]:
    """The environment with a port of the demo's own where none is set."""
    return environ if "port" in parse_environment(environ).values else {**environ, "L7_PORT": PORT}


# ------------------------------------------------------------------------------------------------- processes


@contextmanager
def running(listeners: list[socket.socket], identity: Identity | None, directory: str = "") -> Iterator[list[int]]:
    """Serve on each of the listeners from a process of its own, as ``identity`` where root is to be given up.

    Gives the pids of these processes and ends them on the way out. They remove ``directory`` then.
    """
    ours, theirs = socket.socketpair()
    with ours:
        origins = [Origin(name, listener) for name, listener in zip(NAMES, listeners, strict=True)]
        with theirs:
            pids = [_spawn(origin, origins, identity, ours, theirs, directory) for origin in origins]
        for listener in listeners:
            listener.close()
        try:
            yield pids
        finally:
            # A shutdown reaches the servers even when a worker that lingers still holds a copy of our end.
            ours.shutdown(socket.SHUT_WR)
            _collect(pids, ours)


def _spawn(
    origin: Origin, origins: list[Origin], identity: Identity | None, ours: socket.socket, theirs: socket.socket,
    directory: str,
) -> int:  # fmt: skip
    """Serve one of the origins in a child; returns its pid."""
    pid = os.fork()
    if pid:
        return pid
    # Nothing of what the parent does at its end may happen in the child: it leaves by os._exit, whatever comes.
    try:
        ours.close()
        for other in origins:
            if other is not origin:
                other.socket.close()  # or its port would go on accepting when it is gone
        os.setsid()
        _live(origin, identity, theirs)
        shutil.rmtree(directory, ignore_errors=True)
    except Exception as error:
        print(f"l7: demo server {origin.label}: {error}", file=sys.stderr)
    finally:
        os._exit(0)


def _collect(pids: list[int], lifeline: socket.socket) -> None:
    """Wait until the servers have ended, by force when they do not within `PATIENCE`."""
    lifeline.settimeout(PATIENCE)
    try:
        lifeline.recv(1)
    except TimeoutError:
        for pid in pids:
            if not _has_ended(pid, os.WNOHANG):
                os.kill(pid, signal.SIGKILL)
    for pid in pids:
        _has_ended(pid)


def _has_ended(pid: int, how: int = 0) -> bool:
    """Whether a server has ended; the master in this process reaps those that do while it runs."""
    try:
        return os.waitpid(pid, how)[0] == pid
    except ChildProcessError:
        return True


def _live(origin: Origin, identity: Identity | None, lifeline: socket.socket) -> None:
    """Be a server until the lifeline is cut."""
    for signum in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(signum, signal.SIG_DFL)
    setproctitle(f"l7: demo server {origin.label}")
    nothing = os.open(os.devnull, os.O_RDWR)
    os.dup2(nothing, 0)
    os.dup2(nothing, 1)
    if identity is not None:
        drop(identity)
    threading.Thread(target=origin.serve_forever, name="accept", daemon=True).start()
    lifeline.recv(1)


# --------------------------------------------------------------------------------------------------- serving


class Origin(ThreadingHTTPServer):
    """One of the demo's servers, on a listener that is already bound."""

    daemon_threads = True
    block_on_close = False

    def __init__(self, name: str, listener: socket.socket) -> None:
        super().__init__(listener.getsockname()[:2], Answers, bind_and_activate=False)
        self.socket.close()
        self.socket = listener
        self.label = name

    def handle_error(self, request: object, client_address: object) -> None:
        """Say nothing when a client left; that is what the demo is there to show."""
        if not isinstance(sys.exc_info()[1], OSError):
            super().handle_error(request, client_address)  # type: ignore[arg-type]


class Answers(BaseHTTPRequestHandler):
    """Answer a request with what was seen of it, or as the path asks: ``/slow``, ``/big``, ``/stream``."""

    protocol_version = "HTTP/1.1"
    server_version = "l7-demo"
    disable_nagle_algorithm = True
    server: Origin

    def log_message(self, format: str, *args: object) -> None:  # the name is the standard library's
        """Leave logging to l7, whose access log is on the same terminal."""

    def _answer(self) -> None:
        taken = self._take_body()
        path = urlsplit(self.path).path
        {"/slow": self._slow, "/big": self._big, "/stream": self._stream}.get(path, self._show)(taken)

    do_GET = do_HEAD = do_POST = do_PUT = do_PATCH = do_DELETE = do_OPTIONS = _answer

    def _take_body(self) -> int:
        """Read the request's body and return its length in bytes."""
        if self.headers.get("Transfer-Encoding", "").lower() != "chunked":
            return self._skip(int(self.headers.get("Content-Length", 0)))
        taken = 0
        while size := int(self.rfile.readline().split(b";")[0], 16):
            taken += self._skip(size)
            self.rfile.readline()
        while self.rfile.readline().strip():
            pass
        return taken

    def _skip(self, count: int) -> int:
        left = count
        while left and (piece := self.rfile.read(min(left, PIECE))):
            left -= len(piece)
        return count - left

    def _asked(self, name: str, default: int, most: int) -> int:
        """A number of the query, never above ``most``; the default when there is none or it is no number."""
        value = parse_qs(urlsplit(self.path).query).get(name, [""])[0]
        return min(int(value), most) if value.isascii() and value.isdigit() else default

    def _head(self, content_type: str, length: int | None) -> None:
        self.send_response(200)
        self.send_header("Content-Type", content_type)
        self.send_header("X-Demo-Server", self.server.label)
        if length is None:
            self.send_header("Cache-Control", "no-store")
            self.send_header("Connection", "close")
        else:
            self.send_header("Content-Length", str(length))
        self.end_headers()

    def _body(self, data: bytes) -> None:
        if self.command != "HEAD":
            self.wfile.write(data)

    def _show(self, taken: int) -> None:
        lines = [f"Hello from {self.server.label}.", "", self.requestline]
        lines += [f"{name}: {value}" for name, value in self.headers.items()]
        if taken:
            lines += ["", f"{taken} bytes of body"]
        text = "\n".join([*lines, ""]).encode("utf-8", "backslashreplace")
        self._head("text/plain; charset=utf-8", len(text))
        self._body(text)

    def _slow(self, taken: int) -> None:
        time.sleep(self._asked("seconds", 2, most=300))
        self._show(taken)

    def _big(self, taken: int) -> None:
        left = self._asked("bytes", 1_000_000, most=10**12)
        self._head("application/octet-stream", left)
        piece = self.server.label[:1].encode() * PIECE
        while left and self.command != "HEAD":
            left -= self.wfile.write(piece[: min(left, PIECE)])

    def _stream(self, taken: int) -> None:
        self._head("text/event-stream", None)
        for number in range(self._asked("count", 3600, most=10**9)):
            self._body(f"data: {number} from {self.server.label}\n\n".encode())
            if self.command == "HEAD":
                break
            time.sleep(1)
