"""The names of events: stable, for programs that wait for one or count them; the text after them is for people.

A name is ``SUBJECT.WHAT``; its fields are ``key=value``, ``generation`` first where there is one. A name is never
reused for another event, and fields are only added. The table in :doc:`operations` is generated from this one.
"""

from __future__ import annotations

from typing import NamedTuple


class Meaning(NamedTuple):
    """What an event means: the fields that it always has beside ``generation``, and when it is written."""

    facts: tuple[str, ...]
    words: str


NAMES = {
    "master.ready": Meaning(("workers",), "l7 serves"),
    "master.stopping": Meaning((), "a stop was asked for"),
    "master.stopped": Meaning((), "the last line of a master"),
    "master.uncompiled": Meaning((), "this l7 has no compiled modules, or not for this Python, or is not to use them"),
    "address.awaited": Meaning(
        ("address", "seconds"), "an address to bind is in use; it is tried again for that time before the start fails"
    ),
    "reload.started": Meaning((), "the new configuration is valid, and its first worker is started"),
    "reload.watched": Meaning(("worker",), "that worker, the canary, is ready and serves on trial"),
    "reload.proven": Meaning((), "the canary is not worse; the other workers follow"),
    "reload.refused": Meaning(
        ("reason",),
        "the new configuration cannot be used (``configuration``; the lines before say why), or the look ahead has "
        "reached no server of a backend that works now (``preflight``)",
    ),
    "reload.failed": Meaning(("back",), "the new generation is given up, and generation ``back`` wanted again"),
    "reload.done": Meaning(("workers", "seconds"), "only the new generation accepts"),
    "reload.undone": Meaning(("workers", "seconds"), "only the old generation accepts, after ``reload.failed``"),
    "reload.remembered": Meaning((), "a reload was asked for during another one, or an upgrade, and follows it"),
    "reload.passed-on": Meaning((), "a reload is left to the l7 that has taken over"),
    "worker.started": Meaning(("worker", "pid"), "a process was forked (level debug)"),
    "worker.ready": Meaning(("worker",), "it accepts (level debug at a start)"),
    "worker.hung": Meaning(("worker",), "it has no heartbeat"),
    "worker.unready": Meaning(("worker",), "it has not booted in time"),
    "worker.exited": Meaning(("worker", "reason"), "it has ended: expected (level debug), or not"),
    "worker.delayed": Meaning(("worker", "seconds"), "it died young, and is started again after that time"),
    "worker.killed": Meaning(("worker",), "it has not drained in time"),
    "workers.more": Meaning(("workers",), "one more is wanted (TTIN)"),
    "workers.fewer": Meaning(("workers",), "one fewer is wanted (TTOU)"),
    "workers.unbootable": Meaning((), "no worker of the first generation could boot"),
    "relay.announced": Meaning(
        ("worker",), "connections whose TLS that old worker has end with their next answers: its time is over"
    ),
    "relay.cut": Meaning(("worker",), "they have not ended in time, and are cut off"),
    "drain.cut": Meaning((), "the time to finish is over, what is left is cut off"),
    "requests.cut": Meaning(("requests",), "a worker has ended what it was serving: its time was over"),
    "control.cut": Meaning((), "an answer on the control socket has no end: whoever asks again has a whole one"),
    "monitor.started": Meaning(("pid",), "the monitor process was forked (level debug)"),
    "monitor.hung": Meaning((), "it has no heartbeat"),
    "monitor.unready": Meaning((), "it has not booted in time"),
    "monitor.delayed": Meaning(("seconds",), "it died young, and is started again after that time"),
    "monitor.exited": Meaning(("reason",), "it has ended: expected (level debug), or not"),
    "upgrade.started": Meaning((), "the next l7 is started"),
    "upgrade.refused": Meaning(("state",), "no upgrade in this state"),
    "upgrade.done": Meaning(("pid",), "that process has taken over from this one"),
    "upgrade.taken": Meaning(("pid",), "this process has taken over from that one"),
    "upgrade.failed": Meaning(("reason",), "the next l7 is given up, and this one goes on"),
    "backend.unreachable": Meaning(
        ("backend",), "the look ahead of a reload has reached none of its servers, and the reload goes on"
    ),
    "opener.opened": Meaning(("what",), "the privileged opener has opened a file that is new to it, or bound a port"),
    "opener.refused": Meaning(("asker",), "it was asked for what it may not open"),
    "opener.gone": Meaning(("pid",), "it has ended; only a restart brings it back"),
    "certificate.due": Meaning(
        ("days",), "a certificate should have been renewed; once a day, ``days`` are left (negative: it has ended)"
    ),
    "acme.self-signed": Meaning(
        ("host",), "a host has no certificate of the authority yet, and a self-signed one is shown for it"
    ),
    "acme.obtained": Meaning(("host",), "the authority has issued a certificate; it is shown from now on"),
    "acme.failed": Meaning(
        ("host", "failures", "seconds"), "a try to obtain a certificate has failed; the next one is after that time"
    ),
    "acme.storage": Meaning(("reason",), "the storage of ACME cannot be used, and no certificate is obtained"),
    "server.up": Meaning(("backend", "server"), "checks pass again, or at last (level debug the first time)"),
    "server.down": Meaning(("backend", "server"), "checks have failed"),
    "server.ejected": Meaning(("backend", "server"), "it has failed requests, and gets none for a while"),
    "server.tls": Meaning(("backend", "server"), "TLS with it has failed; said once a minute by each worker at most"),
    "server.reached": Meaning(("backend", "server"), "it takes connections again, after it took none"),
    "server.ordered": Meaning(("backend", "server", "state"), "an administrator wants it so (``l7 server``)"),
    "name.changed": Meaning(("name",), "other addresses stand for a name"),
    "name.failed": Meaning(("name", "reason"), "a name cannot be looked up"),
    "log.stalled": Meaning(("log",), "lines of the access log are being lost"),
    "log.resumed": Meaning(("log", "lost"), "it is written again"),
    "log.reopened": Meaning(("log",), "it was opened anew: after a rotation, by ``l7 logs reopen``, or at a reload"),
    "log.not-reopened": Meaning(("log",), "it was rotated, and cannot be opened anew: lines go into the old file"),
    "master.gone": Meaning((), "a worker's master has died: the worker finishes and ends"),
    "limits.lowered": Meaning(("clients",), "fewer clients find room than ``limits.connections`` says"),
    "proxy-protocol.refused": Meaning(
        ("reason", "peer"),
        "connections of a listener with ``proxy-protocol`` are closed for this reason: ``not_listed``, ``no_header``, "
        "``malformed``, ``timeout`` or ``closed``; once a minute for each",
    ),
    "rate-limit.proxy": Meaning(
        ("route", "client"),
        "``rate-limit`` has refused a client with a private address, which may be a proxy that no ``trusted-proxies`` "
        "names: then all behind it are counted as one; at most once an hour",
    ),
    "accept.full": Meaning((), "all places are taken and none is idle: new clients wait"),
    "accept.failed": Meaning(("reason",), "the system lets no connection in for want of something"),
    "descriptors.scarce": Meaning((), "idle connections are closed for want of descriptors"),
    "tracing.lost": Meaning(("spans",), "the collector takes no spans; said once a minute at most"),
    "loop.stuck": Meaning(("seconds",), "a worker's loop stands still"),
    "loop.resumed": Meaning(("seconds",), "it turns again"),
}
