"""The one schema: every setting, its type, its default and its words stand here and nowhere else.

What stands below a backend is in `l7.config.sections.backends`.

Flags, environment variables, the YAML loader, ``l7 check``, the dump and the settings page of the documentation are
derived from these models. All of them are frozen: a configuration never changes, a new generation has a new one.
Durations are floats in seconds, sizes integers in bytes; ``None`` stands for "no limit" or "not set".
"""

from __future__ import annotations

from ipaddress import IPv4Network, IPv6Network
from typing import Annotated, Any, Literal

from l7.config.model import (
    AfterValidator,
    BeforeValidator,
    Field,
    model_validator,
)
from l7.config.section import Duration, Section, Switch, Timeout
from l7.config.sections.admin import AdminOrOff
from l7.config.sections.backends import Backend, BackendDefaults, BackendTimeouts, Buffer, Server
from l7.config.sections.clients import Limits, Timeouts
from l7.config.sections.headers import ResponseHeaders
from l7.config.sections.listeners import ListenerConfig, ListenerTls, for_challenges, short_form
from l7.config.sections.recorder import RecorderOrOff, RecorderSettings
from l7.config.sections.resolver import Resolver
from l7.config.sections.rules import (
    ALLOW,
    COMPRESS,
    DENY,
    ERROR_PAGES,
    RESPONSE_HEADERS,
    Codings,
    ErrorStatus,
    Login,
    Networks,
    PagePath,
    Password,
)
from l7.config.sections.tls import Tls
from l7.config.sections.tracing import TracingOrOff
from l7.config.values import jsontypes, scalars
from l7.config.values.addresses import Address
from l7.config.values.routekeys import normal_route_key
from l7.config.values.scalars import Flag, Form

__all__ = [
    "Backend",
    "BackendDefaults",
    "BackendTimeouts",
    "Buffer",
    "Config",
    "Limits",
    "ListenerConfig",
    "Resolver",
    "Section",
    "Server",
    "Timeouts",
]

Port = Annotated[int, BeforeValidator(scalars.whole(0, 65535)), Form("port", schema=jsontypes.whole(0, 65535))]
Heartbeat = Annotated[
    float, BeforeValidator(scalars.duration(1)), Form("duration", scalars.show_duration, jsontypes.duration(1))
]
Workers = Annotated[
    int | Literal["auto"],
    BeforeValidator(scalars.workers),
    Form("number or `auto`", schema=jsontypes.whole(1, 1024)),
]
Bind = Annotated[
    tuple[str, ...],
    BeforeValidator(scalars.bind),
    Form("address or list of addresses", scalars.show_bind, jsontypes.BIND),
]
RunAs = Annotated[str | None, BeforeValidator(scalars.run_as), Form("USER[:GROUP]", schema=jsontypes.ACCOUNT)]
LogPath = Annotated[str, BeforeValidator(scalars.path), Form("path", schema=jsontypes.PATH)]
PidPath = Annotated[str | None, BeforeValidator(scalars.optional_path), Form("path", schema=jsontypes.PATH)]
Control = Annotated[str, BeforeValidator(scalars.control), Form("path, `auto` or `off`", schema=jsontypes.PATH)]
TrustedProxy = Annotated[
    IPv4Network | IPv6Network | Literal["unix:"],
    BeforeValidator(scalars.trusted_proxy),
    Form("network or `unix:`", str, jsontypes.NETWORK),
]
RouteKey = Annotated[str, AfterValidator(normal_route_key), Form("route", schema=jsontypes.ROUTE)]


TLS_PORT = 443
"""The port where TLS is spoken on the one port."""


