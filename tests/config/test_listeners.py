"""`port` and `bind` are the short form of a list of listeners."""

from __future__ import annotations

from l7.config.listeners import ListenerConfig, listeners_of


def test_each_address_is_a_listener_once_and_in_order():
    assert listeners_of(("*", "unix:/run/l7.sock", "[::1]", "10.0.0.1", "::1", "*"), 80) == (
        ListenerConfig("*", 80),
        ListenerConfig(path="/run/l7.sock"),
        ListenerConfig("::1", 80),
        ListenerConfig("10.0.0.1", 80),
    )
    assert {listener.scheme for listener in listeners_of(("*",), 80)} == {b"http"}
