"""Reloads that would leave a backend without a server: they are refused before the new generation takes a request."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator

import pytest

from tests.harness.client import get
from tests.harness.full_queue import full_queue
from tests.harness.l7process import STATUS, L7Process
from tests.harness.load import load_without_loss
from tests.harness.nameserver import NameServer

OPTIONS = "canary-time: 200ms\naccess-log: off\n"


@pytest.fixture
def hanging() -> Iterator[str]:
    with full_queue() as address:
        yield address


def configuration(options: str = OPTIONS, **servers: str) -> str:
    backends = ", ".join(f"{name}: {{servers: ['{server}']}}" for name, server in servers.items())
    return f"backends: {{{backends}}}\n{options}"


def refused(proxy: L7Process, config: str, why: str) -> None:
    """A reload that changes nothing and says why."""
    before, start, serving = proxy.workers(), len(proxy.events), proxy.status()["configuration"]["generation"]
    proxy.write_config(config)
    answer = proxy.ask("reload")
    assert (answer["ok"], answer["generation"]) == (False, serving)
    words = f"reload refused: backends.a: none of its servers can be reached: {why}; the present ones can"
    (reason,) = answer["reasons"]
    assert re.fullmatch(words, reason), reason
    proxy.wait_for_event("reload.refused", start=start, reason="preflight")
    proxy.wait_for(lambda: proxy.workers() == before, "the end of the one that looked")
    assert not any("reload.undone" in line or "reload.failed" in line for line in proxy.events[start:])
    assert proxy.status()["last-reload"]["reasons"] == [reason]


def test_a_backend_that_would_lose_its_servers_refuses_the_reload_and_no_request_is_lost(l7, origin, hanging):
    good = origin()
    with NameServer() as names:
        options = f"{OPTIONS}resolver: {{servers: [{names.address}], timeout: 20s}}\n"
        proxy = l7(configuration(options, a=good.address), workers=2, argv=["--control", STATUS])
        with load_without_loss(proxy) as load:
            name = r"nowhere\.test:80: the name cannot be resolved: no such name"
            refused(proxy, configuration(options, a="nowhere.test"), name)
            refused(proxy, configuration(options, a="127.0.0.1:9"), r"127\.0\.0\.1:9: connect refused")
            missing = f"unix:{proxy.directory}/none"
            refused(proxy, configuration(options, a=missing), f"{missing}: connect: no such file or directory")
            load.more()
            began = time.monotonic()
            late = "connect timed out: no answer within .* s"
            refused(proxy, configuration(options + "preflight: 1s\n", a=hanging), f"{hanging}: {late}")
            names.silent = True
            late = "connect timed out: the name was not resolved in time"
            refused(proxy, configuration(options + "preflight: 1s\n", a="slow.test"), f"slow.test:80: {late}")
            assert time.monotonic() - began < 20.0, "neither is waited for much longer than it may take"
        assert proxy.ask("dry-run")["ok"], "it looks at no server"
        proxy.write_config(configuration(options, a=good.address))
        assert proxy.ask("reload")["ok"]


def test_what_is_new_or_out_already_is_warned_of_and_what_is_forced_goes_on(l7, origin):
    good = origin()
    proxy = l7(configuration(a=good.address), workers=2, argv=["--control", STATUS])
    words = "backends.{}: none of its servers can be reached: 127.0.0.1:9: connect refused"
    with load_without_loss(proxy):
        proxy.write_config(configuration(a=good.address, new="127.0.0.1:9"))
        answer = proxy.ask("reload")
        assert (answer["ok"], answer["generation"], answer["reasons"]) == (True, 2, [words.format("new")])
        proxy.wait_for_event("backend.unreachable", generation=2, backend="new")
    proxy.write_config(configuration(a="127.0.0.1:9", new="127.0.0.1:9"))
    assert not proxy.ask("reload")["ok"]
    answer = proxy.ask("reload", force=True)
    assert (answer["ok"], answer["generation"], answer["reasons"]) == (True, 4, [words.format("a")])
    assert get(proxy.address, host="a").status in (502, 503)
    proxy.wait_for(lambda: proxy.status()["servers"][0]["why"], "that it is out is known")
    proxy.write_config(configuration(a="127.0.0.1:10"))
    answer = proxy.ask("reload")
    assert (answer["ok"], answer["reasons"]) == (True, [words.format("a").replace(":9", ":10")]), "nothing is lost"
    proxy.write_config(configuration(a=good.address))
    assert proxy.ask("reload")["ok"]
    proxy.write_config(configuration(OPTIONS + "preflight: 0s\n", a="127.0.0.1:9"))
    answer = proxy.ask("reload")
    assert (answer["ok"], answer["reasons"]) == (True, []), "it does not look"


def test_a_stop_does_not_wait_for_the_one_that_looks(l7, origin, hanging):
    proxy = l7(configuration(OPTIONS + "preflight: 60s\n", a=origin().address))
    proxy.write_config(configuration(OPTIONS + "preflight: 60s\n", a=hanging))
    proxy.hup()
    proxy.wait_for_event("reload.started")
    proxy.wait_for(lambda: len(proxy.workers()) == 2, "the one that looks")
    proxy.hup()
    proxy.wait_for_event("reload.remembered")
    proxy.term()
    proxy.wait()
    assert not any("worker.killed" in line or "drain.cut" in line for line in proxy.events)
