"""The private l7 of a rehearsal and the servers behind it: processes on free ports, gone with the rehearsal."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import json
import os
import pwd
import re
import secrets
import signal
import sys
from collections import deque
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from l7.config.dump import render_dump
from l7.config.generation import Loaded
from l7.errors import StartError
from l7.rehearsal.clients import Site

WITHIN = 60.0
"""Seconds that a start, a reload or an upgrade may take."""
LOGIN = "rehearsal"
ROOM = 256
"""Connections that l7 must let in at least, so that all of our clients find room."""
MOST_SITES = 16
"""Routes of the configuration that requests are sent to."""
BROKEN = "backends: {'*': {servers: [\n"

_LISTENING = re.compile(r"listening on \S+?:(\d+)")


class House:
    """Starts and stops everything; ``directory`` holds the configuration and what the servers noted."""

    def __init__(self, directory: Path, loaded: Loaded) -> None:
        self.directory = directory
        self.sites: list[Site] = []
        self.port = 0
        self.words: deque[str] = deque(maxlen=200)
        """What l7 said last."""
        self._loaded = loaded
        self._config: dict[str, Any] = {}
        self._heard = asyncio.Condition()
        self._count = 0
        self._jobs: list[asyncio.Task[None]] = []
        self._origin: asyncio.subprocess.Process
        self._proxy: asyncio.subprocess.Process

    async def start(self) -> None:
        """Start the servers and l7, and wait until it is ready; raises `StartError`."""
        python = (sys.executable, "-m")
        pipe = asyncio.subprocess.PIPE
        environ = {name: value for name, value in os.environ.items() if not name.startswith(("L7_", "LISTEN_"))}
        if "L7_PURE_PYTHON" in os.environ:
            environ["L7_PURE_PYTHON"] = os.environ["L7_PURE_PYTHON"]
        self._origin = await asyncio.create_subprocess_exec(
            *python, "l7.rehearsal.origin", str(self.directory), stdin=pipe, stdout=pipe, start_new_session=True
        )
        assert self._origin.stdout is not None
        ports = json.loads(await asyncio.wait_for(self._origin.stdout.readline(), WITHIN))
        self._config, self.sites = private(self._loaded, ports, self.directory)
        self.write()
        self._proxy = await asyncio.create_subprocess_exec(
            *python, "l7", "--config", str(self._file), env=environ, cwd=self.directory,
            stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.DEVNULL, stderr=pipe, start_new_session=True,
        )  # fmt: skip
        self._answer_for(self._proxy.pid)
        self._jobs.append(asyncio.ensure_future(self._listen()))
        found = await self.wait_for(r"ready: ", 0)
        listening = _LISTENING.search(found)
        assert listening is not None, found
        self.port = int(listening[1])

    @property
    def _file(self) -> Path:
        return self.directory / "config.yml"

    @property
    def pid(self) -> int:
        """The master that serves now."""
        return int((self.directory / "l7.pid").read_text("ascii"))

    @property
    def mark(self) -> int:
        """A place in what l7 says, to wait from."""
        return self._count

    def workers(self) -> list[int]:
        """The children of the master that serves now."""
        found = []
        for entry in Path("/proc").iterdir():
            with contextlib.suppress(OSError, ValueError):
                if entry.name.isdigit() and int(_stat(int(entry.name))[1]) == self.pid:
                    found.append(int(entry.name))
        return found

    def write(self, text: str | None = None) -> None:
        """Write the configuration file, or ``text`` in its place."""
        new = self._file.with_suffix(".new")
        new.write_text(yaml.safe_dump(self._config) if text is None else text, "utf-8")
        new.replace(self._file)

    def signal(self, number: int) -> None:
        """Send a signal to the master."""
        os.kill(self.pid, number)

    def kill(self, worker: int) -> None:
        """Kill a worker."""
        os.kill(worker, signal.SIGKILL)

    async def wait_for(self, pattern: str, mark: int) -> str:
        """Wait for a line that matches, said after ``mark``; raises `StartError` when it does not come."""
        sought = re.compile(pattern)

        def found() -> str | None:
            fresh = list(self.words)[-(self._count - mark) or len(self.words) :] if self._count > mark else []
            return next((line for line in fresh if sought.search(line)), None)

        async with self._heard:
            try:
                await asyncio.wait_for(self._heard.wait_for(lambda: found() or not self._jobs), WITHIN)
            except asyncio.TimeoutError:
                pass
            line = found()
        if line is None:
            raise StartError("the private l7 did not say " + repr(pattern) + ":\n" + "\n".join(self.words))
        return line

    async def _listen(self) -> None:
        assert self._proxy.stderr is not None
        while line := await self._proxy.stderr.readline():
            async with self._heard:
                self.words.append(line.decode("utf-8", "replace").rstrip("\n"))
                self._count += 1
                self._heard.notify_all()
        async with self._heard:
            self._jobs.clear()
            self._heard.notify_all()

    async def gone(self, pid: int) -> None:
        """Wait until a process has ended."""
        for _ in range(int(WITHIN / 0.01)):
            try:
                if _stat(pid)[0] in "ZX":
                    return
            except OSError:
                return
            await asyncio.sleep(0.01)

    def _answer_for(self, group: int | None) -> None:
        """Let the servers' process see to the end of l7 when this process is killed and cannot."""
        assert self._origin.stdin is not None
        self._origin.stdin.write(b"%d\n" % group if group is not None else b"\n")

    async def stop(self) -> None:
        """Stop l7, then the servers, which leave their notes."""
        with contextlib.suppress(OSError, ValueError):
            master = self.pid
            self.signal(signal.SIGTERM)
            await self.gone(master)
        await asyncio.wait_for(self._proxy.wait(), WITHIN)
        self._answer_for(None)
        assert self._origin.stdin is not None
        self._origin.stdin.close()
        await asyncio.wait_for(self._origin.wait(), WITHIN)

    async def abandon(self) -> None:
        """End every process at once, whatever state it is in; safe to call again."""
        for name in ("_proxy", "_origin"):
            process: asyncio.subprocess.Process | None = getattr(self, name, None)
            if process is None:
                continue
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(process.pid, signal.SIGKILL)
            with contextlib.suppress(asyncio.TimeoutError):
                await asyncio.wait_for(process.wait(), WITHIN)
        for job in self._jobs:
            job.cancel()


