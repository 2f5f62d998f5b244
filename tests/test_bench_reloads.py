"""The comparison of reloads: how it sorts what failed, and what it writes. Its figures are made by running it."""

from __future__ import annotations

import pytest

from tests.bench import reloads


@pytest.mark.parametrize(
    ("what", "why"),
    [
        ("GET 17, after 0.003 s: the connection was lost: closed", "connection lost under a GET"),
        ("POST 4, after 1.2 s: the connection was lost: [Errno 104] reset", "connection lost under a POST"),
        ("GET 17, after 0.003 s: b'HTTP/1.1 502 Bad Gateway' b'x: y'", "GET answered with 502"),
        ("GET 17, after 0.003 s: mixed up: b'4'", "GET mixed up"),
        ("cannot connect: [Errno 111] refused", "cannot connect"),
        ("POST 17 came to the servers 2 times", "POST came to the servers times"),
        ("GET 17 was answered, and no server got it", "GET was answered, and no server got it"),
    ],
)
def test_failures_are_sorted_by_reason(what: str, why: str) -> None:
    assert reloads.reason(what) == why


def test_lost_requests_count_as_connections_closed_without_a_word() -> None:
    results = reloads.SortedResults(sent=10, silent=3, announced=2)
    results.bad("GET 1, after 0.1 s: the connection was lost: closed")
    results.bad("cannot connect: refused")
    result = reloads.Result(reloads.PEERS["nginx"], results, 2.0, [0.1, 0.3], 1, 32)
    figures = dict(reloads.rows(result))
    assert figures["reloads"] == "2, 0.10 to 0.30 s each"
    assert figures["failed"] == "2: 1 connection lost under a GET; 1 cannot connect"
    assert figures["closed without a word"] == "4, of these 1 with a request on it"
    assert figures["connections kept"] == "1 of 32"
