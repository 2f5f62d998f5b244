"""A worker asks itself before it says that it is ready, and believes only an answer."""

from __future__ import annotations

import pytest

from l7.config.schema import Config
from l7.exchange import Exchange
from l7.telemetry.access_log import NullAccessLog
from l7.workers import self_test as module
from l7.workers.proxy import Proxy
from l7.workers.runtime.greenlet_pool import GreenletPool
from l7.workers.self_test import SelfTestFailed, probe
from tests.workers.loop import alone, running, turn


class Heard(NullAccessLog):
    """Counts lines."""

    lines = 0

    def log(self, exchange: Exchange) -> None:
        self.lines += 1


def test_an_answer_is_the_proof():
    with running() as sweeper:
        log = Heard()
        proxy = Proxy(Config.model_validate({"users": {"a": "b"}}), sweeper, GreenletPool(), log, alone(Config()))
        routes, general = proxy.routes, proxy.general
        probe(proxy, sweeper)
        assert proxy.routes is routes
        assert proxy.general is general
        assert proxy.log is log
        assert log.lines == 0
        assert (proxy.requests, proxy.answered, proxy.faults, proxy.in_flight) == (0, 0, 0, 0)
        turn()
        assert not sweeper.streams


@pytest.mark.parametrize(
    ("request_bytes", "why"),
    [
        (b"GET / HTTP/1.1\r\nHost: l7\r\n\r\n", "answered b'HTTP/1.1 404"),
        (b"GET / HTTP/1.1\r\n", "not answered within"),
    ],
)
def test_anything_else_is_none(monkeypatch, request_bytes, why):
    monkeypatch.setattr(module, "REQUEST", request_bytes)
    monkeypatch.setattr(module, "WITHIN", 0.2)
    with running() as sweeper:
        proxy = Proxy(Config(), sweeper, GreenletPool(), NullAccessLog(), alone(Config()))
        with pytest.raises(SelfTestFailed, match=why):
            probe(proxy, sweeper)
        turn()
        assert not sweeper.streams
