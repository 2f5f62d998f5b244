"""A made-up l7 with an incident in it, which `docs/top.py` and `docs/pictures.py` make pictures of."""

from __future__ import annotations

import math
import random
import time
from collections.abc import Sequence
from typing import Any

from l7.config.values.names import printable
from l7.telemetry.recorder.records import Attempt, RequestRecord
from l7.telemetry.stories.request_story import story, told
from l7.telemetry.stories.situations import situations

NOW = time.mktime((2026, 11, 30, 14, 2, 11, 0, 0, -1))
SAMPLES = 150
INTERVAL = 2.0
ROUTES = (
    # route, requests, rate, errors, refused, p50, p99, in flight, queued, servers, up
    ("shop.example.com", 902113, 611.4, 4.3, 0.0, 0.0021, 0.0874, 11, 0, 3, 2),
    ("shop.example.com/api", 240017, 188.2, 0.0, 2.1, 0.0117, 0.412, 9, 3, 2, 2),
    ("static.example.com", 88120, 64.0, 0.0, 0.0, 0.00031, 0.0042, 0, 0, 1, 1),
    ("example.com", 3104, 0.4, 0.0, 0.0, 0.0016, 0.0131, 0, 0, 0, 0),
)
SERVERS = (
    # route, server, state, why, seconds in it, weight, in flight, rate, errors, p50, p99
    ("shop.example.com", "10.0.0.13:8080", "down", "health check: status 503 ×3", 132.0, 1, 0, 0.0, 4.3, None, None),
    ("shop.example.com", "10.0.0.11:8080", "up", "", None, 1, 6, 305.9, 0.0, 0.002, 0.081),
    ("shop.example.com", "10.0.0.12:8080", "up", "", None, 1, 5, 305.5, 0.0, 0.002, 0.09),
    ("shop.example.com/api", "10.0.0.21:8000", "up", "", None, 1, 5, 94.3, 0.0, 0.0115, 0.398),
    ("shop.example.com/api", "10.0.0.22:8000", "up", "", None, 1, 4, 93.9, 0.0, 0.0119, 0.42),
    ("static.example.com", "10.0.0.31:80", "up", "", None, 1, 0, 64.0, 0.0, 0.0003, 0.004),
)
LOST = "closed before the response head"
FAILED = RequestRecord(
    request_id="0020000000a1e3e9c507ac8132ad7bbf", started=NOW - 134.6, client="192.0.2.7", host="shop.example.com",
    method="GET", target="/cart?id=…", version="HTTP/1.1", route="shop.example.com", policy="round-robin", port=443,
    tls="1.3", queue=0.0, total=2.0131, received=0, sent=214, status=502, code="SH",
    failure=LOST, reason="closed without an answer", worker=2, generation=3,
    connection=4711, nth=3,
    attempts=(
        Attempt("10.0.0.12:8080", ("round-robin",), 3, 3, 0.0002, 0.0011, 0.0, None, 0.0093, LOST),
        Attempt("10.0.0.13:8080", ("retry",), 2, 3, 0.0094, 0.0, 0.0, None, 2.0128, LOST),
    ),
    tried=2, died=False, under_way=False,
)  # fmt: skip
"""The request of which the story is told."""
_OF_ROUTE = ("route", "requests", "rate", "errors", "refused", "p50", "p99", "in-flight", "queued", "servers", "up")
_OF_SERVER = (
    "backend", "server", "state", "why", "since", "weight", "in-flight", "rate", "errors", "p50", "p99",
)  # fmt: skip
_SHORT = (
    "request-id", "client", "host", "method", "target", "route", "server", "status", "code", "failure", "reason",
    "total", "worker", "generation",
)  # fmt: skip


def document() -> dict[str, Any]:
    """An overview document (`l7.workers.monitor.overview`)."""
    totals = {
        "requests": 1233354, "rate": 864.0, "errors": 4.3, "refused": 2.1, "in-flight": 20, "p50": 0.0034,
        "p99": 0.231,
    }  # fmt: skip
    return {
        "ok": True, "at": NOW, "interval": INTERVAL, "window": 10.0, "version": "0.2.0", "pid": 812,
        "state": "serving", "started": NOW - 7800, "recorder": True,
        "configuration": {
            "generation": 3, "digest": "470f5cb5a497", "file": "/etc/l7/config.yml", "loaded": "2026-11-30T14:01:41Z",
            "on-disk": "same", "changes": [], "problems": [],
        },
        "connections": {"open": 214, "limit": 10000, "idle-closed": 0, "waited": 0},
        "monitor": {"pid": 813, "generation": 3, "age": 30.0, "state": "ready", "memory": 36 * 1024**2},
        "opener": None, "samples": SAMPLES, "totals": {**totals, "plot": _plot(totals, 0)}, "routes": _routes(),
        "routes-left-out": 0, "servers": _servers(), "servers-left-out": 0, "workers": _workers(),
        "certificates": [
            {"names": ["example.com", "*.example.com"], "issuer": "R11", "not_after": "2027-02-11T00:00:00Z",
             "days_left": 72.4},
        ],
        "failures": [_short(FAILED)], "under-way": 20,
        "reloads": [{
            "at": NOW - 30, "ok": True, "generation": 3, "changes": ["limits.body: 10MiB -> 20MiB"], "reasons": [],
            "seconds": 2.41,
        }],
    }  # fmt: skip


