"""Closed-loop load: wrk with a script that writes the requests and prints the result as JSON."""

from __future__ import annotations

import json
import math
import signal
import subprocess
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.bench.processes import BenchError, running, tail
from tests.bench.requests import STRANGERS, Request

READY_MADE = 16
"""Requests with large bodies are made once, so many of them, instead of copying a body for each."""
LARGE = 64 * 1024

SCRIPT = """\
local rest = {{{rest}}}
local body = string.rep("x", {body})
local number = 0
local ready = {{}}
local function hex() return string.format("%08x%08x", math.random(0, 0x7fffffff), math.random(0, 0x7fffffff)) end
local function fresh()
    return 'X-Trace-Id: ' .. hex() .. '\\r\\nIf-None-Match: "' .. hex() .. '"\\r\\nX-Sequence: ' .. number ..
        '\\r\\n\\r\\n'
end
local function visitors()
    local visitor = math.random(0, {strangers} - 1)
    return 'Referer: http://bench.test/catalogue/' .. visitor .. '/index.html?sort=price\\r\\nCookie: session=' ..
        string.format("%032.0f", visitor * 2654435761) .. '; theme=dark; consent=all\\r\\n\\r\\n'
end
local function regular() return "" end
local function make() return {start} .. number .. rest[number % #rest + 1] .. {heads}() .. body end
function init() math.randomseed(os.time()) end
function request()
    number = number + 1
    if not {large} then return make() end
    local place = number % {ready} + 1
    ready[place] = ready[place] or make()
    return ready[place]
end
function done(summary, latency)
    local out = io.open({result}, "w")
    out:write(string.format(
        '{{"requests": %.0f, "bytes": %.0f, "duration": %.0f, "p50": %.0f, "p99": %.0f, "connect": %.0f, ' ..
        '"read": %.0f, "write": %.0f, "status": %.0f, "timeout": %.0f}}',
        summary.requests, summary.bytes, summary.duration, latency:percentile(50), latency:percentile(99),
        summary.errors.connect, summary.errors.read, summary.errors.write, summary.errors.status,
        summary.errors.timeout))
    out:close()
end
"""


@dataclass(frozen=True)
class Load:
    """What wrk did; times in seconds."""

    requests: int
    bytes: int
    """Received, heads and unfinished answers among them."""
    duration: float
    p50: float
    p99: float
    errors: dict[str, int]

    def fault(self, request: Request) -> str:
        """Why this does not count; empty when every answer was right."""
        wrong = [f"{count} {name} errors" for name, count in self.errors.items() if count]
        if not self.requests:
            wrong.append("no request was answered")
        elif self.bytes < self.requests * request.size:
            wrong.append("answers are too short")
        return ", ".join(wrong)


def script(request: Request, result: Path) -> str:
    """The Lua that makes these requests."""
    return SCRIPT.format(
        rest=", ".join(map(quote, request.rests())),
        body=request.body,
        large="true" if request.body >= LARGE else "false",
        ready=READY_MADE,
        strangers=STRANGERS,
        heads=request.heads,
        start=quote(request.start),
        result=quote(str(result)),
    )


def quote(text: str) -> str:
    """A Lua string."""
    escaped = text.replace("\\", "\\\\").replace('"', '\\"').replace("\r", "\\r").replace("\n", "\\n")
    return f'"{escaped}"'


def parse(text: str) -> Load:
    """Read what the script wrote."""
    values = json.loads(text)
    errors = {name: values[name] for name in ("connect", "read", "write", "status", "timeout")}
    micro = 1e-6
    return Load(
        values["requests"],
        values["bytes"],
        values["duration"] * micro,
        values["p50"] * micro,
        values["p99"] * micro,
        errors,
    )


def run(
    scheme: str, port: int, request: Request, connections: int, seconds: float, cores: Sequence[int], directory: Path
) -> Load:
    """Ask for *seconds* over so many connections, each waiting for its answer before it asks again.

    :raises BenchError: wrk failed or did not end.
    """
    result = directory / "wrk.json"
    result.unlink(missing_ok=True)
    lua = directory / "wrk.lua"
    lua.write_text(script(request, result))
    threads = min(len(cores), connections)
    # It counts whole seconds only, and ends with a result when it is interrupted.
    words = ["-t", threads, "-c", connections, "-d", f"{math.ceil(seconds) + 30}s", "--timeout", "10s", "-s", lua]
    command = ["wrk", *map(str, words), f"{scheme}://127.0.0.1:{port}/"]
    log = directory / "wrk.log"
    with running(command, cores, log) as child:
        time.sleep(seconds)
        child.send_signal(signal.SIGINT)
        try:
            status = child.wait(20)
        except subprocess.TimeoutExpired:
            raise BenchError("wrk did not end") from None
    if status or not result.exists():
        raise BenchError(f"wrk failed:\n{tail(log)}")
    return parse(result.read_text())
