"""What a termination code and a failure mean in words, and what to look at next."""

from __future__ import annotations

import re
from collections.abc import Iterator

from l7.errors import (
    BAD_RESPONSE,
    BODY_STALLED,
    BODY_TIMEOUT,
    CLOSED_EARLY,
    CLOSED_UNSENT,
    CONNECT_REFUSED,
    CONNECT_TIMEOUT,
    FORBIDDEN,
    HEAD_TIMEOUT,
    INTERNAL,
    KILLED_DATA,
    KILLED_HEAD,
    KILLED_QUEUE,
    KILLED_REQUEST,
    LOOP,
    NO_RESOURCES,
    NO_ROUTE,
    NO_SERVER,
    QUEUE_FULL,
    QUEUE_TIMEOUT,
    RATE_LIMITED,
    RESPONSE_HEAD_TOO_LARGE,
    RESPONSE_TIMEOUT,
    TLS_FAILED,
    TLS_REFUSED,
    TLS_TIMEOUT,
    TOTAL_CUT,
    TOTAL_TIMEOUT,
    TRUNCATED,
    UNAUTHORIZED,
    WRITE_TIMEOUT,
)
from l7.telemetry.recorder.records import RequestRecord
from l7.telemetry.stories.phases import ANSWER, CONNECT, READ, SEND, SERVER, longest
from l7.telemetry.stories.times import moment

WHO = {
    "P": "l7 refused it",
    "C": "the client left",
    "c": "the client was too slow",
    "S": "the server failed",
    "s": "the server was too slow",
    "L": "l7 answered itself",
    "R": "l7 lacked a resource",
    "K": "l7 or its worker had to end",
    "I": "a fault of l7's own",
}
"""The first letter of a termination code."""
WHEN = {
    "R": "while the request was read and checked",
    "Q": "while it waited for a server with room",
    "C": "while a connection to a server was opened",
    "H": "before the head of the answer came",
    "D": "while bodies were passed on",
}
"""The second letter."""

_SERVER_LOG = "what {server} logged at {time} for this id (it is in X-Request-ID)"
_STATE = "`l7 status`: which servers are up, and since when they are not"
_EVENTS = "the events of l7 at {time}, on its standard error"
_LIMITS = "`queue` and `max-connections` of the route"
_CLIENTS = "`l7 tail --by client --route {route}`: whether one client keeps the servers busy"
_WAITS = (
    "`l7 tail --by generation --route {route}`: whether requests wait since a reload (`l7 status`: what it changed)"
)
_NEXT: dict[str, tuple[str, ...]] = {
    CONNECT_REFUSED.name: ("whether something listens at {server}", _STATE),
    CONNECT_TIMEOUT.name: (
        "what drops packets on the way to {server}: a firewall, a wrong address, a full backlog",
        "`timeouts.connect` of the route",
    ),
    CLOSED_UNSENT.name: (_SERVER_LOG,),
    CLOSED_EARLY.name: (
        _SERVER_LOG,
        "whether it restarted then, or closes kept connections sooner than `timeouts.pool` of the route says",
        _CLIENTS,
    ),
    TLS_FAILED.name: ("`openssl s_client -connect {server}`, and `tls` of the route",),
    TLS_TIMEOUT.name: ("whether {server} speaks TLS at all",),
    TLS_REFUSED.name: ("`tls.cert` of the route, and whom {server} lets in",),
    BAD_RESPONSE.name: ("whether {server} speaks HTTP/1.1 there", _SERVER_LOG),
    RESPONSE_HEAD_TOO_LARGE.name: ("`limits.response-head`, and what makes the head of {server} so large",),
    RESPONSE_TIMEOUT.name: (_SERVER_LOG, "`timeouts.response` of the route", "`l7 tail --server {server} --slower 1s`"),
    TOTAL_TIMEOUT.name: ("`timeouts.total` of the route", _SERVER_LOG),
    TOTAL_CUT.name: ("`timeouts.total` of the route", _SERVER_LOG),
    TRUNCATED.name: (_SERVER_LOG, "whether its process ended then"),
    BODY_STALLED.name: (_SERVER_LOG, "`timeouts.body` of the route"),
    NO_SERVER.name: (_STATE, "`l7 tail --route {route}`: how others fared"),
    QUEUE_FULL.name: (_LIMITS, _WAITS, _CLIENTS),
    QUEUE_TIMEOUT.name: (_LIMITS, _WAITS, _CLIENTS),
    NO_ROUTE.name: ("`l7 explain` with the URL: which routes there are",),
    FORBIDDEN.name: ("`allow` and `deny` of the route; `l7 explain --client` with the client's address",),
    RATE_LIMITED.name: ("`rate-limit` of the route; `l7 tail --status 429`: who else meets it",),
    UNAUTHORIZED.name: ("`users`; whether the client sends a login",),
    LOOP.name: ("whether a server of the route leads back to l7",),
    NO_RESOURCES.name: ("the limit of open files, and memory", _EVENTS),
    INTERNAL.name: (_EVENTS + ": the traceback is there",),
    KILLED_REQUEST.name: (_EVENTS,),
    KILLED_QUEUE.name: (_EVENTS,),
    KILLED_HEAD.name: (_EVENTS, "`drain-timeout` and `graceful-timeout`"),
    KILLED_DATA.name: (_EVENTS, "`drain-timeout` and `graceful-timeout`"),
    HEAD_TIMEOUT.name: ("the client's network; `timeouts.head`",),
    BODY_TIMEOUT.name: ("the client's network; `timeouts.body`",),
    WRITE_TIMEOUT.name: ("the client's network; `timeouts.write`",),
}
_PLAIN_PATH = re.compile(r"/[A-Za-z0-9/_.,:@%+-]*")
_WAITED = 0.1
"""Seconds from which on a wait for a server with room is worth a word."""
_SLOW = 1.0
"""Seconds from which on a request that went well is slow."""
_SWITCHED = 101
"""Of a tunnel nobody knows how long it should last."""
_SLOWEST: dict[str, tuple[str, ...]] = {
    READ: (
        "whether the client sends its requests slowly: `l7 tail --by client --route {route}`",
        "whether worker {worker} was busy: its lag in `l7 top`",
    ),
    CONNECT: (
        "what holds up connections to {server}: the network on the way, or a full backlog",
        "`l7 tail --by server --route {route}`: whether other servers are slow, too",
    ),
    SEND: (
        "whether the client sends its body slowly, or {server} takes it slowly",
        "`l7 tail --by client --route {route}`: whether other clients are slow, too",
    ),
    SERVER: (
        "`l7 tail --by path --server {server}`: whether this server is slow with other paths, too",
        "`l7 tail --by server --target {path}`: whether other servers are slow with this path, too",
    ),
    ANSWER: (
        "whether {server} sends its body slowly, or the client takes it slowly",
        "`l7 tail --by client --target {path}`: whether other clients are slow with this path, too",
    ),
}
"""Of a request that went well, by the kind of its longest phase."""


