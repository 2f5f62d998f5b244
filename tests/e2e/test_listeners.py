"""Listeners of the long form: several, each with what is its own, added, removed and changed one by one by a reload."""

from __future__ import annotations

import socket

import pytest

from tests.harness.client import Client, get
from tests.harness.lifecycle import reload

REQUEST = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"


def config(server: str, *listeners: str) -> str:
    return f"listeners: [{', '.join(listeners)}]\nbackends: {{a: {{servers: ['{server}']}}}}\n"


@pytest.mark.parametrize("inherit", [False, True])
def test_each_of_them_serves(l7, origin, tmp_path, inherit):
    server, path = origin(), str(tmp_path / "s")
    if inherit:
        proxy = l7(config(server.address, "'127.0.0.1:0'"), inherit=True)
        assert get(proxy.address, host="a").status == 200
        return
    proxy = l7(config(server.address, "'127.0.0.1:0'", "'127.0.0.2:0'", f"'unix:{path}'"), inherit=False)
    one, two = proxy.ports()
    for address in (("127.0.0.1", one), ("127.0.0.2", two), path):
        assert get(address, host="a").status == 200


def test_a_reload_adds_and_removes_one_and_connections_of_all_live_on(l7, origin):
    server = origin()
    proxy = l7(config(server.address, "'127.0.0.1:0'", "'127.0.0.2:0'"), inherit=False, workers=2)
    one, two = proxy.ports()
    before = set(proxy.workers())
    with Client(("127.0.0.1", one)) as kept, Client(("127.0.0.2", two)) as removed:
        for client in (kept, removed):
            client.send(REQUEST)
            assert client.read_response().status == 200
        seen = len(proxy.events)
        reload(proxy, config(server.address, "'127.0.0.3:0'", "'127.0.0.1:0'"))
        (three,) = proxy.ports(seen)
        proxy.wait_for(lambda: not before & set(proxy.workers()), "the old workers' end")
        for line in ("listeners: 127.0.0.2:0: removed", "listeners: 127.0.0.3:0: added"):
            proxy.wait_for_event(f"reload: {line}", start=seen)
        proxy.wait_for_event("listening no more on 127.0.0.2:0", start=seen)
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(("127.0.0.2", two), 5)
        assert get(("127.0.0.1", one), host="a").status == get(("127.0.0.3", three), host="a").status == 200
        for client in (kept, removed):
            client.send(REQUEST)
            assert client.read_response().status == 200


def test_a_socket_that_was_handed_down_and_is_none_of_them_is_refused(l7, origin):
    proxy = l7(config(origin().address, "'127.0.0.2:0'"), ready=None)
    proxy.wait_for_event(r"LISTEN_FDS: 127\.0\.0\.1:\d+ is no address of `listeners`; add it there")
    assert proxy.process.wait(10) == 1


def test_from_the_short_form_to_the_long_one_and_back_the_socket_stays(l7, origin):
    server = origin().address
    short = f"port: 0\nbind: 127.0.0.1\nbackends: {{a: {{servers: ['{server}']}}}}\n"
    proxy = l7(short, inherit=False)
    (port,) = proxy.ports()
    for text in (config(server, "'127.0.0.1:0'"), short):
        reload(proxy, text)
        proxy.wait_for_event("reload: nothing changed")
        assert get(("127.0.0.1", port), host="a").status == 200
