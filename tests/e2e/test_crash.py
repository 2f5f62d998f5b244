"""Processes that die, hang or are killed: what is replaced, what is said, and that nothing is left behind."""

from __future__ import annotations

import os
import re
import signal
import time
from pathlib import Path

from tests.harness.client import Client, get
from tests.harness.l7process import CONFIG
from tests.harness.load import Gate, Load, in_flight
from tests.harness.ports import reserved


def test_a_killed_worker_is_replaced_and_named(l7, origin):
    proxy = l7(CONFIG.format(origin().address), workers=2, leaks=False)
    victim = proxy.workers()[0]
    os.kill(victim, signal.SIGKILL)
    proxy.wait_for_event("worker.exited", reason="killed by SIGKILL")
    proxy.wait_for(lambda: len(proxy.workers()) == 2 and victim not in proxy.workers(), "the replacement")
    assert get(proxy.address, host="a").status == 200


def test_a_worker_told_to_end_is_replaced(l7, origin):
    proxy = l7(CONFIG.format(origin().address), leaks=False)
    (victim,) = proxy.workers()
    os.kill(victim, signal.SIGTERM)
    proxy.wait_for(lambda: victim not in proxy.workers() and proxy.workers(), "the replacement")
    assert get(proxy.address, host="a").status == 200


def test_workers_killed_again_and_again_cost_only_what_they_held(l7, origin):
    proxy = l7(CONFIG.format(origin().address) + "access-log: off\n", workers=2, leaks=False)
    with Load(proxy, clients=2) as load:
        for _ in range(4):
            before = load.good
            os.kill(proxy.workers()[0], signal.SIGKILL)
            proxy.wait_for(lambda seen=before: load.good > seen + 20, "requests going on")
            proxy.wait_for(lambda: len(proxy.workers()) == 2, "the replacement")
    # A worker that is killed takes with it at most what each client had open.
    assert len(load.bad) <= 4 * 2, load.bad


def test_a_hung_worker_is_replaced_and_its_stacks_are_written(l7, origin):
    proxy = l7(CONFIG.format(origin().address) + "worker-timeout: 3s\n", workers=2, leaks=False)
    victim = proxy.workers()[0]
    os.kill(victim, signal.SIGSTOP)
    proxy.wait_for_event(r"worker \d hangs: no heartbeat for 3 s")
    proxy.wait_for_event("Fatal Python error: Aborted")
    proxy.wait_for_event("most recent call first")
    proxy.wait_for(lambda: victim not in proxy.workers() and len(proxy.workers()) == 2, "the replacement")
    assert get(proxy.address, host="a").status == 200


def test_a_master_that_stood_still_blames_nobody(l7, origin):
    proxy = l7(CONFIG.format(origin().address) + "worker-timeout: 3s\n", workers=2)
    before = proxy.workers()
    everybody = [proxy.pid, *before]
    for pid in everybody:
        os.kill(pid, signal.SIGSTOP)
    time.sleep(5)
    for pid in everybody:
        os.kill(pid, signal.SIGCONT)
    time.sleep(1)  # whoever blames somebody does so at the first look
    assert proxy.workers() == before
    assert not any("hangs" in line for line in proxy.events)


def test_workers_do_not_outlive_a_killed_master(l7, origin):
    gate = Gate()
    proxy = l7(CONFIG.format(origin(gate).address), workers=2)
    with in_flight(proxy, gate) as client:
        proxy.signal(signal.SIGKILL)
        proxy.process.wait()
        gate.opened.set()
        answer = client.read_response()
        assert answer.body == b"late", "what was accepted is finished"
    proxy.wait()
    proxy.assert_nothing_left()


def test_idle_connections_end_with_their_next_answer_when_the_master_is_killed(l7, origin):
    proxy = l7(CONFIG.format(origin().address) + "graceful-timeout: 6s\n", workers=2)
    asking, silent = [Client(proxy.address) for _ in range(6)], Client(proxy.address)
    for client in (*asking, silent):
        client.send(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        assert client.read_response().status == 200
    proxy.signal(signal.SIGKILL)
    proxy.process.wait()
    proxy.wait_for(lambda: sum("the master is gone" in line for line in proxy.events) == 2, "both workers to see it")
    for client in asking:
        client.send(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        answer = client.read_response()
        assert answer.status == 200
        assert answer.closes, "whoever asks is told that it is the last answer"
        client.close()
    assert silent.read_until_closed() == b"", "whoever does not is waited for as long as graceful-timeout"
    silent.close()
    proxy.wait()
    proxy.assert_nothing_left()


def test_the_port_is_free_again_at_once_after_a_killed_master(l7, origin):
    config = CONFIG.format(origin().address)
    port = reserved()  # or somebody else might have it at once
    first = l7(config, inherit=False, argv=["--port", str(port)])
    first.signal(signal.SIGKILL)
    second = l7(config, inherit=False, argv=["--port", str(port)], host="127.0.0.1")
    assert get(("127.0.0.1", port), host="a").status == 200
    second.stop()
    first.wait()
    first.assert_nothing_left()


def test_an_idle_l7_does_not_use_the_cpu(l7, origin):
    proxy = l7(CONFIG.format(origin().address), workers=1)

    def ticks() -> int:
        fields = Path(f"/proc/{proxy.pid}/stat").read_text().rpartition(")")[2].split()
        return int(fields[11]) + int(fields[12])

    def rests() -> bool:
        before = ticks()
        time.sleep(1.5)
        return ticks() - before <= 2

    proxy.wait_for(rests, "a time without work")  # what comes with the start may take its time


def test_every_event_is_one_line_with_time_level_pid_and_generation(l7, origin):
    proxy = l7(CONFIG.format(origin().address))
    proxy.hup()
    proxy.wait_for_event("reload.done")
    shape = re.compile(
        r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z (debug|info|warning|error) "
        r"l7\[\d+\] (generation [12]|[a-z]+[.][a-z-]+ generation=[12]( .+)?): .+"
    )
    for line in proxy.events:
        if " master.uncompiled: " not in line:  # said before there is a generation
            assert shape.fullmatch(line), line
