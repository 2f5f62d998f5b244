"""What stands below ``admin``: where l7 tells of itself, and whom it tells more than figures."""

from __future__ import annotations

import ipaddress
from typing import Annotated, Any, ClassVar

from l7.config.model import BeforeValidator, Field, model_validator
from l7.config.section import Section
from l7.config.sections.rules import Login, Password
from l7.config.values import jsontypes, scalars
from l7.config.values.addresses import Address, check_host
from l7.config.values.scalars import Flag, Form, text_of
from l7.networks import normal_host
from l7.units import quoted

_NAME = "write a name alone, as in l7.example.com"

AdminAddress = Annotated[Address, BeforeValidator(scalars.admin_address), Form("address", str, jsontypes.ADMIN)]


def _host(value: Any) -> str:
    """Parse a host name; returns it in its one form."""
    text = text_of(value, _NAME)
    if "/" in text or ":" in text or "*" in text:
        raise ValueError(f"{quoted(text)} is no name; {_NAME}")
    return normal_host(check_host(text, _NAME))


HostName = Annotated[str, BeforeValidator(_host), Form("name", schema=jsontypes.HOST_NAME)]


class Admin(Section):
    """The admin address: figures for everybody who reaches it, the rest for users; a plain text is its ``address``."""

    short_form: ClassVar[str | None] = "address"

    address: Annotated[AdminAddress, Flag("--admin", metavar="ADDRESS")] = Field(
        description="The address, `HOST:PORT` or `unix:/path`, of `/metrics`, `/healthz` and `/readyz`, and of a page "
        "at `/` that shows what l7 does; `off` in its place serves none.",
        examples=["127.0.0.1:9180"],
    )
    users: Annotated[dict[Login, Password], Flag("--admin-user", metavar="LOGIN:PASSWORD", repeat=True)] = Field(
        default={},
        description="The logins that see the page and its data (HTTP basic auth); those of clients do not. Without "
        "any, whoever reaches an address on loopback or a unix socket sees them, and nobody at another address.",
        examples=["{admin: '$2b$12$...', someone: 'mypasswd'}"],
    )
    hosts: tuple[HostName, ...] = Field(
        default=(),
        description="The names by which the page may be asked for, besides IP addresses, `localhost` and the name of "
        "the machine. Others are refused: a foreign web page could have its own name lead here, and read what browsers "
        "in this network are shown.",
        examples=["[l7.example.com]"],
    )

    @model_validator(mode="before")
    @classmethod
    def _plain_text_is_the_address(cls, data: Any) -> Any:
        return {cls.short_form: data} if isinstance(data, (str, Address)) else data

    @property
    def is_local(self) -> bool:
        """Whether only who is on this machine reaches it."""
        return self.address.path is not None or ipaddress.ip_address(self.address.host).is_loopback


def _unless_off(value: Any) -> Any:
    """Pass on what the section is made of; ``off`` is none."""
    if value is None:
        raise ValueError("write an address, a section or off")
    return None if value == "off" else value


def _show(value: Any) -> Any:
    return "off" if value is None else value


AdminOrOff = Annotated[Admin | None, BeforeValidator(_unless_off), Form("address, section or `off`", _show)]