def ended_by(record: RequestRecord) -> Iterator[str]:
    """Who ended a request, and how."""
    if record.under_way:
        asked = bool(record.attempts)
        yield "it has not ended yet" + ("" if asked else ": it is still being read, or waits for a server with room")
        return
    if record.died:
        yield "the worker process was killed or crashed while it served this request; the client's connection was cut"
        return
    if record.code == "--":
        own = not record.attempts
        what = "l7 answered it itself, as the configuration says" if own else "it was answered to the end"
        theirs = record.status >= 500 and not own
        yield f"{what}; the {record.status} is the server's own answer" if theirs else what
        return
    who, when = WHO.get(record.code[:1], "unknown"), WHEN.get(record.code[1:], "")
    yield f"{record.code}: {who} {when}".rstrip()
    if record.reason:
        yield record.reason


def next_look(record: RequestRecord) -> Iterator[str]:
    """What to look at next, for who wants to know more."""
    if record.died:
        yield _EVENTS.format(time=moment(record.started))
        return
    where = {
        "server": record.server or "the server", "route": record.route, "time": moment(record.started),
        "worker": str(record.worker),
    }  # fmt: skip
    if record.under_way and not record.attempts:
        yield "`l7 top`: which route has requests in its `queue`"
    elif record.failure:
        yield from (text.format(**where) for text in _NEXT.get(record.failure, ()))
        if record.failure.startswith("client") and record.attempts:
            yield "whether the client has a timeout of its own that is shorter than this took"
    elif record.status >= 500 and record.attempts:
        yield _SERVER_LOG.format(**where)
    elif record.queue >= _WAITED:
        yield from (text.format(**where) for text in ((_STATE,) if record.tried > 1 else (_LIMITS, _WAITS)))
    elif record.total >= _SLOW and record.attempts and record.status != _SWITCHED:
        slowest = longest(record)
        path = record.target.partition("?")[0]
        # What clients send is no part of a command that people copy, but for a path that means nothing to a shell.
        where["path"] = path if _PLAIN_PATH.fullmatch(path) else "PATH"
        yield from (text.format(**where) for text in _SLOWEST.get("" if slowest is None else slowest.kind, ()))
