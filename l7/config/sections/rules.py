"""What stands below a backend, or at the top for all, about requests and answers themselves: the rules.

What each does is in `l7.rules`, and which of them hold for a route in `l7.rules.inheritance`.
"""

from __future__ import annotations

from ipaddress import IPv4Network, IPv6Network
from typing import Annotated, Any, ClassVar, Literal

from l7.config.model import AfterValidator, BeforeValidator, Field, SecretStr, model_validator
from l7.config.section import Count, Period, Section
from l7.config.sections.headers import ResponseHeaders
from l7.config.values import answers, jsontypes, rules, scalars
from l7.config.values.scalars import Form

ClientNetwork = Annotated[
    IPv4Network | IPv6Network | Literal["unix:"],
    BeforeValidator(scalars.trusted_proxy),
    Form("network or `unix:`", str, jsontypes.NETWORK),
]
Networks = Annotated[
    tuple[ClientNetwork, ...] | None,
    BeforeValidator(rules.list_or_off),
    Form("list of networks, `off` or `inherit`", rules.show_list, jsontypes.NETWORKS),
]
Login = Annotated[str, AfterValidator(scalars.login), Form("login", schema=jsontypes.LOGIN)]
Password = Annotated[
    SecretStr, BeforeValidator(scalars.password), Form("password", scalars.show_secret, jsontypes.PASSWORD)
]
RouteUsers = Annotated[
    dict[Login, Password] | None,
    BeforeValidator(rules.users),
    Form("mapping of logins to passwords, `off` or `inherit`", rules.show_users, jsontypes.ROUTE_USERS),
]
RateKey = Annotated[
    str, BeforeValidator(rules.rate_key), Form("`client`, `header:NAME` or `all`", schema=jsontypes.RATE_KEY)
]
Burst = Annotated[
    int, BeforeValidator(scalars.whole(0, 1_000_000)), Form("number", schema=jsontypes.whole(0, 1_000_000))
]
Coding = Literal["zstd", "br", "gzip"]
Codings = Annotated[
    tuple[Coding, ...] | None,
    BeforeValidator(rules.codings),
    Form("list of `zstd`, `br`, `gzip`; or `true`, `off` or `inherit`", rules.show_list, jsontypes.CODINGS),
]
UrlTemplate = Annotated[str, BeforeValidator(answers.url_template), Form("URL", schema=jsontypes.REDIRECT_URL)]
MediaType = Annotated[str, BeforeValidator(answers.media_type), Form("media type", schema=jsontypes.MEDIA_TYPE)]
Body = Annotated[str, BeforeValidator(answers.body), Form("text", schema=jsontypes.ANY_TEXT)]
FinalStatus = Annotated[int, BeforeValidator(scalars.whole(200, 599)), Form("status", schema=jsontypes.whole(200, 599))]
RedirectStatus = Annotated[
    int, BeforeValidator(answers.redirect_status), Form("status", schema=jsontypes.REDIRECT_STATUS)
]
ErrorStatus = Annotated[
    str, BeforeValidator(answers.error_status), Form("status or range", schema=jsontypes.ERROR_STATUS)
]
PagePath = Annotated[str, BeforeValidator(answers.page_path), Form("path", schema=jsontypes.PAGE_PATH)]


class RateLimit(Section):
    """How many requests are let in; others are answered 429."""

    requests: Count = Field(description="So many requests are let in each `per`, evenly.", examples=["100"])
    per: Period = Field(default=1.0, description="The time in which `requests` are let in.")
    burst: Burst = Field(
        default=0,
        description="So many more are let in at once of who has sent none for a while: `requests` + `burst` together.",
    )
    by: RateKey = Field(
        default="client",
        description="Who has a limit of his own: each `client`, by its address (an IPv6 client is its /64), each value "
        "of a header (without it: its client), or `all` together.",
        examples=["header:X-Api-Key"],
    )


class Redirect(Section):
    """Where requests are sent; a plain text is the same as `to`."""

    short_form: ClassVar[str | None] = "to"

    to: UrlTemplate = Field(
        description="The URL, with variables as in `https://example.com{target}`.",
        examples=["https://example.com{target}"],
    )
    status: RedirectStatus = Field(
        default=308,
        description="`301`, `302`, `303`, `307` or `308`; with `307` and `308` method and body stay the same.",
    )


class Respond(Section):
    """The answer to every request."""

    status: FinalStatus = Field(default=200, description="The status.")
    type: MediaType = Field(default="text/plain; charset=utf-8", description="The media type of the body.")
    body: Body = Field(
        default="",
        description="The body, which may have variables; in one of type `text/html` their values are escaped.",
        examples=["'User-agent: *'"],
    )

    @model_validator(mode="after")
    def _goes_together(self) -> Respond:
        answers.check_answer(self.status, self.body)
        return self


INHERITED = -1
"""A bound that is the general one."""
RouteBodySize = Annotated[
    int | None,
    BeforeValidator(rules.body_size),
    Form("size, `unlimited` or `inherit`", rules.show_body_size, jsontypes.ROUTE_SIZE),
]


class RouteLimits(Section):
    """How much is taken of one client on this route."""

    body: RouteBodySize = Field(
        default=INHERITED,
        description="The most bytes a request's body may have (else 413), instead of the general `limits.body`.",
        examples=["10MB"],
    )


# What may stand at the top, for everything, as well as below a backend: written once.

ALLOW = Field(
    default=None,
    description="The networks whose clients are let in; others get 403. `off`: all are. Without a word of its own "
    "a route has what its host has (or the path above it), and else what stands at the top: `inherit`.",
    examples=["[10.0.0.0/8, '::1']"],
)
DENY = Field(
    default=None,
    description="The networks whose clients get 403; goes before `allow`. Inherited as `allow` is.",
    examples=["[10.6.6.6]"],
)
RESPONSE_HEADERS = Field(
    default=ResponseHeaders.model_construct(),
    description="Changes of the header fields of answers, those of l7's own among them. What stands below a "
    "backend is taken together with what stands at the top, field by field: the backend's wins.",
    examples=["{set: {X-Frame-Options: DENY}, remove: [Server]}"],
)
COMPRESS = Field(
    default=None,
    description="The codings that text-like answers are compressed with, where the client takes one, in the order "
    "in which they are preferred; `true` is all that are installed of `zstd`, `br` and `gzip`. Inherited as "
    "`allow` is; by default off.",
    examples=["[zstd, br, gzip]"],
)
ERROR_PAGES: Any = Field(
    default={},
    description="The files that are shown instead of l7's own words, by status (`502`) or range (`5xx`). Those of a "
    "backend go before those at the top.",
    examples=["{502: /etc/l7/502.html, 5xx: /etc/l7/5xx.html}"],
)
