"""A machine of its own for files that name ports and paths as they are on a real one: its network and its ``/etc``.

For what is shown in the documentation: it runs as it stands, on ports 80 and 443, with files in ``/etc``. Needs root.
"""

from __future__ import annotations

import contextlib
import http.client
import os
import shutil
import socket
import ssl
import subprocess
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.harness import TIMEOUT
from tests.harness.network import alone
from tests.harness.tls import chain_of, issue, trusting

OUTSIDE, INSIDE = "127.0.0.1", "10.1.2.3"
"""Addresses of the machine, and so of clients on it: whom it takes for a stranger, and one of the internal network."""

_WITH_ETC = 'mount --bind "$0" /etc; exec "$@"'


def on_a_machine(directory: Path, test: Callable[[Machine], None]) -> None:
    """Run ``test`` on a machine of its own, with the host names that it is to be asked for; skip it without root."""
    if os.geteuid() != 0 or not shutil.which("unshare"):
        pytest.skip("makes a network and mounts a directory, as root")

    def run() -> None:
        subprocess.run(["ip", "address", "add", f"{INSIDE}/8", "dev", "lo"], check=True)
        machine = Machine(directory)
        machine.furnish()
        test(machine)

    alone(run)


@dataclass
class Answer:
    """What came of a request: names of fields are in lower case."""

    status: int
    headers: dict[str, str]
    body: bytes


class Machine:
    """The thread that has it: what it opens, and whom it starts, has its network; the latter its ``/etc``, too."""

    def __init__(self, directory: Path) -> None:
        self.etc = directory / "etc"
        self._directory = directory

    def furnish(self) -> None:
        """Make its ``/etc``: a copy, which may be written to. Skips the test where nothing may be mounted."""
        subprocess.run(["cp", "-a", "/etc", str(self.etc)], check=True)
        if subprocess.run(self.words("true"), capture_output=True, check=False).returncode:
            pytest.skip("nothing may be mounted here")

    def words(self, *command: str) -> tuple[str, ...]:
        """The words that run a command with its ``/etc``; the process that they start becomes the command."""
        return ("unshare", "--mount", "sh", "-ec", _WITH_ETC, str(self.etc), *command)

    def certify(self, place: str, *hosts: str, apart: bool = False) -> None:
        """Write a certificate below its ``/etc``, with its key, or with the key ``apart`` in ``.key`` beside it."""
        leaf = issue(*hosts)
        file = self.etc / place
        file.parent.mkdir(exist_ok=True)
        key = leaf.private_key_pem.bytes()
        file.write_bytes(chain_of(leaf) + (b"" if apart else key))
        if apart:
            file.with_suffix(".key").write_bytes(key)

    @contextlib.contextmanager
    def running(self, *command: str, ports: Sequence[int] = (80, 443)) -> Iterator[None]:
        """Run a command, once it listens on these ports, and stop it in the end."""
        log = self._directory / "log"
        with log.open("wb") as output:
            process = subprocess.Popen(
                self.words(*command), stdin=subprocess.DEVNULL, stdout=output, stderr=output,
                env={**os.environ, "HOME": str(self._directory), "XDG_DATA_HOME": str(self._directory)},
            )  # fmt: skip
            try:
                for port in ports:
                    _wait_for_port(port, process, log)
                yield
            finally:
                process.terminate()
                process.wait(TIMEOUT)

    def ask(
        self, url: str, *, method: str = "GET", headers: Sequence[tuple[str, str]] = (), source: str = OUTSIDE
    ) -> Answer:
        """Ask for a URL as a client with this address; nothing is looked up, and redirects are not followed."""
        scheme, _, rest = url.partition("://")
        host, slash, path = rest.partition("/")
        connection = Connection(scheme, host, source)
        try:
            return connection.ask(slash + path or "/", method, headers)
        finally:
            connection.close()


class Connection:
    """A client's connection that is kept."""

    def __init__(self, scheme: str, host: str, source: str = OUTSIDE) -> None:
        port = 443 if scheme == "https" else 80
        sock = socket.create_connection((source, port), TIMEOUT, source_address=(source, 0))
        if scheme == "https":
            sock = _tls().wrap_socket(sock, server_hostname=host)
        self._http = http.client.HTTPConnection(host, port, timeout=TIMEOUT)
        self._http.sock = sock
        self._host = host

    def ask(self, target: str, method: str = "GET", headers: Sequence[tuple[str, str]] = ()) -> Answer:
        """Ask, and read the whole answer."""
        self._http.putrequest(method, target, skip_host=True, skip_accept_encoding=True)
        for name, value in (("Host", self._host), *headers):
            self._http.putheader(name, value)
        self._http.endheaders()
        answer = self._http.getresponse()
        fields: dict[str, str] = {}
        for name, value in answer.getheaders():
            assert name.lower() not in fields, f"{name} comes twice"
            fields[name.lower()] = value
        return Answer(answer.status, fields, answer.read())

    def close(self) -> None:
        """Close it."""
        self._http.close()


def _tls() -> ssl.SSLContext:
    return trusting()


def _wait_for_port(port: int, process: subprocess.Popen[bytes], log: Path) -> None:
    """Wait until somebody listens; the kernel has no event for it."""
    for _ in range(int(TIMEOUT * 100)):
        assert process.poll() is None, log.read_text("utf-8", "replace")
        with contextlib.suppress(ConnectionRefusedError), socket.create_connection((OUTSIDE, port), TIMEOUT):
            return
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(0.01)
    raise AssertionError(f"nobody listens on {port}\n{log.read_text('utf-8', 'replace')}")
