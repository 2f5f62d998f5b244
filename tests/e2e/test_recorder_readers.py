"""Readers of the recorder: over an upgrade in place, too slow, very many at once, with a full disk or a closed pipe."""

from __future__ import annotations

import fcntl
import os
import subprocess
import sys
import threading
import time
from typing import IO

from l7.commands.recorder.connection import running_recorder
from l7.config.reading import flags
from l7.telemetry.recorder.reader import RecorderReader
from tests.harness import TIMEOUT
from tests.harness.client import Client, get
from tests.harness.l7process import CONFIG, ROOT, STATUS, L7Process
from tests.harness.lifecycle import stop_successor, upgrade
from tests.harness.load import Gate

F_SETPIPE_SZ = 1031


def environment() -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if not name.startswith("L7_") or name == "L7_PURE_PYTHON"}


def words(proxy: L7Process, *asked: str) -> list[str]:
    return [sys.executable, "-m", "l7", *asked, "--control", str(proxy.directory / STATUS)]


def start(proxy: L7Process, *asked: str) -> subprocess.Popen[str]:
    pipe = subprocess.PIPE
    return subprocess.Popen(words(proxy, *asked), stdout=pipe, stderr=pipe, text=True, cwd=ROOT, env=environment())


class Shown:
    """The lines of a stream, read by a thread."""

    def __init__(self, stream: IO[str] | None) -> None:
        assert stream is not None
        self.lines: list[str] = []
        self._thread = threading.Thread(target=lambda: self.lines.extend(iter(stream.readline, "")))
        self._thread.start()

    def has(self, text: str) -> bool:
        return any(text in line for line in self.lines)

    def end(self) -> None:
        self._thread.join(TIMEOUT)
        assert not self._thread.is_alive()


def test_tail_goes_on_with_the_l7_that_takes_over_while_the_one_before_drains(l7, origin):
    gate, good = Gate(), origin()
    hosts = f"backends: {{slow: {{servers: ['{origin(gate).address}']}}, '*': {{servers: ['{good.address}']}}}}\n"
    proxy = l7(hosts + "canary-time: 100ms\n", argv=["--control", STATUS])
    get(proxy.address, "/first")
    with start(proxy, "tail") as tail:
        shown = Shown(tail.stdout)
        try:
            proxy.wait_for(lambda: shown.has("/first"), "what was there")
            with Client(proxy.address) as client:
                client.send(b"GET /drains HTTP/1.1\r\nHost: slow\r\n\r\n")
                assert gate.entered.acquire(timeout=TIMEOUT)
                pid = upgrade(proxy)
                get(proxy.address, "/second")
                proxy.wait_for(lambda: shown.has("/second"), "what the new one serves")
                assert proxy.process.poll() is None, "the one before still serves"
                gate.opened.set()
                client.read_response()
            proxy.wait_for(lambda: shown.has("/drains"), "what the one before has served at last")
            assert sum("/first" in line for line in shown.lines) == 1
            assert proxy.wait() == 0
            stop_successor(proxy, pid)
            assert tail.wait(TIMEOUT) == 1
            assert tail.stderr is not None and "no l7 runs" in tail.stderr.read()
        finally:
            tail.kill()
            shown.end()


def test_a_reader_that_is_too_slow_is_told_how_many_it_has_missed(l7, origin):
    count = 1200
    proxy = l7(CONFIG.format(origin().address) + "recorder: {requests: 100}\n", argv=["--control", STATUS])
    get(proxy.address, "/before")
    with start(proxy, "tail", "-n", "1") as tail:
        try:
            assert tail.stdout is not None and "/before" in tail.stdout.readline()
            fcntl.fcntl(tail.stdout, F_SETPIPE_SZ, 4096)
            begun = time.monotonic()
            with Client(proxy.address) as client:
                for number in range(count):
                    client.send(b"GET /%d HTTP/1.1\r\nHost: a\r\n\r\n" % number)
                    assert client.read_response().status == 200
            assert time.monotonic() - begun < TIMEOUT, "nobody waits for a reader"
            shown, errors = Shown(tail.stdout), Shown(tail.stderr)
            proxy.wait_for(lambda: shown.has(f"/{count - 1} "), "the last one")
        finally:
            tail.kill()
        shown.end()
        errors.end()
    missed = [int(line.split()[1]) for line in errors.lines if "requests missed: more ended than could be" in line]
    assert missed and len(shown.lines) + sum(missed) == count
    targets = [int(line.split(" -> ")[0].rpartition("/")[2]) for line in shown.lines]
    assert targets == sorted(set(targets)), "in order, and none twice"


def test_two_hundred_readers_that_follow_hold_nobody_up_and_lose_nothing(l7, origin):
    """By the memory: two hundred commands, each a Python that starts, would take minutes."""
    proxy = l7(CONFIG.format(origin().address), argv=["--control", STATUS])
    given = flags.parse_flags(["tail", "--control", str(proxy.directory / STATUS)])
    asked = 100
    readers = [running_recorder(given, {}) for _ in range(200)]
    found: list[set[str]] = [set() for _ in readers]

    def look(number: int, reader: RecorderReader) -> None:
        news = reader.news()
        assert news.missed == 0
        for one in news.records:
            assert (one.status, one.code, one.target, one.tried, len(one.request_id)) == (200, "--", "/", 1, 32)
            assert one.request_id not in found[number]
            found[number].add(one.request_id)

    def ask() -> None:
        for _ in range(asked):
            assert get(proxy.address, "/").status == 200

    load = threading.Thread(target=ask)
    load.start()
    while load.is_alive():
        for number, reader in enumerate(readers):
            look(number, reader)
    load.join()
    proxy.settle()
    for number, reader in enumerate(readers):
        look(number, reader)
    assert {len(one) for one in found} == {asked}
    assert set.union(*found) == found[0]
    assert max(one.total for one in readers[0].finished()) < TIMEOUT / 10
    proxy.assert_no_leaks()


def test_a_full_disk_and_a_reader_that_is_gone_are_1_without_a_traceback(l7, origin):
    one = origin()
    proxy = l7(CONFIG.format(one.address), argv=["--control", STATUS])
    get(proxy.address, "/x")
    proxy.settle()
    (record,) = running_recorder(flags.parse_flags(["tail", "--control", str(proxy.directory / STATUS)]), {}).finished()
    asked = [
        ("why", record.request_id), ("tail",), ("tail", "--once", "--json"), ("status",), ("server", "*", one.address),
        ("explain", "http://a/x"),
    ]  # fmt: skip
    with open("/dev/full", "wb") as full:
        ends = [
            subprocess.Popen(
                words(proxy, *each), stdout=full, stderr=subprocess.PIPE, text=True, cwd=ROOT, env=environment()
            )
            for each in asked
        ]
    said = [(each.communicate(timeout=3 * TIMEOUT)[1], each.returncode) for each in ends]
    assert said == [("l7: standard output: no space left on device\n", 1)] * len(asked)
    with start(proxy, "tail", "-n", "1") as tail:
        assert tail.stdout is not None and tail.stderr is not None
        assert tail.stdout.readline()
        tail.stdout.close()  # and no request comes any more
        proxy.wait_for(lambda: tail.poll() is not None, "the end of a tail that nobody reads")
        assert (tail.returncode, tail.stderr.read()) == (1, "")
