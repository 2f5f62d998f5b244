"""The part of the schema below `listeners`: what is listened on. `port` and `bind` are its short form.

A listener is this one object from the file to the worker that accepts on its socket.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from ipaddress import IPv4Network, IPv6Network
from typing import Annotated, Any, ClassVar, Literal

from l7.config.model import BeforeValidator, Field, model_validator
from l7.config.section import Section
from l7.config.values import jsontypes, scalars
from l7.config.values import listener as own
from l7.config.values.addresses import Address
from l7.config.values.scalars import Form
from l7.config.values.wildcards import collision
from l7.networks import host_port
from l7.units import quoted

ListenAddress = Annotated[Address, BeforeValidator(own.listen_address), Form("address", str, jsontypes.LISTEN)]
RedirectToHttps = Annotated[
    int | None,
    BeforeValidator(own.redirect_to_https),
    Form("`true`, `false` or a port", own.show_redirect, jsontypes.REDIRECT_TO_HTTPS),
]
CaPath = Annotated[str | None, BeforeValidator(scalars.optional_path), Form("path", schema=jsontypes.PATH)]
Sender = Annotated[
    IPv4Network | IPv6Network | Literal["unix:"],
    BeforeValidator(scalars.trusted_proxy),
    Form("network or `unix:`", str, jsontypes.NETWORK),
]
TlsVersion = Annotated[Literal["1.2", "1.3"] | None, Form("version", schema=jsontypes.TLS_VERSION)]

SHORT_FORM = ("port", "bind")
"""What cannot stand beside `listeners`."""


class ListenerTls(Section):
    """What TLS is on one listener; `true` is this section with nothing set."""

    switch: ClassVar[bool] = True

    min_version: TlsVersion = Field(
        default=None, description="The lowest version of TLS that is spoken there: `1.2` or `1.3`.", examples=["'1.3'"]
    )
    client_auth: Annotated[Literal["off", "request", "require"] | None, Form("name")] = Field(
        default=None,
        description="Whether clients have to show a certificate there: `off`, `request` or `require`, as in `tls`.",
        examples=["require"],
    )
    client_ca: CaPath = Field(
        default=None,
        description="The file with the authorities whose client certificates are valid there, as PEM.",
        examples=["/etc/l7/clients.pem"],
    )


class ListenerConfig(Section):
    """One listener: where it is, and what clients do there; a plain text is the same as its ``address``."""

    short_form: ClassVar[str | None] = "address"

    address: ListenAddress = Field(
        description="`*:PORT` (IPv4 and IPv6), an IP address with its port, as in `10.0.0.5:8443` or `[::1]:80`, or "
        "`unix:/path`; port `0` takes any free one.",
        examples=["'*:80'"],
    )
    tls: Annotated[ListenerTls | None, BeforeValidator(own.tls), Form("`true`, `false` or a section", own.show_tls)] = (
        Field(
            default=None,
            description="Whether TLS is spoken there: `true`, or a section with what is particular to this listener.",
            examples=["true"],
        )
    )
    redirect_to_https: RedirectToHttps = Field(
        default=None,
        description="Whether requests for hosts that are served get a redirect (308) to the same place on https: "
        "`true` leads to the port of the first listener with TLS, a port to that one.",
        examples=["true"],
    )
    proxy_protocol: tuple[Sender, ...] = Field(
        default=(),
        description="The networks from which each connection begins with a PROXY protocol header (version 1 or 2), "
        "as load balancers write it: it says who the client is. Connections from elsewhere are closed. `unix:`, in "
        "quotes, is whoever comes by a unix socket.",
        examples=["[10.0.0.0/8]"],
    )

    @model_validator(mode="before")
    @classmethod
    def _plain_text_is_the_address(cls, data: Any) -> Any:
        return {cls.short_form: data} if isinstance(data, (str, Address)) else data

    @model_validator(mode="after")
    def _redirects_elsewhere(self) -> ListenerConfig:
        if self.redirect_to_https is None:
            return self
        if self.tls is not None:
            raise ValueError("redirect-to-https is for a listener without tls: this one is https already")
        if self.redirect_to_https == self.address.port != own.FIRST_TLS_PORT:
            raise ValueError(f"redirect-to-https: {self.redirect_to_https} leads to this listener itself")
        return self

    @property
    def scheme(self) -> bytes:
        """What clients speak there, as X-Forwarded-Proto says it."""
        return b"http" if self.tls is None else b"https"


CHALLENGE_PORT = 80
"""Where an authority asks (RFC 8555, 8.3)."""
HANDED_DOWN = ListenerConfig.model_construct(address=Address("", 0))
"""A socket that was bound by somebody else, as systemd does: it knows best where it is."""


def short_form(bind: tuple[str, ...], port: int, *, tls: bool = False) -> tuple[ListenerConfig, ...]:
    """The listeners that `bind` and `port` stand for, in their order; ``tls``: all of them speak it."""
    own = ListenerTls.model_construct() if tls else None
    addresses = (
        Address("", 0, one.removeprefix("unix:")) if one.startswith("unix:") else Address(one, port) for one in bind
    )
    return tuple(ListenerConfig.model_construct(address=one, tls=own) for one in addresses)


def for_challenges(bind: tuple[str, ...]) -> tuple[ListenerConfig, ...]:
    """The listeners that the short form has beside with ACME: where its challenges come, and what leads to https."""
    return tuple(
        ListenerConfig.model_construct(address=Address(one, CHALLENGE_PORT), redirect_to_https=own.FIRST_TLS_PORT)
        for one in bind
        if not one.startswith("unix:")
    )


def by_port(addresses: Iterable[Address]) -> dict[int, tuple[str, ...]]:
    """The hosts that are listened on by their port; unix sockets have none."""
    found: dict[int, tuple[str, ...]] = {}
    for one in addresses:
        if one.path is None:
            found[one.port] = (*found.get(one.port, ()), one.host)
    return found


def conflicts(listeners: tuple[ListenerConfig, ...]) -> Iterator[tuple[int, str, str]]:
    """Yield what listeners are wrong together: the index of one, its setting, and what is wrong."""
    seen: list[Address] = []
    for index, one in enumerate(listeners):
        address = one.address
        if address in seen:
            yield index, "address", f"{quoted(str(address))} is given twice"
        elif both := collision(by_port([*seen, address]).get(address.port, ())):
            names = [quoted(host_port(host, address.port)) for host in both]
            yield index, "address", f"{names[0]} and {names[1]} are one in the other; leave one of them out"
        seen.append(address)
        if one.redirect_to_https == own.FIRST_TLS_PORT and not any(other.tls for other in listeners):
            yield index, "redirect-to-https", "no listener has tls; write the port of https that clients shall go to"
