"""USR2: another l7 takes over, in place and under load; one that cannot is told of, and nothing has happened."""

from __future__ import annotations

import json
import os
import random
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from tests.harness.accounts import NOBODY, free_privileged_port, privileged_ports, root_only
from tests.harness.client import TIMEOUT, Client, get
from tests.harness.l7process import CONFIG, ROOT, STATUS, L7Process
from tests.harness.lifecycle import stop_successor, suspended_successor, suspending, upgrade
from tests.harness.load import Gate, in_flight, load_without_loss

QUICK = "canary-time: 200ms\n"


def status(*options: str) -> dict[str, object]:
    done = subprocess.run(
        [sys.executable, "-m", "l7", "status", "--json", *options],
        capture_output=True, text=True, cwd=ROOT, timeout=TIMEOUT, check=True,
    )  # fmt: skip
    found: dict[str, object] = json.loads(done.stdout)
    return found


def test_under_load_nothing_is_lost_and_kept_connections_are_kept(l7, origin):
    proxy = l7(CONFIG.format(origin().address) + QUICK + "access-log: off\n", workers=2)
    kept = [Client(proxy.address) for _ in range(6)]
    pid = proxy.pid
    with load_without_loss(proxy) as load:
        for _ in range(3):
            pid = upgrade(proxy, pid)
            load.more()
            for client in kept:
                client.send(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
                answer = client.read_response()
                assert answer.status == 200
                assert not answer.closes
    for client in kept:
        client.close()
    assert proxy.wait() == 0, "the first one ends as one that was stopped"
    stop_successor(proxy, pid)


def test_a_request_in_flight_is_finished_by_the_old_one(l7, origin):
    gate = Gate()
    proxy = l7(CONFIG.format(origin(gate).address) + QUICK)
    with in_flight(proxy, gate) as client:
        pid = upgrade(proxy)
        assert proxy.process.poll() is None, "it waits for what it has accepted"
        gate.opened.set()
        answer = client.read_response()
        assert answer.body == b"late"
        client.send(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        assert client.read_response().body == b"late", "the connection went on to the new one"
    assert proxy.wait() == 0
    stop_successor(proxy, pid)


def test_the_new_one_has_the_new_configuration_the_pid_file_and_the_control_socket(l7, origin, tmp_path):
    pid_file = tmp_path / "l7.pid"
    control = Path("/tmp") / f"l7-upgrade-{os.getpid()}.control"
    config = CONFIG.format(origin().address) + QUICK + f"pid-file: {pid_file}\ncontrol: {control}\n"
    proxy = l7(config)
    proxy.write_config(config + "graceful-timeout: 7s\n")
    pid = upgrade(proxy)
    assert proxy.wait() == 0
    assert pid_file.read_text() == f"{pid}\n"
    report = status("--control", str(control))
    assert report["pid"] == pid
    assert report["configuration"]["generation"] == 2
    assert report["configuration"]["on-disk"] == "same"
    os.kill(pid, signal.SIGHUP)
    proxy.wait_for_event("reload.done", generation=3)
    proxy.write_config("")
    assert status("--config", str(proxy.config_path))["pid"] == pid, "found by its file, whatever that says"
    stop_successor(proxy, pid)
    assert not pid_file.exists()
    assert not control.exists()


def test_unix_sockets_stay_where_they_are(l7, origin, tmp_path):
    path = Path("/tmp") / f"l7-upgrade-{os.getpid()}.sock"
    proxy = l7(CONFIG.format(origin().address) + QUICK + f"bind: ['unix:{path}']\n", inherit=False)
    pid = upgrade(proxy)
    proxy.wait()
    assert get(str(path), host="a").status == 200
    stop_successor(proxy, pid)
    assert not path.exists()


@pytest.mark.parametrize(
    ("broken", "why"),
    [("backends: [", "config.yml:2: not valid YAML"), ("{good}port: 1\nbind: 192.0.2.1\n", "exit status 1")],
)
def test_one_that_cannot_start_is_told_of_and_the_old_one_goes_on(l7, origin, tmp_path, broken, why):
    pid_file = tmp_path / "l7.pid"
    good = CONFIG.format(origin().address) + QUICK + f"pid-file: {pid_file}\nbind: 127.0.0.1\n"
    proxy = l7(good + "port: 0\n", inherit=False)
    port, before = proxy.port, proxy.workers()
    proxy.write_config(broken.replace("{good}", good.replace("bind: 127.0.0.1\n", "")))
    with load_without_loss(proxy):
        proxy.signal(signal.SIGUSR2)
        line = proxy.wait_for_event("upgrade failed: .*").group()
        assert why in line
    assert proxy.workers() == before
    assert pid_file.read_text() == f"{proxy.pid}\n"
    proxy.write_config(good + "port: 0\n")
    proxy.hup()
    proxy.wait_for_event("reload.done")
    assert get(("127.0.0.1", port), host="a").status == 200


def test_one_that_speaks_another_protocol_does_not_take_over(l7, origin, tmp_path):
    (tmp_path / "sitecustomize.py").write_text(
        "import os\nif 'L7_UPGRADE_FDS' in os.environ:\n    from l7.ipc import messages\n    messages.PROTOCOL += 1\n"
    )
    proxy = l7(CONFIG.format(origin().address) + QUICK, env={"PYTHONPATH": str(tmp_path)})
    before = proxy.workers()
    with load_without_loss(proxy):
        proxy.signal(signal.SIGUSR2)
        proxy.wait_for_event(
            r"upgrade failed: l7 \S+ cannot take over from this version: stop this one, and start that"
        )
    proxy.wait_for(lambda: proxy.workers() == before, "its end")


@pytest.fixture
def second_worker_fails(tmp_path) -> dict[str, str]:
    """Environment in which one of the workers of the next l7 cannot boot."""
    (tmp_path / "sitecustomize.py").write_text(
        "import os\n"
        "if 'L7_UPGRADE_FDS' in os.environ:\n"
        "    from l7.workers import process\n"
        "    run = process.run\n"
        "    process.run = lambda spec: 1 if spec.index == 1 else run(spec)\n"
    )
    return {"PYTHONPATH": str(tmp_path)}


def test_one_whose_workers_do_not_all_boot_is_not_fit(l7, origin, second_worker_fails):
    proxy = l7(CONFIG.format(origin().address) + QUICK, workers=2, env=second_worker_fails)
    before = proxy.workers()
    with load_without_loss(proxy) as load:
        proxy.signal(signal.SIGUSR2)
        proxy.wait_for_event("upgrade failed: it is not fit: 1 of 2 workers are ready, some have died; this l7 goes on")
        proxy.wait_for(lambda: proxy.workers() == before, "its end")
        load.more()


def test_what_it_has_accepted_does_not_hold_it_up(l7, origin, tmp_path):
    gate = Gate()
    proxy = l7(CONFIG.format(origin(gate).address) + "canary-time: 0s\n", env=suspending(tmp_path))
    (old,) = proxy.workers()
    with suspended_successor(proxy) as successor:
        os.kill(old, signal.SIGSTOP)  # so that the other one takes what comes
        with in_flight(proxy, gate) as client:
            os.kill(old, signal.SIGCONT)
            successor.resume()
            proxy.wait_for_event("upgrade.done", pid=successor.pid)
            gate.opened.set()
            assert client.read_response().body == b"late"
    proxy.wait()
    stop_successor(proxy, successor.pid)


def test_a_reload_asked_for_meanwhile_is_done_by_whoever_serves_then(l7, origin, tmp_path):
    config = CONFIG.format(origin().address) + QUICK
    proxy = l7(config, env=suspending(tmp_path))
    with suspended_successor(proxy) as successor:
        proxy.write_config(config + "graceful-timeout: 7s\n")
        proxy.hup()
        proxy.wait_for_event("reload.remembered")
    proxy.wait_for_event("reload.passed-on")
    proxy.wait_for_event(rf"l7\[{successor.pid}\] generation 3: reload: graceful-timeout: 8s -> 7s")
    proxy.wait_for_event("reload.done", generation=3)
    proxy.wait()
    stop_successor(proxy, successor.pid)


def asks_for_a_reload(proxy: L7Process, control: Path) -> subprocess.Popen[str]:
    """`l7 reload`, once it is connected."""
    waiting = subprocess.Popen(
        [sys.executable, "-m", "l7", "reload", "--control", str(control)], stdout=subprocess.PIPE, text=True, cwd=ROOT
    )
    proxy.wait_for(lambda: psutil.Process(waiting.pid).net_connections("unix"), "its question")
    return waiting


def test_whoever_waits_for_a_reload_meanwhile_is_answered_by_the_next_one(l7, origin, tmp_path):
    control = Path("/tmp") / f"l7-upgrade-{os.getpid()}.control"
    proxy = l7(CONFIG.format(origin().address) + f"control: {control}\n" + QUICK, env=suspending(tmp_path))
    with suspended_successor(proxy) as successor:
        waiting = asks_for_a_reload(proxy, control)
    found = waiting.communicate(timeout=2 * TIMEOUT)[0]
    assert re.match("reload done: generation 3, ", found), "one reload is enough"
    assert waiting.returncode == 0
    proxy.wait()
    stop_successor(proxy, successor.pid)


def test_whoever_waits_for_a_reload_meanwhile_is_answered_by_the_old_one_when_the_next_one_fails(l7, origin, tmp_path):
    control = Path("/tmp") / f"l7-upgrade-{os.getpid()}.control"
    proxy = l7(CONFIG.format(origin().address) + f"control: {control}\n" + QUICK, env=suspending(tmp_path), leaks=False)
    with suspended_successor(proxy) as successor:
        waiting = asks_for_a_reload(proxy, control)
        successor.kill()
        proxy.wait_for_event("upgrade.failed")
    assert "reload done: generation 2, " in waiting.communicate(timeout=2 * TIMEOUT)[0]


def test_a_stop_meanwhile_waits_for_what_the_next_one_serves(l7, origin, tmp_path):
    gate = Gate()
    proxy = l7(CONFIG.format(origin(gate).address) + "graceful-timeout: 60s\n", env=suspending(tmp_path), leaks=False)
    (old,) = proxy.workers()
    with suspended_successor(proxy) as successor:
        os.kill(old, signal.SIGSTOP)  # so that the other one takes what comes
        with in_flight(proxy, gate) as client:
            proxy.term()
            os.kill(old, signal.SIGCONT)
            proxy.wait_for_event("master.stopping")
            successor.resume()
            proxy.wait_for_event(rf"l7\[{successor.pid}\] master\.stopping ")
            proxy.wait_for(lambda: not psutil.pid_exists(old), "the end of the old worker")
            with pytest.raises(subprocess.TimeoutExpired):
                proxy.process.wait(0.5)
            gate.opened.set()
            assert client.read_response().body == b"late"
    assert proxy.wait() == 0
    assert not psutil.pid_exists(successor.pid), "a stop is a stop of all of it"


@pytest.mark.parametrize("quick", [False, True])
def test_a_stop_of_the_new_one_is_one_of_the_old_one_that_still_drains(l7, origin, quick):
    gate = Gate()
    proxy = l7(CONFIG.format(origin(gate).address) + QUICK + "graceful-timeout: 60s\n", leaks=False)
    with in_flight(proxy, gate) as client:
        pid = upgrade(proxy)
        new = psutil.Process(pid)
        os.kill(pid, signal.SIGINT if quick else signal.SIGTERM)
        if quick:
            assert client.read_response().status == 502  # nothing ends in silence
        else:
            proxy.wait_for_event(rf"l7\[{proxy.pid}\] master\.stopping generation=1: .* have 60 s")
            with pytest.raises(psutil.TimeoutExpired):
                new.wait(0.5)
            gate.opened.set()
            assert client.read_response().body == b"late"
        new.wait(TIMEOUT)
    assert proxy.wait() == 0
    proxy.assert_nothing_left(TIMEOUT)


def test_a_reload_asked_of_the_next_one_waits_until_it_has_taken_over(l7, origin, tmp_path):
    proxy = l7(CONFIG.format(origin().address) + QUICK, env=suspending(tmp_path))
    with suspended_successor(proxy) as successor:
        successor.send_signal(signal.SIGHUP)
    proxy.wait_for_event(rf"l7\[{successor.pid}\] upgrade\.taken ")
    proxy.wait_for_event("reload.done", generation=3)
    proxy.wait()
    stop_successor(proxy, successor.pid)


def test_one_that_is_not_fit_leaves_unix_sockets_alone(l7, origin, second_worker_fails):
    path = Path("/tmp") / f"l7-upgrade-{os.getpid()}.sock"
    config = CONFIG.format(origin().address) + f"bind: ['unix:{path}']\n"
    proxy = l7(config, inherit=False, workers=2, env=second_worker_fails)
    before = proxy.workers()
    proxy.signal(signal.SIGUSR2)
    proxy.wait_for_event("upgrade failed: it is not fit: ")
    proxy.wait_for(lambda: proxy.workers() == before, "its end")
    assert get(str(path), host="a").status == 200


def test_one_that_is_killed_while_it_boots_changes_nothing(l7, origin, tmp_path):
    proxy = l7(CONFIG.format(origin().address) + QUICK, env=suspending(tmp_path), leaks=False)
    with suspended_successor(proxy) as successor:
        successor.kill()
        proxy.wait_for_event("upgrade failed: it ended with killed by SIGKILL; this l7 goes on")
    assert get(proxy.address, host="a").status == 200
    (tmp_path / "sitecustomize.py").unlink()
    pid = upgrade(proxy)
    proxy.wait()
    stop_successor(proxy, pid)


def test_when_the_old_master_is_killed_meanwhile_the_next_one_takes_over_at_once(l7, origin, tmp_path):
    proxy = l7(CONFIG.format(origin().address) + QUICK, env=suspending(tmp_path), leaks=False)
    with suspended_successor(proxy) as successor:
        proxy.signal(signal.SIGKILL)
    proxy.wait_for_event(rf"l7\[{successor.pid}\] upgrade\.taken .*pid={proxy.pid}:")
    assert get(proxy.address, host="a").status == 200
    proxy.process.wait()
    stop_successor(proxy, successor.pid)


def test_term_while_the_next_one_boots_stops_both(l7, origin, tmp_path):
    proxy = l7(CONFIG.format(origin().address) + QUICK, env=suspending(tmp_path), leaks=False)
    with suspended_successor(proxy) as successor:
        proxy.term()
        proxy.wait_for_event("master.stopping", generation=1)
    proxy.wait_for_event(rf"l7\[{successor.pid}\] master\.stopping ")
    assert proxy.wait() == 0
    proxy.assert_nothing_left(TIMEOUT)


def test_no_upgrade_in_the_middle_of_a_reload(l7, origin):
    proxy = l7(CONFIG.format(origin().address) + "canary-time: 5s\n")
    proxy.hup()
    proxy.wait_for_event("reload.watched")
    proxy.signal(signal.SIGUSR2)
    proxy.wait_for_event("upgrade.refused", state="canary")
    proxy.wait_for_event("reload.done", generation=2)


def test_a_variable_that_somebody_made_up_is_not_believed(l7, origin):
    made_up = {
        "parent": 1, "bridge": 1, "generation": 4, "output-lock": 1, "listeners": [], "handed": [],
        "control": None, "log": None, "pid-file": None, "opener": None,
    }  # fmt: skip
    proxy = l7(CONFIG.format(origin().address), env={"L7_UPGRADE_FDS": json.dumps(made_up)})
    assert any("master.ready generation=1 " in line for line in proxy.events)
    assert get(proxy.address, host="a").status == 200


# --- without root -----------------------------------------------------------------------------------------------------


@pytest.fixture
def locked_away() -> Iterator[Path]:
    """A directory that only root may enter."""
    path = Path("/tmp") / f"l7-locked-{os.getpid()}-{random.randrange(10**9)}"
    path.mkdir(mode=0o700)
    yield path
    for file in path.iterdir():
        file.unlink()
    path.rmdir()


def nobody_can_run_python() -> bool:
    code = f"os.execv({sys.executable!r}, [{sys.executable!r}, '-c', 'import l7.cli'])"
    code = f"import os; os.setuid({NOBODY.pw_uid}); {code}"
    return subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, check=False).returncode == 0


@root_only
@privileged_ports
def test_after_the_privileges_are_gone(origin, locked_away):
    if not nobody_can_run_python():
        pytest.skip("the account that l7 runs as may not execute this interpreter")
    host, port = free_privileged_port()
    log = locked_away / "log"
    config = CONFIG.format(origin().address) + QUICK + f"bind: {host}\nport: {port}\naccess-log: {log}\n"
    proxy = L7Process(
        config, argv=["--control", STATUS], inherit=False, run_as="nobody", directory=locked_away, host=host
    )
    try:
        opener = proxy.status()["opener"]
        pid = upgrade(proxy)
        assert proxy.wait() == 0
        assert psutil.Process(pid).uids() == (NOBODY.pw_uid,) * 3
        assert get((host, port), host="a").status == 200
        # The privileged opener is handed on: what was replaced is read, the log is opened anew, a port is bound.
        assert (proxy.status()["pid"], proxy.status()["opener"]) == (pid, opener)
        log.rename(locked_away / "log.1")
        proxy.write_config(config.replace(f"port: {port}", f"port: {port - 1}"))
        start = len(proxy.events)
        os.kill(pid, signal.SIGHUP)
        proxy.wait_for_event("reload.done", start=start)
        assert get((host, port - 1), host="a").status == 200
        proxy.wait_for(lambda: '"GET / ' in log.read_text(), "a line in the new file")
        again = upgrade(proxy, pid)
        assert proxy.status()["opener"] == opener
        os.kill(opener["pid"], signal.SIGKILL)
        proxy.wait_for_event(rf"warning l7\[{again}\] opener.gone")
        os.kill(again, signal.SIGUSR2)
        proxy.wait_for_event(rf"error l7\[{again}\] upgrade.failed .*cannot be read: .*the privileged opener has ended")
        stop_successor(proxy, again)
    finally:
        proxy.kill()