def requests() -> dict[str, Any]:
    """What ``/requests/ID`` of the admin address answers of the request that is told."""
    began = [FAILED.started + one.began for one in FAILED.attempts]
    wrong = {"state": "down", "since": began[1] + 2.6, "why": "health checks: status 503 ×3"}
    then = situations(FAILED, {
        "ok": True, "generation": 3, "sticky": None,
        "moments": [
            {"at": at, "left-out": 0, "left-out-up": 0, "servers": [
                {"server": name, "address": name, "backup": False, "state": "up", "since": None, "why": ""}
                | (wrong if name == "10.0.0.13:8080" and at > wrong["since"] else {})  # type: ignore[operator]
                for _, name, *_ in SERVERS[:3]
            ]}
            for at in began
        ],
    }, [], NOW)  # fmt: skip
    lines = [printable(line, 2000) for line in story(FAILED, NOW, then)]
    return {"requests": [{**told(FAILED, NOW, then), "story": lines}]}


def _short(one: RequestRecord) -> dict[str, Any]:
    return {key: one.plain()[key] for key in _SHORT} | {"ended": one.ended}


def _routes() -> list[dict[str, Any]]:
    found = [dict(zip(_OF_ROUTE, one, strict=True)) for one in ROUTES]
    for number, one in enumerate(found, 1):
        failed = 1204 if one["errors"] else 0
        well = one["requests"] - failed
        statuses = {"none": 0, "1xx": 0, "2xx": well if one["servers"] else 0, "3xx": 0 if one["servers"] else well}
        one |= {"statuses": {**statuses, "4xx": 0, "5xx": failed}, "plot": _plot(one, number)}
    return found


def _servers() -> list[dict[str, Any]]:
    found = [dict(zip(_OF_SERVER, one, strict=True)) for one in SERVERS]
    for number, one in enumerate(found, 100):
        down = one["since"] is not None
        one |= {
            "since": NOW - one["since"] if down else None, "address": None, "backup": False, "used": not down,
            "last-error": {"what": "closed without an answer", "ago": 132.6} if down else None, "requests": 301480,
            "changes": int(down), "plot": _plot(one, number),
            "last-change": {
                "at": "2026-11-30T13:59:59.000Z", "state": "down", "cause": "health-check", "why": "status 503 ×3",
                "after": 7668.0,
            } if down else None,
        }  # fmt: skip
    return found


def _workers() -> list[dict[str, Any]]:
    return [
        {
            "worker": number, "pid": 813 + number, "generation": 3, "age": 30.0, "state": "ready", "connections": 107,
            "relayed": 0, "in-flight": 10, "requests": 12960, "requests-per-second": 432.0, "lag": 0.0004,
            "memory": 40 * 1024**2,
        }
        for number in (1, 2)
    ]  # fmt: skip


def _plot(figures: dict[str, Any], seed: int) -> dict[str, Sequence[float | None]]:
    """The last five minutes of some figures: two waves, and errors since something went wrong."""
    lot = random.Random(seed)
    rate, errors = figures["rate"], figures["errors"]
    wave = [1 + 0.35 * math.sin(at / 12) + 0.2 * math.sin(at / 5) + lot.uniform(-0.08, 0.08) for at in range(SAMPLES)]
    ill = [max(0.0, min(1.0, (at - SAMPLES // 2) / 6)) * lot.uniform(0.6, 1.3) for at in range(SAMPLES)]
    quick = [lot.uniform(0.9, 1.15) for _ in range(SAMPLES)]
    down = figures.get("state") == "down"
    return {
        "rate": [round(rate * one, 2) for one in wave] if not down else
                [round(200 * one, 2) if at < SAMPLES // 2 + 9 else 0.0 for at, one in enumerate(wave)],
        "errors": [round(errors * one, 2) for one in ill],
        "p50": _times(figures["p50"], quick),
        "p99": _times(figures["p99"], [one * (1 + 0.4 * more) for one, more in zip(quick, ill, strict=True)]),
    }  # fmt: skip


def _times(seconds: float | None, factors: Sequence[float]) -> list[float | None]:
    return [None if seconds is None else round(seconds * one, 6) for one in factors]