class Config(Section):
    """Everything l7 can be told."""

    port: Annotated[Port, Flag("-p", "--port", metavar="PORT")] = Field(
        default=80, description="The port to listen on; `0` takes any free one.", examples=["8080"]
    )
    bind: Annotated[Bind, Flag("--bind", metavar="ADDRESS", repeat=True)] = Field(
        default=("*",),
        description="The address to listen on, or a list of them: `*` (IPv4 and IPv6), an IP address or `unix:/path`.",
        examples=["[127.0.0.1, '::1', 'unix:/run/l7.sock']"],
    )
    listeners: tuple[ListenerConfig, ...] = Field(
        default=(),
        description="What to listen on, where one address is not enough or TLS, a redirect to https or the PROXY "
        "protocol is wanted; `port` and `bind` are the short form of it, and cannot stand beside it.",
        examples=["['*:80', '127.0.0.1:8080']"],
    )
    users: Annotated[dict[Login, Password], Flag("--user", metavar="LOGIN:PASSWORD", repeat=True)] = Field(
        default={},
        description="The logins, one of which every request must carry (HTTP basic auth); without any, none is asked "
        "for. A password may hold `:` and may be a bcrypt hash (`$2b$...`).",
        examples=["{admin: '$2b$12$...', someone: 'mypasswd'}"],
    )
    authorization: Annotated[Literal["pass", "strip"], Form("name"), Flag("--authorization", metavar="WHAT")] = Field(
        default="pass",
        description="What becomes of `Authorization` where `users` are checked: `pass` sends it on to the servers, "
        "`strip` does not, and tells them the login in `X-Forwarded-User`, which no client can say itself.",
        examples=["strip"],
    )
    workers: Annotated[Workers, Flag("-w", "--workers", metavar="N")] = Field(
        default="auto",
        description="How many worker processes; `auto` is one for each CPU that this process may use (affinity, cgroup "
        "quota).",
        examples=["4"],
    )
    run_as: Annotated[RunAs, Flag("--run-as", metavar="USER[:GROUP]")] = Field(
        default=None,
        description="Whom to become after binding; `nobody` when started as root, else unchanged.",
        examples=["www-data:www-data"],
    )
    privileged_opener: Annotated[Literal["on", "off"], Form("name"), Flag("--privileged-opener", metavar="ON")] = Field(
        default="on",
        description="Whether, where l7 is started as root and becomes another account, one small process stays root "
        "and opens the configuration file, the access log and privileged ports at a reload.",
    )
    access_log: Annotated[LogPath, Flag("--access-log", metavar="FILE")] = Field(
        default="-",
        description="The file to write the access log to; `-` is standard output, `off` writes none.",
        examples=["/var/log/l7/access.log"],
    )
    access_log_format: Annotated[
        Literal["l7", "combined", "json"], Form("name"), Flag("--access-log-format", metavar="FORMAT")
    ] = Field(default="l7", description="The form of the access log: `l7`, `combined` (as nginx writes it) or `json`.")
    log_level: Annotated[
        Literal["debug", "info", "warning", "error"], Form("name"), Flag("--log-level", metavar="LEVEL")
    ] = Field(
        default="info",
        description="Which events go to standard error: `debug`, `info`, `warning` or `error` and above.",
    )
    pid_file: Annotated[PidPath, Flag("--pid-file", metavar="FILE")] = Field(
        default=None, description="The file to write the master's process id to.", examples=["/run/l7.pid"]
    )
    control: Annotated[Control, Flag("--control", metavar="PATH")] = Field(
        default="auto",
        description="The socket that `l7 reload` and `l7 status` talk to; `auto` is beside the pid file, or else in "
        "the runtime directory; `off` makes none.",
        examples=["/run/l7.control"],
    )
    admin: AdminOrOff = Field(
        default=None,
        description="The address where l7 serves figures for monitoring, and a page that shows what it does; an "
        "address alone is the short form of it, and `off` is none.",
        examples=["127.0.0.1:9180"],
    )
    preflight: Annotated[Duration, Flag("--preflight", metavar="TIME")] = Field(
        default=2.0,
        description="How long the first new worker of a reload may take, before it serves, to connect to the servers "
        "of backends that are new or have other servers; one that has a server now, and would have none that can be "
        "reached, refuses the reload. `0s` does not look.",
    )
    canary_time: Annotated[Duration, Flag("--canary-time", metavar="TIME")] = Field(
        default=1.0,
        description="How long the first new worker of a reload is watched before the others follow; one that fails, "
        "hangs or answers with more errors than the old ones brings the old configuration back.",
    )
    graceful_timeout: Annotated[Duration, Flag("--graceful-timeout", metavar="TIME")] = Field(
        default=8.0, description="How long requests in flight may take to finish after TERM (graceful stop)."
    )
    drain_timeout: Annotated[Duration, Flag("--drain-timeout", metavar="TIME")] = Field(
        default=300.0, description="How long an old worker may take to finish its requests after a reload."
    )
    worker_timeout: Annotated[Heartbeat, Flag("--worker-timeout", metavar="TIME")] = Field(
        default=30.0, description="A worker without a heartbeat for this long is replaced."
    )
    block_warning: Annotated[Timeout, Flag("--block-warning", metavar="TIME")] = Field(
        default=1.0, description="A worker that is blocked for this long logs where it is stuck."
    )
    trusted_proxies: tuple[TrustedProxy, ...] = Field(
        default=(),
        description="The networks whose `X-Forwarded-*`, `Forwarded`, `X-Real-IP` and `X-Request-ID` are believed; "
        "`unix:`, in quotes, is whoever comes by a unix socket.",
        examples=["[10.0.0.0/8, '::1', 'unix:']"],
    )
    allow: Networks = ALLOW
    deny: Networks = DENY
    response_headers: ResponseHeaders = RESPONSE_HEADERS
    compress: Codings = COMPRESS
    error_pages: dict[ErrorStatus, PagePath] = ERROR_PAGES
    via: Annotated[Switch, Flag("--via", metavar="ON")] = Field(
        default=True,
        description="Whether `Via: 1.1 l7` is added to requests, as RFC 9110 asks of a proxy. An nginx behind l7 "
        "compresses nothing for requests that have it (`gzip_proxied`); with `false` it does, and requests that go "
        "round in circles through l7 are not noticed.",
        examples=["false"],
    )
    limits: Limits = Field(
        default=Limits.model_construct(),
        description="How much is taken of one client, and of the head of a server's response.",
    )
    timeouts: Timeouts = Field(default=Timeouts.model_construct(), description="How long l7 waits for a client.")
    tls: Tls = Field(
        default=Tls.model_construct(),
        description="TLS towards clients: certificates, and what listeners with TLS have that do not say otherwise.",
    )
    tracing: TracingOrOff = Field(
        default=None,
        description="Traces of requests (W3C Trace Context), told to a collector of OpenTelemetry; `off` traces none.",
        examples=["{otlp: 'http://127.0.0.1:4318', sample: 1%}"],
    )
    resolver: Resolver = Field(
        default=Resolver.model_construct(), description="How the names of servers are looked up."
    )
    recorder: RecorderOrOff = Field(
        default=RecorderSettings.model_construct(),
        description="What is kept of the last requests, for `l7 why` and `l7 tail`; `off` keeps nothing.",
        examples=["off"],
    )
    defaults: BackendDefaults = Field(
        default=BackendDefaults.model_construct(),
        description="What all backends have that do not say otherwise: anything that may stand below a backend, but "
        "`servers`. A backend's own setting wins; sections are taken together key by key, and a section that a backend "
        "turns `off` is off.",
        examples=["{retries: 1, health: {path: /healthz}, timeouts: {connect: 1s}}"],
    )
    backends: dict[RouteKey, Backend] = Field(
        default={},
        description="The servers by host: a host, `*.example.com` or `*`, each with an optional path prefix, as in "
        "`example.com/api`. Several with commas between (`example.com, www.example.com`) are one backend: its servers "
        "are checked once, and share one load, one queue and one row of figures, under that name.",
        examples=["{example.com: {servers: [127.0.0.1:8081, 127.0.0.1:8082]}}"],
    )

    @model_validator(mode="before")
    @classmethod
    def _port_of_tls(cls, data: Any) -> Any:
        """The port is 443 where TLS is spoken on the one port, and nobody says which one that is."""
        if isinstance(data, dict) and not data.get("listeners") and "port" not in data and _has_certificates(data):
            return {**data, "port": TLS_PORT}
        return data

    def tls_of(self, listener: ListenerConfig) -> ListenerTls | None:
        """What TLS is on a listener, with what it has of the general section; None where it is not spoken."""
        own = listener.tls
        if own is None:
            return None
        general = self.tls
        return ListenerTls.model_construct(
            min_version=own.min_version or general.min_version,
            client_auth=own.client_auth or general.client_auth,
            client_ca=own.client_ca or general.client_ca,
        )

    @property
    def admin_address(self) -> Address | None:
        """Where the admin endpoint is; None where there is none."""
        return None if self.admin is None else self.admin.address

    @property
    def listened_on(self) -> tuple[ListenerConfig, ...]:
        """The listeners, whichever form they are written in."""
        if self.listeners:
            return self.listeners
        own = short_form(self.bind, self.port, tls=self.tls.has_certificates)
        return own if self.tls.acme is None else (*own, *for_challenges(self.bind))


def _has_certificates(data: dict[Any, Any]) -> bool:
    tls = data.get("tls")
    if isinstance(tls, dict):
        return bool(tls.get("certificates") or tls.get("acme", "off") not in (None, "off"))
    return isinstance(tls, Tls) and tls.has_certificates
