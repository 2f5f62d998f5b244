"""``l7 top`` at a terminal: what a person sees at 80 by 24, what the keys do, and how it leaves."""

from __future__ import annotations

import contextlib
import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.harness import TIMEOUT
from tests.harness.client import Client, get
from tests.harness.l7process import ROOT, STATUS, L7Process
from tests.harness.origin import Origin
from tests.harness.terminal import Terminal, terminal

PURE = "L7_PURE_PYTHON"
CONFIG = """
canary-time: 0s
preflight: 0s
access-log: off
backends:
  well: {{servers: ['{0}']}}
  sick: {{servers: ['127.0.0.1:9'], retries: 0, queue: {{timeout: 100ms}}}}
"""
MOST_BYTES = 1500
"""Of one refresh of a quiet l7: what has changed, and no more."""


def environment() -> dict[str, str]:
    own = {name: value for name, value in os.environ.items() if not name.startswith(("L7_", "LC_")) or name == PURE}
    return {**own, "PYTHONPATH": os.pathsep.join([str(ROOT), *filter(None, [own.get("PYTHONPATH")])])}


def words(proxy: L7Process, *more: str) -> list[str]:
    return [sys.executable, "-m", "l7", "top", *more, "--control", str(proxy.directory / STATUS)]


def run(proxy: L7Process, *more: str, **env: str) -> tuple[int, str, str]:
    """Run it without a terminal."""
    done = subprocess.run(
        words(proxy, *more), stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=3 * TIMEOUT,
        env={**environment(), **env}, check=False,
    )  # fmt: skip
    return done.returncode, done.stdout, done.stderr


@contextlib.contextmanager
def watching(proxy: L7Process, *more: str, columns: int = 80, lines: int = 24, **env: str) -> Iterator[Terminal]:
    """Run it at a terminal until its first screen is there."""
    with terminal(words(proxy, "--interval", "100ms", *more), {**environment(), **env}, columns, lines) as one:
        one.wait_for("q:quit")
        yield one
        assert b"Traceback" not in one.written


def quit_by(one: Terminal, key: str = "q") -> None:
    one.send(key)
    assert one.wait() == 0
    assert one.is_restored


@pytest.fixture(scope="module")
def proxy(tmp_path_factory: pytest.TempPathFactory) -> Iterator[L7Process]:
    """One l7 for all that only look at it, with a request that went well, one that failed, and a hostile one."""
    with Origin() as origin:
        directory = tmp_path_factory.mktemp("l7")
        one = L7Process(CONFIG.format(origin.address), directory=directory, argv=["--control", STATUS], workers=2)
        try:
            one.wait_for(lambda: one.ask("overview").get("ok"), "an overview")
            assert get(one.address, "/first", host="well").status == 200
            assert get(one.address, "/broken", host="sick").status == 502
            with Client(one.address) as client:
                client.send(b"GET /\x1b[2J\x1b[31m\x9b<script>\xe2\x80\xae HTTP/1.1\r\nHost: a\r\n\r\n")
                assert client.read_response().status == 400
            one.wait_for(lambda: one.ask("overview")["totals"]["requests"] == 3, "the figures of three requests")
            yield one
            one.assert_no_leaks()
            one.stop()
        finally:
            one.kill()


def test_a_failure_is_opened_and_told_at_80_by_24(proxy):
    with watching(proxy) as one:
        one.wait_for("[1 routes 3]")
        assert len(one.lines) == 24
        for word in ("serving", "generation 1", "req/s", "p50", "p99", "in flight", "connections", "on disk: same"):
            assert word in "\n".join(one.lines[:4]), word
        one.send("4")
        one.wait_for("[4 failures 1]")
        assert "GET sick/broken" in one.text and "connection refused" in one.text
        one.send("\r")
        one.wait_for("GET /broken\n  502, SC, connection refused")
        one.send("G")
        one.wait_for("look next: whether something listens at 127.0.0.1:9")
        one.send("\x1b")
        one.wait_for("[4 failures 1]")
        quit_by(one)


def test_servers_workers_and_the_requests_of_a_route(proxy):
    with watching(proxy) as one:
        one.send("2")
        one.wait_for("takes no connec")
        (row,) = [line for line in one.lines[5:20] if line.startswith("sick")]
        assert " 127.0.0.1:9 " in row and " up ! " in row
        one.send("\r")
        one.wait_for("[server 127.0.0.1:9]")
        one.wait_for("unreachable  requests: connect")
        one.send("\x1b")
        one.wait_for("[2 servers 2, 1 not well]")
        one.send("3")
        one.wait_for("[3 workers 2]")
        assert sum(" ready " in line for line in one.lines) == 2
        one.send("\t\t")
        one.wait_for("[1 routes 3]")
        one.send("/well\r\r")
        one.wait_for("[the last requests of well]")
        one.wait_for("GET well/first")
        assert "/broken" not in one.text
        one.send("\r")
        one.wait_for("[request ")
        one.wait_for("GET /first")
        quit_by(one)


