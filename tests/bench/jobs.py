"""What is measured: one row a job."""

from __future__ import annotations

from dataclasses import dataclass

from tests.bench import sink
from tests.bench.requests import FRESH, VISITORS, Request
from tests.bench.upstream import HUNDRED_MIB, ONE_MIB, SIXTY_FOUR_KB, SMALL, TEN_KB

SMALL_GET = Request("/small/", len(SMALL))

CLOSED = "closed"
"""Connections that ask again as soon as they are answered: CPU per request at full speed."""
PACED = "paced"
"""Requests at a share of nginx's peak rate, whatever the answers do: latency."""
HANDSHAKE = "handshake"
"""A TLS connection for each request: CPU a connection."""
TUNNEL = "tunnel"
"""WebSocket messages at a fixed rate: CPU a message and its echo."""
MESSAGES = 10_000
"""Of them a second."""
IDLE = "idle"
"""Connections that say nothing: memory, and CPU that nobody asked for."""
PAUSES = "pauses"
"""What a worker of l7 does beside requests: for how long each of it keeps them waiting."""
FOOTPRINT = "footprint"
"""Memory without traffic, and what a start and a reload cost."""
ONCE = (IDLE, FOOTPRINT)
"""Measured in the first round only: memory hardly varies from one to the next."""
PURE, CADDY, HAPROXY = "l7-pure", "caddy", "haproxy"
BOTH = (PURE, CADDY)


@dataclass(frozen=True)
class Contestant:
    """A proxy as it stands in one job: which, and what is different about it there."""

    proxy: str
    hosts: int = 1
    workers: int = 1
    records: bool = True
    """Whether l7 has its recorder, as it has unless told otherwise."""

    @property
    def label(self) -> str:
        """Its name in the results of its job."""
        more = (
            f" {self.hosts} hosts" * (self.hosts > 1),
            f" {self.workers} workers" * (self.workers > 1),
            " without its recorder" * (not self.records),
        )
        return self.proxy + "".join(more)


@dataclass(frozen=True)
class Job:
    """One kind of work.

    ``key`` is the figure that is compared; ``goal`` and ``least`` are what l7 wants of it, as a ratio to the first
    contestant, or, where ``absolute``, in the figure's own unit.
    """

    name: str
    title: str
    request: Request = SMALL_GET
    connections: int = 64
    kind: str = CLOSED
    key: str = "cpu_us"
    goal: float | None = None
    least: float | None = None
    absolute: bool = False
    reads_body: bool = False
    """The server behind reads bodies to their end."""
    volume: int = 0
    """Bytes of body a request, where the cost is counted by volume."""
    hosts: int = 1
    """Not 1: l7 alone, with so many hosts against one."""
    workers: int = 1
    """Not 1: l7 alone, with so many workers against one."""
    share: float = 0.0
    """Of nginx's peak rate, where requests are paced."""
    recorder: bool = False
    """Whether l7 alone is measured, with its recorder against itself without."""
    rules: int = 0
    """Of `tests.bench.rules`: how many nginx and l7 have."""
    tls: bool = False
    resumes: bool = False
    """Whether connections go on with the TLS session of an earlier one."""
    without: tuple[str, ...] = (PURE,)
    """Proxies that do not take part, to save time: pure Python where others show what it costs, Caddy where another job
    of its kind does, or where its core would be full."""

    def contestants(self, proxies: list[str]) -> list[Contestant]:
        """Who takes part, of these proxies; the others are compared with the first."""
        if self.kind == PAUSES:
            return [Contestant("l7")] if "l7" in proxies else []
        if self.kind == FOOTPRINT:
            more = [Contestant("l7", workers=2), Contestant("l7", hosts=10_000, workers=2)]
            return [Contestant(each) for each in proxies if each != PURE] + more * ("l7" in proxies)
        if self.recorder:
            ours = [proxy for proxy in proxies if proxy.startswith("l7")][:1]
            return [each for proxy in ours for each in (Contestant(proxy, records=False), Contestant(proxy))]
        if self.hosts == 1 and self.workers == 1:
            without = self.without if "l7" in proxies else set(self.without) - {PURE}
            return [Contestant(proxy) for proxy in proxies if proxy not in without]
        ours = [proxy for proxy in proxies if proxy.startswith("l7")][:1]
        return [c for proxy in ours for c in (Contestant(proxy), Contestant(proxy, self.hosts, self.workers))]