def _stat(pid: int) -> tuple[str, str]:
    """State and parent of a process; raises ``OSError`` when there is none."""
    words = Path(f"/proc/{pid}/stat").read_text("utf-8", "replace").rpartition(")")[2].split()
    return words[0], words[1]


def private(loaded: Loaded, ports: list[int], directory: Path) -> tuple[dict[str, Any], list[Site]]:
    """The configuration of the private l7, and the routes that it serves.

    What was loaded stays as it is, but for where it listens, who serves, who may log in and what it leaves behind.
    """
    config: dict[str, Any] = yaml.safe_load(render_dump(loaded))
    servers = [f"127.0.0.1:{port}" for port in ports]
    # The servers are none that checks would know, and note every request.
    changed = {"servers": servers, "health": "off"}
    config["backends"] = {key: {**backend, **changed} for key, backend in config["backends"].items()}
    login = ""
    if config.get("users"):
        password = secrets.token_hex(8)
        config["users"] = {LOGIN: password}
        login = "Authorization: Basic " + base64.b64encode(f"{LOGIN}:{password}".encode()).decode("ascii") + "\r\n"
    config.update(
        {
            "port": 0,
            "bind": ["127.0.0.1"],
            "run-as": pwd.getpwuid(os.geteuid()).pw_name if os.geteuid() == 0 else None,
            "access-log": "off",
            "log-level": "info",
            "pid-file": str(directory / "l7.pid"),
            "control": "off",
            "admin": "off",
        }
    )
    config["limits"]["connections"] = max(config["limits"]["connections"], ROOM)
    return config, _sites(config["backends"], login)


def _sites(backends: Mapping[str, Any], login: str) -> list[Site]:
    sites = []
    for key in list(backends)[:MOST_SITES]:
        host, slash, path = key.partition("/")
        name = {"*": "rehearsal.test"}.get(host, host.replace("*.", "rehearsal."))
        prefix = (slash + path).rstrip("/").encode("ascii")
        sites.append(Site(prefix, f"Host: {name}\r\n{login}".encode("ascii")))
    return sites
