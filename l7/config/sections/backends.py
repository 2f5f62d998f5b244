"""The part of the schema below ``backends``: what serves a route, and the rules for its requests and answers."""

from __future__ import annotations

from typing import Annotated, ClassVar

from l7.config.model import BeforeValidator, Field, model_validator
from l7.config.section import Switch
from l7.config.sections.headers import RequestHeaders, ResponseHeaders, SentHost
from l7.config.sections.load_balancing import (
    BackendTimeouts,
    Buffer,
    Ejection,
    Health,
    LoadBalancing,
    Queue,
    Server,
    Sticky,
    form_of,
    merged,
)
from l7.config.sections.rules import (
    ALLOW,
    COMPRESS,
    DENY,
    ERROR_PAGES,
    RESPONSE_HEADERS,
    Codings,
    ErrorStatus,
    Networks,
    PagePath,
    RateLimit,
    Redirect,
    Respond,
    RouteLimits,
    RouteUsers,
)
from l7.config.values import answers
from l7.config.values import backend as own

__all__ = [
    "Backend",
    "BackendDefaults",
    "BackendTimeouts",
    "Buffer",
    "Ejection",
    "Health",
    "Queue",
    "Server",
    "Sticky",
    "merged",
]


class Backend(LoadBalancing):
    """What serves a route: servers, or an answer of l7's own; and the rules for its requests and answers."""

    one_of: ClassVar[tuple[str, ...]] = ("servers", "redirect", "respond")

    redirect: Annotated[Redirect | None, BeforeValidator(answers.redirect), form_of("URL or section")] = Field(
        default=None,
        description="Where every request is sent, instead of to servers.",
        examples=["https://example.com{target}"],
    )
    respond: Annotated[Respond | None, BeforeValidator(own.unless_off), form_of("section")] = Field(
        default=None,
        description="The answer to every request, instead of servers.",
        examples=["{status: 200, body: 'User-agent: *'}"],
    )
    strip_prefix: Switch = Field(
        default=False,
        description="Whether the path of the route is taken away from what goes to the servers: with `example.com/api` "
        "they get `/x` for `/api/x`, and `X-Forwarded-Prefix: /api`; what they say of where they are gets it back.",
    )
    host: SentHost = Field(
        default="client",
        description="The `Host` that servers get: the `client`'s, the address of the `server`, or this name.",
        examples=["app.internal"],
    )
    request_headers: RequestHeaders = Field(
        default=RequestHeaders.model_construct(),
        description="Changes of the header fields of requests before they go to a server.",
        examples=["{set: {X-Env: prod}, remove: [Cookie]}"],
    )
    response_headers: ResponseHeaders = RESPONSE_HEADERS
    users: RouteUsers = Field(
        default=None,
        description="The logins for this route, instead of the general ones; `off`: none is asked for. Inherited as "
        "`allow` is.",
        examples=["{ops: '$2b$12$...'}"],
    )
    allow: Networks = ALLOW
    deny: Networks = DENY
    rate_limit: Annotated[RateLimit | None, BeforeValidator(own.unless_off), form_of("section")] = Field(
        default=None,
        description="How many requests are let in; others are answered 429.",
        examples=["{requests: 100, per: 1s, burst: 50}"],
    )
    limits: RouteLimits = Field(
        default=RouteLimits.model_construct(), description="How much is taken of one client on this route."
    )
    compress: Codings = COMPRESS
    error_pages: dict[ErrorStatus, PagePath] = ERROR_PAGES

    @model_validator(mode="after")
    def _serves_somehow(self) -> Backend:
        """Refuse what has no way to serve, or more than one."""
        if not self.one_of:
            return self
        ways = [name for name in self.one_of if getattr(self, name)]
        if len(ways) > 1:
            raise ValueError(f"{' and '.join(ways)} exclude each other: leave all but one of them out")
        if not ways and "servers" not in self.model_fields_set:
            raise ValueError("servers are missing; write some, or redirect, or respond")
        return self


class BackendDefaults(Backend):
    """What backends have that do not say otherwise: all that stands below one, but what serves it."""

    one_of: ClassVar[tuple[str, ...]] = ()
    servers: ClassVar[tuple[Server, ...]] = ()  # type: ignore[misc]
    redirect: ClassVar[None] = None  # type: ignore[misc]
    respond: ClassVar[None] = None  # type: ignore[misc]
    # What a route has of its host, and else of the top: a default would be its own, and open what its host closes.
    users: ClassVar[None] = None  # type: ignore[misc]
    allow: ClassVar[None] = None  # type: ignore[misc]
    deny: ClassVar[None] = None  # type: ignore[misc]
    compress: ClassVar[None] = None  # type: ignore[misc]