JOBS = {
    job.name: job
    for job in (
        Job("small-get", "small GET, connections kept", goal=0.95, least=1.05, without=()),
        Job(
            "fresh",
            "small GET, three lines that never come again",
            Request("/small/", len(SMALL), heads=FRESH),
            goal=1.0,
            least=1.1,
            without=BOTH,
        ),
        Job(
            "visitors",
            "small GET, 50,000 visitors",
            Request("/small/", len(SMALL), heads=VISITORS),
            goal=1.0,
            least=1.1,
            without=BOTH,
        ),
        Job(
            "new-connection",
            "small GET, a new connection for each",
            Request("/small/", len(SMALL), close=True),
            connections=32,
            goal=1.0,
            least=1.15,
        ),
        Job("10k", "GET of 10 KB", Request("/10k/", TEN_KB, heads=FRESH), goal=0.92, least=1.0),
        Job("chunked-10k", "GET of 10 KB in chunks", Request("/chunked/", TEN_KB), goal=0.95, least=1.05, without=BOTH),
        Job("64k", "GET of 64 KB", Request("/64k/", SIXTY_FOUR_KB, heads=FRESH), without=BOTH),
        Job(
            "post",
            "POST of 4 KB",
            Request("/post/", sink.ANSWER_SIZE, "POST", 4096, heads=FRESH),
            goal=1.0,
            least=1.05,
            reads_body=True,
        ),
        Job(
            "1m-down",
            "GET of 1 MiB",
            Request("/1m/", ONE_MIB),
            connections=16,
            key="cpu_ms_gib",
            goal=0.5,
            least=0.6,
            volume=ONE_MIB,
        ),
        Job(
            "100m-down",
            "GET of 100 MiB",
            Request("/100m/", HUNDRED_MIB),
            connections=2,
            key="cpu_ms_gib",
            goal=0.5,
            least=0.8,
            volume=HUNDRED_MIB,
            without=BOTH,
        ),
        Job(
            "1m-up",
            "POST of 1 MiB",
            Request("/upload/", sink.ANSWER_SIZE, "POST", ONE_MIB),
            connections=16,
            key="cpu_ms_gib",
            goal=0.42,
            least=0.5,
            reads_body=True,
            volume=ONE_MIB,
        ),
        Job("frames", "WebSocket, 10,000 messages of 100 bytes a second", connections=100, kind=TUNNEL),
        Job("login", "small GET, login by bcrypt", Request("/small/", len(SMALL), login=True), goal=0.2, least=1.0),
        Job(
            "hosts",
            "small GET, 10,000 hosts against one",
            Request("/small/", len(SMALL), hosts=10_000),
            hosts=10_000,
            goal=1.0,
            least=1.05,
        ),
        Job(
            "idle",
            "5,000 idle connections",
            connections=5_000,
            kind=IDLE,
            key="kb_each",
            goal=1.06,
            least=4.0,
            absolute=True,
        ),
        Job("workers", "small GET, two workers against one", key="rate", workers=2),
        Job("recorder", "small GET, the recorder against none", goal=1.02, least=1.05, recorder=True),
        *(
            Job(
                f"load-{percent}",
                f"small GET at {percent} % of nginx's peak rate",
                kind=PACED,
                key="p99_ms",
                goal=1.0,
                least=1.2,
                share=percent / 100,
                without=BOTH,
            )
            for percent in (30, 60)
        ),
        *(
            Job(
                f"rules-{count}",
                f"small GET, {count} rules",
                rules=count,
                goal=1.0,
                least=1.1,
                without=(*BOTH, HAPROXY),
            )
            for count in (3, 10)
        ),
        Job("tls-get", "small GET over TLS, connections kept", goal=1.0, least=1.15, tls=True),
        Job(
            "tls-handshake",
            "small GET over TLS, a full handshake for each",
            Request("/small/", len(SMALL), close=True),
            connections=8,
            kind=HANDSHAKE,
            goal=1.1,
            least=1.3,
            tls=True,
        ),
        Job(
            "tls-resumed",
            "small GET over TLS, a resumed session for each",
            Request("/small/", len(SMALL), close=True),
            connections=8,
            kind=HANDSHAKE,
            goal=1.1,
            least=1.3,
            tls=True,
            resumes=True,
        ),
        Job(
            "tls-1m-down",
            "GET of 1 MiB over TLS",
            Request("/1m/", ONE_MIB),
            connections=16,
            key="cpu_ms_gib",
            goal=0.6,
            least=0.8,
            volume=ONE_MIB,
            tls=True,
        ),
        Job(
            "tls-1m-up",
            "POST of 1 MiB over TLS",
            Request("/upload/", sink.ANSWER_SIZE, "POST", ONE_MIB),
            connections=16,
            key="cpu_ms_gib",
            goal=0.6,
            least=0.8,
            reads_body=True,
            volume=ONE_MIB,
            tls=True,
        ),
        Job(
            "tls-idle",
            "2,000 idle connections over TLS",
            connections=2_000,
            kind=IDLE,
            key="kb_each",
            goal=1.0,
            least=1.5,
            tls=True,
        ),
        Job("memory", "memory, start and reload", kind=FOOTPRINT, key="pss_mib", goal=40.0, least=40.0, absolute=True),
        Job("pauses", "what a worker does beside requests", kind=PAUSES, key="longest_us"),
    )
}
