"""Error numbers in words."""

from __future__ import annotations

import errno

import pytest

from l7.errors import CLOSED_EARLY, CONNECT_REFUSED, CONNECT_TIMEOUT, ProxyError
from l7.oserrors import NO_PORT, UNRESOLVED, describe, describe_connect


@pytest.mark.parametrize(
    ("number", "words"),
    [
        (0, "connect refused"),
        (errno.ECONNREFUSED, "connect refused"),
        (errno.EACCES, "connect: permission denied"),
        (errno.ENOENT, "connect: no such file or directory"),
        (errno.EAGAIN, "connect: its queue is full"),
        (NO_PORT, "connect: no local port left"),
        (UNRESOLVED, "the name cannot be resolved"),
    ],
)
def test_why_a_connection_could_not_be_opened(number: int, words: str) -> None:
    assert describe_connect(number) == words


def test_our_own_numbers_are_none_of_the_systems() -> None:
    assert not {UNRESOLVED, NO_PORT} & set(errno.errorcode)
    assert all(number < 0xFFFFFF for number in (UNRESOLVED, NO_PORT))  # what a cell has room for
    assert describe(errno.EMFILE) == "too many open files"


def test_who_runs_l7_is_told_more_than_a_client() -> None:
    refused = ProxyError(CONNECT_REFUSED, "connect: permission denied", errno.EACCES)
    assert (refused.kind.name, refused.reason) == ("connection refused", "connect: permission denied")
    assert ProxyError(CONNECT_REFUSED).reason == "connection refused"
    assert ProxyError(CONNECT_TIMEOUT, "no answer within 3 s").reason == "connect timed out: no answer within 3 s"
    assert ProxyError(CLOSED_EARLY).reason == "closed before the response head"
