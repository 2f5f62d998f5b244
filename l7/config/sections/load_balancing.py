"""What stands below a backend about its servers: how they are chosen, checked, spared and waited for."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated, Any, ClassVar, Literal

from l7.config.model import AfterValidator, BeforeValidator, Field, SecretStr, model_validator
from l7.config.section import (
    BufferSize,
    Count,
    CountOrUnlimited,
    Duration,
    Period,
    Section,
    Share,
    Switch,
    Timeout,
    TimeoutOrUnlimited,
)
from l7.config.sections.server_tls import ServerTls
from l7.config.values import backend as own
from l7.config.values import jsontypes, scalars
from l7.config.values.addresses import Address
from l7.config.values.scalars import Form

Retries = Annotated[int, BeforeValidator(scalars.whole(0, 100)), Form("number", schema=jsontypes.whole(0, 100))]
TimeoutOrIdle = Annotated[
    float | None,
    BeforeValidator(own.duration_or_idle),
    Form("duration or `idle`", own.show_idle, jsontypes.duration(0.001)),
]
Weight = Annotated[int, BeforeValidator(scalars.whole(0, 256)), Form("number", schema=jsontypes.whole(0, 256))]
QueueSize = Annotated[
    int, BeforeValidator(scalars.whole(0, 1_000_000)), Form("number", schema=jsontypes.whole(0, 1_000_000))
]
ServerAddress = Annotated[Address, BeforeValidator(scalars.address), Form("address", str, jsontypes.SERVER)]
HashKey = Annotated[
    str,
    BeforeValidator(own.hash_key),
    Form("`client`, `target`, `header:NAME` or `cookie:NAME`", schema=jsontypes.HASH_KEY),
]
CheckPath = Annotated[str | None, BeforeValidator(own.check_path), Form("path", schema=jsontypes.TARGET)]
CheckHost = Annotated[str | None, BeforeValidator(own.check_host), Form("host", schema=jsontypes.HOST_FIELD)]
CheckBody = Annotated[str | None, BeforeValidator(own.body_text), Form("text", schema=jsontypes.TEXT)]
Statuses = Annotated[
    tuple[tuple[int, int], ...],
    BeforeValidator(own.statuses),
    Form("statuses", own.show_statuses, jsontypes.STATUSES),
]
CookieName = Annotated[str, AfterValidator(own.token), Form("name", schema=jsontypes.TOKEN)]
CookieAge = Annotated[
    float | None,
    BeforeValidator(own.duration_or_session),
    Form("duration or `session`", own.show_session, jsontypes.duration(1)),
]
Secret = Annotated[
    SecretStr | None,
    BeforeValidator(own.cookie_secret),
    Form("text", own.show_optional_secret, jsontypes.SECRET),
]


class BackendTimeouts(Section):
    """How long l7 waits for a server."""

    connect: Timeout = Field(
        default=3.0,
        description="A connection to a server must stand within this time (else 504); for so long a unix socket whose "
        "queue is full is waited for, too.",
    )
    response: Timeout = Field(default=60.0, description="The head of a response must come within this time (else 504).")
    idle: Timeout = Field(
        default=60.0,
        description="What `body`, `tunnel` and `pool` are that are not given.",
    )
    body: TimeoutOrIdle = Field(
        default=None, description="The longest pause within a response's body (else it is cut short).", examples=["5m"]
    )
    tunnel: TimeoutOrIdle = Field(
        default=None,
        description="The longest silence of an upgraded connection (WebSocket), of both sides together.",
        examples=["1h"],
    )
    pool: TimeoutOrIdle = Field(
        default=None,
        description="How long an unused connection to a server is kept; where the server said how long it keeps it "
        "(`Keep-Alive: timeout=5`), until half a second before that at most.",
        examples=["4s"],
    )
    total: TimeoutOrUnlimited = Field(
        default=None,
        description="The whole request, with its time in the queue, all tries and the response's body, must be done "
        "within this time (else 504, or 408 when the client is awaited, or cut short once the response has begun); "
        "an upgraded connection may last.",
    )


class Buffer(Section):
    """What is read ahead of a slow client, so that it does not hold a server."""

    request: BufferSize = Field(
        default=256 * 1024,
        description="A request's body of at most this length is read before a server is picked; a longer or chunked "
        "one is passed on as it comes. `0B`: each is.",
    )
    response: BufferSize = Field(
        default=256 * 1024,
        description="So much of a response is read from the server while its client does not take what came before. "
        "What comes is passed on at once all the same. `0B`: nothing is read ahead.",
    )


class Server(Section):
    """One server of a backend; a plain text is the same as its ``address``."""

    short_form: ClassVar[str | None] = "address"

    address: ServerAddress = Field(
        description="`http://host:port`, `//host:port`, `host:port`, `host` (port 80), `[::1]:port`, `unix:/path`, "
        "`srv:_http._tcp.example.com` for the servers that DNS lists, or, for servers that speak TLS, "
        "`https://host:port` (port 443 where there is none).",
        examples=["http://192.168.0.103:8081"],
    )
    weight: Weight = Field(
        default=1,
        description="How much of the requests it gets, as against the other servers: 0 to 256. With `0` it gets none "
        "but those of clients that stick to it.",
    )
    backup: Switch = Field(
        default=False, description="Whether it is used only when none of the others can be, or fewer than `panic` says."
    )
    max_connections: CountOrUnlimited = Field(
        default=None,
        description="The most requests that it is given at a time, by all workers together; more wait in the queue.",
        examples=["100"],
    )

    @model_validator(mode="before")
    @classmethod
    def _plain_text_is_the_address(cls, data: Any) -> Any:
        return {cls.short_form: data} if isinstance(data, (str, Address)) else data


class Queue(Section):
    """Where requests wait while every server has as many as it may have."""

    size: QueueSize = Field(
        default=1000, description="The most requests that wait at a time, over all workers; more are answered 503."
    )
    timeout: Timeout = Field(default=5.0, description="The longest that a request waits (else 503).")


class Sticky(Section):
    """Clients that come back to the server they had, by a signed cookie."""

    cookie: CookieName = Field(default="l7", description="The name of the cookie.")
    secret: Secret = Field(
        default=None,
        description="What the cookie is signed with. Without one l7 makes its own, and cookies end with that l7.",
        examples=["'a long and random text'"],
    )
    max_age: CookieAge = Field(
        default=None,
        description="How long a client keeps the cookie; `session` is until it is closed.",
        examples=["1h"],
    )
    secure: Switch = Field(default=False, description="Whether clients send the cookie over HTTPS only.")


class Health(Section):
    """Checks of each server, made once per machine; without a `path` a connection that stands is enough."""

    path: CheckPath = Field(
        default=None,
        description="The target of an HTTP request; without one the check is a TCP connection.",
        examples=["/healthz"],
    )
    host: CheckHost = Field(
        default=None,
        description="The `Host` of the request; without one it is the server's address.",
        examples=["example.com"],
    )
    method: Annotated[Literal["GET", "HEAD", "OPTIONS"], Form("name")] = Field(
        default="GET", description="The method of the request."
    )
    expect: Statuses = Field(
        default=((200, 399),), description="The statuses of a healthy server, as in `200-399` or `200,204`."
    )
    body: CheckBody = Field(
        default=None, description="A text that the response's body has to contain.", examples=['\'"status": "ok"\'']
    )
    interval: Period = Field(default=2.0, description="The time between two checks of a server.")
    timeout: Period = Field(default=1.0, description="A check that takes longer has failed.")
    rise: Count = Field(default=2, description="After so many good checks in a row a server is up.")
    fall: Count = Field(default=3, description="After so many failed checks in a row a server is down.")
    start: Annotated[Literal["up", "down"], Form("name")] = Field(
        default="up", description="What a server is before its first check: `up` or `down`."
    )

    @model_validator(mode="after")
    def _fits_together(self) -> Health:
        if self.path is None:
            for name in ("host", "body", "method", "expect"):
                if getattr(self, name) != type(self).model_fields[name].default:
                    raise ValueError(f"{name} needs a path: without one the check is a TCP connection")
        if self.method == "HEAD" and self.body is not None:
            raise ValueError("a response to HEAD has no body; write method: GET")
        return self


class Ejection(Section):
    """Servers that fail the requests they get are left alone for a while; the last one never is."""

    failures: Count = Field(
        default=3, description="After so many failures in a row, over all workers, a server is ejected."
    )
    rate: Share = Field(
        default=0.5, description="A server that fails this share of its requests within the window is ejected, too."
    )
    window: Period = Field(default=10.0, description="The time over which the share of failures is taken.")
    time: Period = Field(
        default=2.0, description="How long a server is left alone the first time; twice as long each time after."
    )
    max_time: Period = Field(default=60.0, description="The longest that a server is left alone.")

    @model_validator(mode="after")
    def _grows(self) -> Ejection:
        if self.max_time < self.time:
            raise ValueError("max-time is shorter than time")
        return self


def form_of(name: str) -> Form:
    """The form of a section that may be ``off``."""
    return Form(f"{name} or `off`", own.show_unless_off)


class LoadBalancing(Section):
    """The servers of a backend and how they are used."""

    balance: Annotated[Literal["round-robin", "least-requests", "two-choices", "hash", "first"], Form("name")] = Field(
        default="round-robin",
        description="How a server is chosen for a request: `round-robin` takes one after the other, "
        "`least-requests` the one with the fewest requests in flight, `two-choices` the less busy of two drawn by "
        "lot, `hash` always the same one for the same `hash-key`, `first` the first one that may have another request.",
    )
    hash_key: HashKey = Field(
        default="client",
        description="What `balance: hash` goes by: the client's address, the target of the request, a header or a "
        "cookie; a request without that header or cookie goes by its client.",
        examples=["cookie:session"],
    )
    servers: tuple[Server, ...] = Field(
        default=(),
        description="The servers; with an empty list every request is answered 503.",
        examples=["[127.0.0.1:8081, {address: 'unix:/run/app.sock', backup: true}]"],
    )
    tls: ServerTls = Field(
        default=ServerTls.model_construct(),
        description="TLS with the servers whose address begins with `https://`.",
        examples=["{ca: /etc/l7/internal-ca.pem, server-name: app.internal}"],
    )
    max_connections: CountOrUnlimited = Field(
        default=None,
        description="The most requests that all servers of the backend together are given at a time; more wait.",
        examples=["1000"],
    )
    queue: Queue = Field(default=Queue.model_construct(), description="Where requests wait for a server.")
    sticky: Annotated[Sticky | None, BeforeValidator(own.unless_off), form_of("section")] = Field(
        default=None, description="Clients that come back to the server they had.", examples=["{cookie: l7}"]
    )
    health: Annotated[Health | None, BeforeValidator(own.unless_off), form_of("section")] = Field(
        default=None, description="Checks of the servers.", examples=["{path: /healthz}"]
    )
    ejection: Annotated[Ejection | None, BeforeValidator(own.unless_off), form_of("section")] = Field(
        default=Ejection.model_construct(),
        description="Servers that fail are left alone for a while.",
        examples=["off"],
    )
    slow_start: Duration = Field(
        default=0.0,
        description="A server that comes back gets its full share only after this time, and until then less.",
    )
    panic: Share = Field(
        default=0.25,
        description="When less than this share of the servers can be used, backups are used, too; when that is not "
        "enough, all servers are, whatever is known of them; `0%`: never.",
    )
    buffer: Annotated[Buffer | None, BeforeValidator(own.unless_off), form_of("section")] = Field(
        default=Buffer.model_construct(),
        description="What is read ahead of a slow client, so that it does not hold a server.",
        examples=["off"],
    )
    retries: Retries = Field(
        default=2,
        description="How often a request that a server did not get is tried on another one; a refused connection "
        "does not count.",
    )
    retry_for: Duration = Field(
        default=2.0,
        description="How long a request of which nothing was sent waits for a server that takes connections, when all "
        "of them have refused it; `0s`: not at all.",
    )
    retry_budget: Share = Field(
        default=0.2,
        description="The most retries, as a share of the requests of the last 10 seconds; 100 in that time are always "
        "allowed, and those after a refused connection do not count.",
    )
    timeouts: BackendTimeouts = Field(
        default=BackendTimeouts.model_construct(), description="How long l7 waits for a server."
    )

    @model_validator(mode="after")
    def _hash_key_is_used(self) -> LoadBalancing:
        if self.hash_key != "client" and self.balance != "hash":
            raise ValueError("hash-key needs balance: hash")
        return self


def merged(servers: Iterable[Server]) -> dict[str, Server]:
    """Servers by address; one that is written twice is one with the weight of both."""
    found: dict[str, Server] = {}
    for server in servers:
        label = str(server.address)
        before = found.get(label)
        found[label] = server if before is None else server.model_copy(update={"weight": server.weight + before.weight})
    return found
