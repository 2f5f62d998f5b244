"""The monitor process as a process: started where there is work for it, replaced, reloaded, stopped, never missed."""

from __future__ import annotations

import os
import signal

import pytest

from tests.harness.client import get
from tests.harness.lifecycle import canary, stop_successor, upgrade, wait_for_control
from tests.harness.load import Load, load_without_loss

CONFIG = """
canary-time: 200ms
control: off
access-log: off
backends:
  a:
    servers: [{0}]
    health: {{interval: 100ms}}
"""
BARE = """
canary-time: 200ms
control: off
access-log: off
backends: {{a: {{servers: []}}}}
"""

LONG = "graceful-timeout: 10m\n"
"""What is not waited for has ended long before."""


def test_there_is_none_where_it_has_nothing_to_do(l7, origin):
    proxy = l7(BARE.format(origin().address))
    assert get(proxy.address, host="a").status == 503
    assert proxy.control() is None
    proxy.usr1()
    proxy.wait_for_output(r"\.\.\.")
    assert not any("monitor:" in line and "pid" in line for line in proxy.output)


def test_it_shows_in_the_dump(l7, origin):
    app = origin()
    proxy = l7(CONFIG.format(app.address))
    pid = wait_for_control(proxy, 1)
    proxy.wait_for(lambda: app.connections, "a check: it can answer")
    proxy.usr1()
    proxy.wait_for_output(
        rf"# monitor: pid {pid}, generation 1, digest \w+, age .* s, servers checked \d, names 0, \w+"
    )


def test_one_that_is_killed_is_replaced_and_traffic_goes_on(l7, origin):
    proxy = l7(CONFIG.format(origin().address), workers=2)
    pid = wait_for_control(proxy, 1)
    with load_without_loss(proxy) as load:
        for _ in range(2):
            os.kill(pid, signal.SIGKILL)
            pid = wait_for_control(proxy, 1, without=pid)
        load.more()
    proxy.wait_for_event("the monitor process died after .*: killed by SIGKILL")
    proxy.wait_for_event("monitor.delayed", seconds=0.5)
    assert len(proxy.workers()) == 2


def test_one_that_hangs_is_replaced(l7, origin):
    app = origin()
    proxy = l7(CONFIG.format(app.address) + "worker-timeout: 3s\n")
    pid = wait_for_control(proxy, 1)
    proxy.wait_for(lambda: app.connections, "a check: it is at work")
    os.kill(pid, signal.SIGSTOP)
    proxy.wait_for_event("the monitor process hangs: no heartbeat for 3 s")
    wait_for_control(proxy, 1, without=pid)
    proxy.wait_for_event("the monitor process of generation 1 ended .aborted. after .*SIGABRT")
    assert get(proxy.address, host="a").status == 200


def test_a_reload_starts_one_of_the_new_generation_and_stops_the_old_one(l7, origin):
    proxy = l7(CONFIG.format(origin().address), workers=2)
    pid = wait_for_control(proxy, 1)
    with load_without_loss(proxy) as load:
        proxy.hup()
        proxy.wait_for_event("reload.done", generation=2)
        new = wait_for_control(proxy, 2, without=pid)
        load.more()
    proxy.wait_for(lambda: proxy.title(pid) == "", "the end of the old one")
    assert proxy.control() == new


def test_a_reload_begins_and_ends_it(l7, origin):
    address = origin().address
    proxy = l7(BARE.format(address))
    for config, wanted in ((CONFIG, True), (BARE, False), (CONFIG, True)):
        start = len(proxy.events)
        proxy.write_config(config.format(address))
        proxy.hup()
        proxy.wait_for_event("reload.done", start=start)
        proxy.wait_for(lambda wanted=wanted: (proxy.control() is not None) is wanted, "the change")


def test_a_rollback_ends_with_one_of_the_old_generation(l7, origin):
    proxy = l7(CONFIG.format(origin().address).replace("200ms", "20s"), workers=2, leaks=False)
    wait_for_control(proxy, 1)
    proxy.hup()
    victim = canary(proxy)
    wait_for_control(proxy, 2)
    victim.send_signal(signal.SIGKILL)
    proxy.wait_for_event("reload.undone", generation=1)
    wait_for_control(proxy, 1)
    proxy.wait_for(lambda: list(proxy.titles()).count("l7: monitor (generation 2)") == 0, "the end of the new one")


def test_an_upgrade_has_one_of_its_own(l7, origin):
    proxy = l7(CONFIG.format(origin().address))
    pid = wait_for_control(proxy, 1)
    with load_without_loss(proxy) as load:
        new = upgrade(proxy)
        load.more()
    proxy.wait_for_ended(pid)

    def titles() -> list[str]:
        return [title for title in proxy.titles(new) if title.startswith("l7: monitor")]

    proxy.wait_for(lambda: titles() == ["l7: monitor (generation 2)"], "its own")
    stop_successor(proxy, new)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGQUIT])
def test_it_stops_with_the_master(l7, origin, number):
    proxy = l7(CONFIG.format(origin().address) + LONG)
    wait_for_control(proxy, 1)
    proxy.signal(number)
    assert proxy.wait() == 0
    proxy.assert_nothing_left()


def test_it_ends_when_the_master_is_killed(l7, origin):
    proxy = l7(CONFIG.format(origin().address))
    wait_for_control(proxy, 1)
    proxy.signal(signal.SIGKILL)
    proxy.wait()
    proxy.assert_nothing_left()


def test_one_that_hangs_does_not_hold_up_the_end(l7, origin):
    proxy = l7(CONFIG.format(origin().address) + LONG)
    os.kill(wait_for_control(proxy, 1), signal.SIGSTOP)
    proxy.term()
    assert proxy.wait() == 0
    proxy.assert_nothing_left()


def test_term_to_it_alone_is_a_restart(l7, origin):
    proxy = l7(CONFIG.format(origin().address), workers=2)
    pid = wait_for_control(proxy, 1)
    with Load(proxy) as load:
        os.kill(pid, signal.SIGTERM)
        wait_for_control(proxy, 1, without=pid)
        load.more()
    assert not load.bad