def test_sort_filter_and_pause(proxy):
    with watching(proxy) as one:
        one.wait_for("req/s▼")
        one.send("S")
        one.wait_for("req/s▲")
        one.send("s")
        one.wait_for("err/s▼")
        one.send("<<")
        one.wait_for("route▲")
        rows = [line.split()[0] for line in one.lines if line.startswith(("sick ", "well ", "- "))]
        assert rows == ["-", "sick", "well"]
        one.send("/WEL")
        one.wait_for("[1 routes 3 /wel: 1]")
        assert one.lines[-1] == "/WEL"
        one.send("\r")
        one.wait_for("q:quit")
        assert not any(line.startswith("sick ") for line in one.lines)
        one.send("\x1b")
        one.wait_for("[1 routes 3]")
        one.send("p")
        one.wait_for("PAUSED")
        paused, sent = one.lines, len(one.written)
        one.read(0.5)
        assert one.lines == paused and len(one.written) == sent
        one.send(" ")
        one.wait_for(lambda: "PAUSED" not in one.text and one.lines[0] != paused[0])
        quit_by(one, "\x03")


def test_every_size_shows_something_sane_and_little_is_sent(proxy):
    with watching(proxy) as one:
        one.resize(120, 44)
        one.wait_for(lambda: all(word in one.text for word in ("1 routes", "2 servers", "3 workers 2", "4 failures 1")))
        one.wait_for(lambda: "GET sick/broken" in one.text and "rate, 5 min" in one.text)
        one.send("z")
        one.wait_for("[1 routes 3] 2 servers")
        one.resize(50, 12)
        one.wait_for(lambda: one.lines[0].startswith("l7 ") and "sick" in one.text and "…" in one.text)
        one.resize(30, 8)
        one.wait_for("too small: 30x8")
        one.resize(80, 24, known=False)  # as at a serial line
        one.wait_for(lambda: "q:quit" in one.lines[-1] and "[1 routes 3]" in one.text)
        one.send("?")
        one.wait_for("[help")
        one.send("\x1b")
        one.wait_for("[1 routes 3]")
        seconds, sent = {one.lines[0]}, len(one.written)

        def ticked() -> bool:
            seconds.add(one.lines[0])
            return len(seconds) == 3

        one.wait_for(ticked)
        assert len(one.written) - sent < 3 * MOST_BYTES
        quit_by(one)


def test_what_clients_send_cannot_move_the_cursor(proxy):
    with watching(proxy) as one:
        one.send("<\r")
        one.wait_for("[the last requests of -]")
        one.wait_for("/\\x1b[2J\\")
        one.send("\r")
        one.wait_for("<script>")
        assert b"\x1b[2J" not in one.written and b"\x1b[31m" not in one.written
        assert b"\xe2\x80\xae" not in one.written and b"\x9b<" not in one.written
        quit_by(one)


def test_a_reload_is_told_and_an_l7_that_comes_back_is_shown(l7, origin):
    first = l7(CONFIG.format(origin().address), argv=["--control", STATUS])
    first.wait_for(lambda: first.ask("overview").get("ok"), "an overview")
    with watching(first) as one:
        first.write_config(CONFIG.format(origin().address))
        first.hup()
        one.wait_for("reloaded: generation 2")
        one.wait_for("serving  generation 2")
        first.stop()
        one.wait_for("no news for ")
        l7(CONFIG.format(origin().address), argv=["--control", str(first.directory / STATUS)], leaks=False)
        one.wait_for(lambda: "serving  generation 1" in one.text and "no news for" not in one.text)
        quit_by(one)


def ended_by(number: int) -> Callable[[Terminal], None]:
    def end(one: Terminal) -> None:
        one.process.send_signal(number)
        assert one.wait() == -number
        assert one.is_restored

    return end


def hung_up(one: Terminal) -> None:
    one.hang_up()
    assert one.process.wait(3 * TIMEOUT) in (-signal.SIGHUP, 1)


@pytest.mark.parametrize("end", [ended_by(signal.SIGTERM), ended_by(signal.SIGHUP), hung_up])
def test_it_ends_and_the_terminal_is_as_it_was(proxy, end):
    with watching(proxy) as one:
        end(one)


def test_a_terminal_without_colours_and_without_utf_8(proxy):
    with watching(proxy, NO_COLOR="1", LC_ALL="C") as one:
        one.wait_for("req/sv")
        quit_by(one)
        assert one.written.isascii()
        assert not re.search(rb"\x1b\[[0-9;]*;3[0-7]", one.written)


def test_without_a_terminal_it_says_what_to_write(proxy):
    code, out, err = run(proxy, TERM="xterm")
    assert (code, out) == (2, "") and "are no terminal; `l7 top --once` prints once" in err
    with terminal(words(proxy), {**environment(), "TERM": "dumb"}) as one:
        assert one.wait() == 2
        assert "this terminal cannot be drawn on (TERM=dumb)" in one.text and b"\x1b" not in one.written
    code, out, err = run(proxy, "--nonsense", TERM="xterm")
    assert (code, out) == (2, "") and "--nonsense: unknown option" in err


def test_once_prints_text_and_json_the_document(proxy):
    code, out, err = run(proxy, "--once")
    assert (code, err) == (0, "") and "\x1b" not in out
    for title in ("ROUTES", "SERVERS", "WORKERS", "FAILURES"):
        assert f"\n{title}\n" in out
    assert "GET sick/broken" in out and "takes no connections" in out
    code, out, err = run(proxy, "--json")
    document = json.loads(out)
    assert (code, err) == (0, "") and {one["route"] for one in document["routes"]} == {"well", "sick", "-"}


def test_nothing_runs_is_1(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "l7", "top", "--once", "--control", str(tmp_path / "none")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=3 * TIMEOUT, env=environment(), check=False)
    assert done.returncode == 1 and "no l7 runs with these settings" in done.stderr
