"""HUP: a new generation takes over without a request lost; one that is invalid changes nothing."""

from __future__ import annotations

import re
import signal
import socket
import time

from tests.harness.client import Client, get
from tests.harness.l7process import CONFIG
from tests.harness.lifecycle import reload
from tests.harness.load import Gate, in_flight, load_without_loss
from tests.harness.origin import Reply


def test_the_new_configuration_is_served_and_said(l7, origin):
    one, two = origin(lambda _: Reply(body=b"one")), origin(lambda _: Reply(body=b"two"))
    proxy = l7(CONFIG.format(one.address), workers=2)
    before = proxy.workers()
    assert get(proxy.address, host="a").body == b"one"
    reload(proxy, CONFIG.format(two.address))
    assert {get(proxy.address, host="a").body for _ in range(6)} == {b"two"}
    proxy.wait_for(lambda: not set(before) & set(proxy.workers()), "the old workers' end")
    assert len(proxy.workers()) == 2
    text = "\n".join(proxy.events)
    assert re.search(rf"generation 2: .*server {two.address} added", text)
    assert re.search(rf"generation 2: .*server {one.address} removed", text)


def test_an_unchanged_configuration_is_a_new_generation_too(l7, origin):
    proxy = l7(CONFIG.format(origin().address))
    before = proxy.workers()
    reload(proxy)
    proxy.wait_for_event("generation 2: reload: nothing changed")
    proxy.wait_for(lambda: not set(before) & set(proxy.workers()), "the old worker's end")


BROKEN = {
    "backends: {a: {servers: ['127.0.0.1:9']}}\nwrokers: 2\ngraceful-timeout: soon\n": ["workers", "graceful-timeout"],
    "backends: {a: [\n": ["config.yml:"],
    "": ["config.yml"],
    "backends: {a: {servers: ['127.0.0.1:9'], servers: []}}\n": ["config.yml:1"],
}


def test_an_invalid_file_changes_nothing_and_every_error_is_printed(l7, origin):
    proxy = l7(CONFIG.format(origin().address))
    before = proxy.workers()
    for broken, complaints in BROKEN.items():
        start = len(proxy.events)
        proxy.write_config(broken)
        proxy.hup()
        proxy.wait_for_event("reload.refused", start=start, generation=1)
        text = "\n".join(proxy.events[start:])
        for complaint in complaints:
            assert complaint in text
        assert "ConfigError" not in text
        assert get(proxy.address, host="a").status == 200
        assert proxy.workers() == before
    reload(proxy, CONFIG.format(origin().address))


def test_what_needs_a_restart_is_refused_by_name(l7, origin):
    config = CONFIG.format(origin().address)
    proxy = l7(config)
    proxy.write_config(f"{config}pid-file: other.pid\n")
    proxy.hup()
    proxy.wait_for_event("pid-file.*restart")
    proxy.wait_for_event("reload.refused", generation=1)
    assert get(proxy.address, host="a").status == 200


def test_a_request_in_flight_is_finished_by_the_old_worker(l7, origin):
    gate = Gate()
    slow, quick = origin(gate), origin(lambda _: Reply(body=b"new"))
    proxy = l7(CONFIG.format(slow.address))
    (old,) = proxy.workers()
    with in_flight(proxy, gate) as client:
        reload(proxy, CONFIG.format(quick.address))
        assert get(proxy.address, host="a").body == b"new"
        assert old in proxy.workers()
        gate.opened.set()
        assert client.read_response().body == b"late"
    proxy.wait_for(lambda: old not in proxy.workers(), "the old worker's end")


