"""The private l7 of a rehearsal: on a free port, asked over its control socket, gone with the rehearsal."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import os
import pwd
import secrets
import signal
import sys
from asyncio.subprocess import DEVNULL, PIPE, Process, create_subprocess_exec
from collections import deque
from collections.abc import Callable
from pathlib import Path
from typing import Any

import yaml

from l7.commands.control_client import ask
from l7.commands.rehearsal.clients import Route
from l7.config.generation import Loaded
from l7.config.reading.flags import parse_flags
from l7.config.rendering.dump import render_dump
from l7.config.values.routekeys import routes_of
from l7.errors import StartError
from l7.ipc.requests import Answer, Request, StatusRequest

WITHIN = 60.0
"""Seconds that a start, a reload or an upgrade may take."""
LOGIN = "rehearsal"
ROOM = 256
"""Connections that l7 must let in at least, so that all of our clients find room."""
GUARD = 'read line; kill -s KILL -- "-$1"; rm -rf "$2"'
"""Waits for the end of a rehearsal that is killed and cannot end l7 itself."""
MOST_ROUTES = 16
"""Routes of the configuration that requests are sent to."""


class Instance:
    """Starts and stops l7, whose configuration is in ``directory``; ``ports`` are those of its servers."""

    def __init__(self, directory: Path, loaded: Loaded, ports: list[int]) -> None:
        self.pid = 0
        """The master that serves now."""
        self.port = 0
        self._directory = directory
        self._config, self.routes = private_config(loaded, ports, directory)
        self._events: deque[str] = deque(maxlen=200)
        self._processes: list[Process] = []
        self._reader: asyncio.Task[None]

    async def start(self) -> None:
        """Start l7, and wait until it is ready; raises `StartError`."""
        environ = {name: value for name, value in os.environ.items() if not name.startswith(("L7_", "LISTEN_"))}
        if "L7_PURE_PYTHON" in os.environ:
            environ["L7_PURE_PYTHON"] = os.environ["L7_PURE_PYTHON"]
        self.write()
        proxy = await create_subprocess_exec(
            sys.executable, "-m", "l7", "--config", str(self._directory / "config.yml"), env=environ,
            cwd=self._directory, stdin=DEVNULL, stdout=DEVNULL, stderr=PIPE, start_new_session=True,
        )  # fmt: skip
        self._processes.append(proxy)
        guard = await create_subprocess_exec(
            "sh", "-c", GUARD, "sh", str(proxy.pid), str(self._directory), stdin=PIPE, start_new_session=True
        )
        self._processes.append(guard)
        assert proxy.stderr is not None
        self._reader = asyncio.ensure_future(self._read_events(proxy.stderr))
        status = await self.wait_for("started", lambda status: status["state"] == "serving")
        self.port = int(status["listening"][0].rpartition(":")[2])

    async def _read_events(self, stream: asyncio.StreamReader) -> None:
        async for line in stream:
            self._events.append(line.decode("utf-8", "replace").rstrip("\n"))

    def write(self, text: str | None = None) -> None:
        """Write the configuration file, or ``text`` in its place."""
        new = self._directory / "config.new"
        new.write_text(yaml.safe_dump(self._config) if text is None else text, "utf-8")
        new.replace(self._directory / "config.yml")

    async def ask(self, request: Request) -> Answer:
        """Ask what ``l7 status`` or ``l7 reload`` asks; raises `StartError` when there is no answer."""
        given = parse_flags(["--control", str(self._directory / "l7.control")])
        return await asyncio.to_thread(ask, request, given, {}, WITHIN)

    async def wait_for(self, what: str, condition: Callable[[Answer], bool]) -> Answer:
        """Ask for the status until it meets a condition; raises `StartError` when it does not within `WITHIN`."""
        until = asyncio.get_running_loop().time() + WITHIN
        while not self._reader.done() and asyncio.get_running_loop().time() < until:
            with contextlib.suppress(StartError):  # it is not yet there, or is replaced by another one right now
                status = await self.ask(StatusRequest())
                if condition(status):
                    self.pid = status["pid"]
                    return status
            await asyncio.sleep(0.05)
        raise StartError(f"the private l7 has not {what}:\n" + "\n".join(self._events))

    async def stop(self) -> None:
        """Stop l7, and wait for the end of all of its processes; raises `StartError`."""
        os.kill(self.pid, signal.SIGTERM)
        try:
            await asyncio.wait_for(self._reader, WITHIN)
        except asyncio.TimeoutError:
            raise StartError("the private l7 does not stop:\n" + "\n".join(self._events)) from None

    async def abandon(self) -> None:
        """End every process at once, whatever state it is in."""
        for process in self._processes:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(process.pid, signal.SIGKILL)
            await process.wait()


def private_config(loaded: Loaded, ports: list[int], directory: Path) -> tuple[dict[str, Any], list[Route]]:
    """The configuration of the private l7, and the routes that it serves.

    What was loaded stays as it is, but for where it listens, who serves, who may come in and what it leaves behind.
    """
    config: dict[str, Any] = yaml.safe_load(render_dump(loaded))
    # The servers are none that checks would know, and note every request.
    changed: dict[str, Any] = {"servers": [f"127.0.0.1:{port}" for port in ports], "health": "off", "tls": {}}
    open_to_all = {"allow": "off", "deny": "off", "error-pages": {}}
    changed |= {"redirect": "off", "respond": "off", "users": "inherit", "rate-limit": "off", **open_to_all}
    config["backends"] = {key: {**backend, **changed} for key, backend in config["backends"].items()}
    login = ""
    if config.get("users"):
        password = secrets.token_hex(8)
        config["users"] = {LOGIN: password}
        login = f"Authorization: Basic {base64.b64encode(f'{LOGIN}:{password}'.encode()).decode()}\r\n"
    config |= {
        "port": 0,
        "bind": ["127.0.0.1"],
        "listeners": [],
        "tls": {"certificates": []},
        "run-as": pwd.getpwuid(os.geteuid()).pw_name if os.geteuid() == 0 else None,
        "access-log": "off",
        "log-level": "info",
        "pid-file": None,
        "control": str(directory / "l7.control"),
        "admin": "off",
        **open_to_all,
    }
    config["limits"]["connections"] = max(config["limits"]["connections"], ROOM)
    return config, [_route(key, login) for key in list(config["backends"])[:MOST_ROUTES]]


def _route(key: str, login: str) -> Route:
    host, slash, path = routes_of(key)[0].partition("/")
    name = {"*": "rehearsal.test"}.get(host, host.replace("*.", "rehearsal."))
    return Route((slash + path).rstrip("/").encode("ascii"), f"Host: {name}\r\n{login}".encode("ascii"))
