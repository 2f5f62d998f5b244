"""Ending what is in flight when time is up: nothing in silence, each request by its row of the table."""

from __future__ import annotations

from collections.abc import Iterable

from l7.errors import KILLED_DATA, KILLED_HEAD, KILLED_QUEUE, KILLED_REQUEST, ProxyError
from l7.exchange import Exchange
from l7.workers.downstream.client_wait import ClientWait
from l7.workers.transport.stream import NEVER, Stream


def killed(exchange: Exchange, *, whole: bool) -> ProxyError:
    """What a request has failed with that is ended now; ``whole`` says that its head had come."""
    if exchange.status:
        return ProxyError(KILLED_DATA)
    if not whole:
        return ProxyError(KILLED_REQUEST)
    return ProxyError(KILLED_QUEUE if exchange.connect_time < 0 else KILLED_HEAD)


def end_waits(streams: Iterable[Stream]) -> None:
    """End whatever requests wait for on these streams as if its time were up. For callbacks of the loop.

    Those that wait for a place come first, or they would be given those of the others.
    """
    found = list(streams)
    for stream in found:
        if isinstance(stream.handler, ClientWait):
            stream.handler.time_out()
    for stream in found:
        if (stream.handler is None or stream.awaited) and not stream.closed:
            stream.expire(NEVER)