def test_a_kept_connection_is_kept_through_any_number_of_reloads(l7, origin):
    proxy = l7(CONFIG.format(origin().address) + "canary-time: 0s\n", workers=2)
    with Client(proxy.address) as client:
        for _ in range(4):
            client.send(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
            answer = client.read_response()
            assert answer.status == 200
            assert not answer.closes
            before = set(proxy.workers())
            reload(proxy)
            proxy.wait_for(lambda gone=before: not gone & set(proxy.workers()), "the old workers' end")


def test_an_old_worker_is_killed_when_the_drain_timeout_is_over(l7, origin):
    gate = Gate()
    config = CONFIG.format(origin(gate).address) + "drain-timeout: 300ms\n"
    proxy = l7(config)
    (old,) = proxy.workers()
    with in_flight(proxy, gate):
        reload(proxy)
        proxy.wait_for(lambda: old not in proxy.workers(), "the old worker's end")


def test_listeners_come_and_go(l7, origin, tmp_path):
    path = tmp_path / "extra.sock"
    plain = CONFIG.format(origin().address) + "port: 0\nbind: ['127.0.0.1']\n"
    proxy = l7(plain, inherit=False)
    port = proxy.port
    reload(proxy, plain.replace("['127.0.0.1']", f"['127.0.0.1', 'unix:{path}']"))
    assert get(str(path), host="a").status == 200
    assert get(("127.0.0.1", port), host="a").status == 200
    reload(proxy, plain)
    assert get(("127.0.0.1", port), host="a").status == 200
    assert not path.exists()


def test_a_listener_that_cannot_be_bound_refuses_the_reload(l7, origin):
    plain = CONFIG.format(origin().address) + "port: 0\nbind: ['127.0.0.1']\n"
    proxy = l7(plain, inherit=False)
    port = proxy.port
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        number = taken.getsockname()[1]
        proxy.write_config(plain.replace("port: 0", f"port: {number}"))
        proxy.hup()
        proxy.wait_for_event(f"port {number}.*in use")
        proxy.wait_for_event("reload.refused", generation=1)
    assert get(("127.0.0.1", port), host="a").status == 200


def test_reloads_under_load_lose_nothing(l7, origin):
    proxy = l7(CONFIG.format(origin().address) + "access-log: off\n", workers=2)
    with load_without_loss(proxy) as load:
        for _ in range(3):
            reload(proxy)
            load.more()


def test_a_second_reload_while_the_first_rolls_is_done_after_it(l7, origin):
    proxy = l7(CONFIG.format(origin().address) + "access-log: off\n", workers=2)
    with load_without_loss(proxy):
        proxy.hup()
        proxy.wait_for_event("generation 2: reload: ")
        proxy.hup()
        proxy.wait_for_event("reload.done", generation=3)


def test_fifty_hups_in_two_seconds(l7, origin):
    proxy = l7(CONFIG.format(origin().address) + "access-log: off\n", workers=2)
    with load_without_loss(proxy):
        for _ in range(50):
            proxy.hup()
            time.sleep(0.04)
        proxy.write_config(CONFIG.format(origin().address) + "access-log: off\nlog-level: debug\n")
        proxy.hup()
        number = proxy.wait_for_event(r"generation (\d+): reload: log-level: info -> debug").group(1)
        proxy.wait_for_event("reload.done", generation=number)
    proxy.wait_for(lambda: len(proxy.workers()) == 2, "two workers")


def test_a_broken_file_under_load_loses_nothing(l7, origin):
    config = CONFIG.format(origin().address) + "access-log: off\n"
    proxy = l7(config, workers=2)
    with load_without_loss(proxy) as load:
        for text in ("backends: [", "", "\x00", config + "nonsense: 1\n"):
            start = len(proxy.events)
            proxy.write_config(text)
            proxy.hup()
            proxy.wait_for_event("reload.refused", generation=1, start=start)
            load.more(10)


def test_log_files_are_opened_anew(l7, origin, tmp_path):
    log = tmp_path / "access.log"
    proxy = l7(CONFIG.format(origin().address) + f"access-log: {log}\n")
    get(proxy.address, "/before", host="a")
    proxy.wait_for(lambda: "/before" in log.read_text(), "the first line")
    log.rename(tmp_path / "access.log.1")
    reload(proxy)
    get(proxy.address, "/after", host="a")
    proxy.wait_for(lambda: log.exists() and "/after" in log.read_text(), "a line in the new file")


def test_term_during_a_reload_stops(l7, origin):
    proxy = l7(CONFIG.format(origin().address), workers=2)
    proxy.hup()
    proxy.signal(signal.SIGTERM)
    assert proxy.wait() == 0
    proxy.assert_nothing_left()
