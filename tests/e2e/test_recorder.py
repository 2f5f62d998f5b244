"""``l7 why`` and ``l7 tail`` on the real l7: what happened to a request, also after its worker was killed."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator

import pytest

from tests.harness import TIMEOUT
from tests.harness.client import Client, get
from tests.harness.l7process import CONFIG, ROOT, STATUS, L7Process
from tests.harness.load import Gate

PURE = "L7_PURE_PYTHON"


def environment() -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if not name.startswith("L7_") or name == PURE}


def run(proxy: L7Process, *words: str) -> tuple[int, str, str]:
    """Run a command on a running l7, to its end."""
    proxy.settle()
    done = subprocess.run(
        [sys.executable, "-m", "l7", *words, "--control", str(proxy.directory / STATUS)], capture_output=True,
        text=True, cwd=ROOT, timeout=3 * TIMEOUT, env=environment(), check=False,
    )  # fmt: skip
    assert "Traceback" not in done.stderr, done.stderr
    return done.returncode, done.stdout, done.stderr


def recorded(proxy: L7Process, *words: str) -> list[dict[str, object]]:
    """What ``l7 tail --once --json`` prints."""
    code, out, _ = run(proxy, "tail", "--once", "--json", *words)
    found = [json.loads(line) for line in out.splitlines()]
    assert code == (0 if found else 1)
    return found


@contextlib.contextmanager
def following(proxy: L7Process, *words: str) -> Iterator[subprocess.Popen[str]]:
    """``l7 tail`` that follows."""
    command = [sys.executable, "-m", "l7", "tail", *words, "--control", str(proxy.directory / STATUS)]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=ROOT, env=environment()
    ) as tail:
        try:
            yield tail
        finally:
            tail.kill()


def test_a_request_is_told_by_the_end_of_its_id(l7, origin):
    one = origin()
    proxy = l7(CONFIG.format(one.address), argv=["--control", STATUS])
    with Client(proxy.address) as client:
        client.send(b"GET /reset?user=me&token=SECRET HTTP/1.1\r\nHost: a\r\nAuthorization: Basic U0VDUkVU\r\n\r\n")
        assert client.read_response().status == 200
    (plain,) = recorded(proxy)
    request_id = str(plain["request-id"])
    assert len(request_id) == 32 and one.requests[0].header(b"X-Request-ID") == request_id.encode()
    assert (plain["target"], plain["route"], plain["status"]) == ("/reset?user=…&token=…", "*", 200)
    code, out, err = run(proxy, "why", f'"{request_id[-5:]}"')
    assert (code, err) == (0, "")
    assert f"request {request_id}\nGET /reset?user=…&token=…\n" in out
    assert f"1. {one.address}: round-robin; 1 of 1 servers could be picked" in out
    assert f"by port {proxy.port}" in out and "it was answered to the end" in out
    assert "SECRET" not in out and "U0VDUkVU" not in out and "SECRET" not in json.dumps(plain)
    code, out, err = run(proxy, "why", request_id, "--json")
    (told,) = json.loads(out)["requests"]
    assert told["request-id"] == request_id and told["time-line"] and told["attempts"][0]["server"] == one.address


def test_the_time_that_a_client_takes_is_not_put_on_others(l7, origin):
    one = origin()
    proxy = l7(CONFIG.format(one.address), argv=["--control", STATUS])
    size = 400_000
    with Client(proxy.address) as client:
        client.send(b"POST /upload HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n" % size + b"x" * (size // 2))
        one.wait_for(1)
        time.sleep(0.3)  # the client is slow
        client.send(b"x" * (size // 2))
        assert client.read_response().status == 200
    with Client(proxy.address) as client:
        client.send(b"GET /left HTTP/1.1\r\nHo")
        time.sleep(0.1)
    proxy.wait_for(lambda: len(recorded(proxy)) == 2, "both requests to be recorded")
    uploaded, left = [
        json.loads(run(proxy, "why", str(each["request-id"]), "--json")[1])["requests"][0] for each in recorded(proxy)
    ]
    took = {phase["name"]: phase["end"] - phase["begin"] for phase in uploaded["phases"]}
    assert max(took, key=lambda name: took[name]) == f"send to {one.address}" and took[f"send to {one.address}"] >= 0.25
    assert sum(took.values()) == pytest.approx(uploaded["total"], abs=0.001)
    assert [phase["name"] for phase in left["phases"]] == ["wait for the client's head"] and not left["situations"]


def test_a_retried_request_names_each_server_and_what_to_look_at(l7, origin, tmp_path):
    one = origin()
    config = f"backends: {{'*': {{servers: ['127.0.0.1:9', '{one.address}'], balance: first}}}}\n"
    admin = tmp_path / "admin.sock"
    proxy = l7(config, argv=["--control", STATUS, "--admin", f"unix:{admin}"])
    assert get(proxy.address).status == 200
    (plain,) = recorded(proxy)
    first, second = plain["attempts"]  # type: ignore[misc]
    assert (first["server"], first["failure"]) == ("127.0.0.1:9", "connection refused")
    assert (second["server"], second["reasons"]) == (one.address, ["first", "retry"])
    proxy.wait_for(lambda: proxy.status()["servers"][0]["changes"], "the change to be noted")
    _, out, _ = run(proxy, "why", str(plain["request-id"]))
    assert "  > 127.0.0.1:9" in out and f"  > {one.address}" in out and "unreachable since " in out
    _, out, _ = run(proxy, "why", str(plain["request-id"]), "--json")
    before, after = json.loads(out)["requests"][0]["situations"]
    assert [one["state"] for one in before["servers"]] == ["up", "up"]
    assert [one["state"] for one in after["servers"]] == ["unreachable", "up"]
    (told,) = json.loads(get(str(admin), f"/requests/{plain['request-id']}").body)["requests"]
    assert told["situations"] == [before, after] and any("unreachable since" in line for line in told["story"])


def test_tail_puts_requests_together(l7, origin):
    proxy = l7(CONFIG.format(origin().address), argv=["--control", STATUS])
    for target in ("/a/1", "/a/2", "/b"):
        get(proxy.address, target)
    code, out, err = run(proxy, "tail", "--by", "path", "--target", "/a/")
    head, *rows = out.splitlines()
    assert (code, err) == (0, "") and head.startswith("path")
    assert sorted(row.split()[:2] for row in rows) == [["/a/1", "1"], ["/a/2", "1"]]
    code, out, _ = run(proxy, "tail", "--by", "generation", "--client", "127.0.0.1", "--json")
    assert code == 0 and json.loads(out)["requests"] == 3
    assert run(proxy, "tail", "--by", "server", "--client", "127.0.0.2") == (1, "", "")


def test_ids_that_are_none_are_refused(l7, origin):
    proxy = l7(CONFIG.format(origin().address), argv=["--control", STATUS])
    for words in ((), ("abc",), ("a b c d",), ("äöüß",), ("x" * 200,), ("abcd", "efgh")):
        code, out, err = run(proxy, "why", *words)
        assert (code, out) == (2, "")
        assert "write the id of a request, or the last 4 characters of it or more" in err
    assert run(proxy, "why", "abcdef") == (1, "", "no request is recorded yet\n")
    get(proxy.address)
    code, _, err = run(proxy, "why", "zzzzzz")
    assert code == 1 and "no request with this id, or this end of one: zzzzzz; 1 are recorded, since" in err
    code, _, err = run(proxy, "tail", "--status", "499-400")
    assert code == 2 and "'499-400' begins behind its end; write 400-499" in err
    code, _, err = run(proxy, "tail", "--status", "9xx")
    assert code == 2 and "--status: must be statuses, as 502, 5xx or 400-499" in err


def test_nothing_runs_is_1(tmp_path):
    done = subprocess.run(
        [sys.executable, "-m", "l7", "why", "abcdef", "--control", str(tmp_path / "none")], capture_output=True,
        text=True, cwd=ROOT, timeout=TIMEOUT, env=environment(), check=False,
    )  # fmt: skip
    assert done.returncode == 1 and "no l7 runs with these settings" in done.stderr


def test_a_recorder_that_is_off_says_so(l7, origin):
    proxy = l7(CONFIG.format(origin().address) + "recorder: off\n", argv=["--control", STATUS])
    get(proxy.address)
    code, out, err = run(proxy, "why", "abcdef")
    assert (code, out) == (1, "") and "the recorder is off" in err


def test_what_was_under_way_when_a_worker_was_killed_is_told(l7, origin):
    gate = Gate()
    one = origin(gate)
    proxy = l7(CONFIG.format(one.address), argv=["--control", STATUS])
    with Client(proxy.address) as client:
        client.send(b"GET /deadly HTTP/1.1\r\nHost: a\r\n\r\n")
        one.wait_for(1)
        request_id = one.requests[0].header(b"X-Request-ID").decode()
        code, out, _ = run(proxy, "why", request_id)
        assert code == 0 and "under way for" in out and "it has not ended yet" in out and one.address in out
        (worker,) = proxy.workers()
        os.kill(worker, signal.SIGKILL)
        proxy.wait_for_event("worker.exited")
        proxy.wait_for(lambda: proxy.workers() not in ([], [worker]), "another worker")
        gate.opened.set()
    code, out, _ = run(proxy, "why", request_id)
    assert code == 0 and "the worker process was killed or crashed while it served this request" in out
    assert get(proxy.address).status == 200
    assert {found["target"] for found in recorded(proxy)} == {"/deadly", "/"}


def test_records_outlive_a_reload_that_takes_their_server_away(l7, origin):
    one, two = origin(), origin()
    proxy = l7(CONFIG.format(one.address) + "canary-time: 0s\n", argv=["--control", STATUS])
    get(proxy.address)
    proxy.write_config(CONFIG.format(two.address).replace("'*'", "'*.test, a'") + "canary-time: 0s\n")
    proxy.hup()
    proxy.wait_for_event("reload.done")
    get(proxy.address, host="a")
    old, new = recorded(proxy)
    assert (old["server"], old["route"], old["generation"]) == (one.address, "*", 1)
    assert (new["server"], new["generation"]) == (two.address, 2)


def test_tail_follows_with_filters(l7, origin):
    proxy = l7(CONFIG.format(origin().address), argv=["--control", STATUS])
    with following(proxy, "-n", "0", "--status", "404,5xx", "--json") as tail:
        found: list[dict[str, object]] = []
        assert tail.stdout is not None
        lines = tail.stdout

        def read() -> None:
            found.extend(json.loads(line) for line in lines)

        reader = threading.Thread(target=read)
        reader.start()

        def asked() -> bool:
            """Ask again and again: the reader may have come after the first ones."""
            get(proxy.address, "/good")
            with Client(proxy.address) as client:
                client.send(b"BAD\x1b[31m\r\n\r\n")
                client.read_response()
                client.read_until_closed()
            with Client(proxy.address) as client:
                client.send(b"GET / HTTP/9.9\r\nHost: a\r\n\r\n")
                client.read_response()
            return bool(found)

        proxy.wait_for(asked, "a line")
        tail.send_signal(signal.SIGINT)
        reader.join(TIMEOUT)
        assert tail.wait(TIMEOUT) == 0
    assert {one["status"] for one in found} == {505}


def test_what_clients_send_is_escaped(l7, origin):
    proxy = l7(CONFIG.format(origin().address), argv=["--control", STATUS])
    with Client(proxy.address) as client:
        client.send(b"GET /\x1b[31m\x9b<script> HTTP/1.1\r\nHost: a\r\n\r\n")
        assert client.read_response().status == 400
    for words in (("tail", "--once"), ("tail", "--once", "--json"), ("why", str(recorded(proxy)[0]["request-id"]))):
        code, out, _ = run(proxy, *words)
        assert code == 0 and "<script>" in out
        assert "\x1b" not in out and "\x9b" not in out


def test_two_hundred_readers_at_once_are_all_served(l7, origin):
    """By the memory: the command itself is a Python that starts, of which two hundred would take minutes."""
    from l7.commands.control_client import ask_for_recorder
    from l7.config.reading import flags
    from l7.telemetry.recorder.memory import RecorderView
    from l7.telemetry.recorder.reader import RecorderReader

    proxy = l7(CONFIG.format(origin().address), argv=["--control", STATUS])
    get(proxy.address, "/one")
    proxy.settle()
    given = flags.parse_flags(["tail", "--control", str(proxy.directory / STATUS)])
    found: list[list[str]] = []

    def read() -> None:
        answer, descriptor = ask_for_recorder(given, {})
        assert answer["ok"] and descriptor is not None
        view = RecorderView(descriptor)
        os.close(descriptor)
        found.append([one.target for one in RecorderReader(view).finished()])
        view.close()

    readers = [threading.Thread(target=read) for _ in range(200)]
    for reader in readers:
        reader.start()
    for reader in readers:
        reader.join(3 * TIMEOUT)
    assert found == [["/one"]] * 200
    proxy.assert_no_leaks()


@pytest.mark.parametrize("settings", ["recorder: {requests: 0}", "recorder: {failures: x}", "recorder: 5"])
def test_other_settings_are_refused(settings, tmp_path):
    path = tmp_path / "config.yml"
    path.write_text(CONFIG.format("127.0.0.1:9") + settings + "\n", "utf-8")
    done = subprocess.run(
        [sys.executable, "-m", "l7", "check", "-c", str(path)], capture_output=True, text=True, cwd=ROOT,
        timeout=TIMEOUT, env=environment(), check=False,
    )  # fmt: skip
    assert done.returncode == 2 and "config.yml:3: recorder" in done.stderr
