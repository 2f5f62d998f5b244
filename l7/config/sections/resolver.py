"""What stands below ``resolver``: how the names of servers are looked up."""

from __future__ import annotations

from typing import Annotated

from l7.config.model import BeforeValidator, Field, model_validator
from l7.config.section import Period, Section
from l7.config.values import jsontypes, scalars
from l7.config.values.addresses import Address
from l7.config.values.scalars import Form

NameServers = Annotated[
    tuple[Address, ...],
    BeforeValidator(scalars.name_servers),
    Form("list of addresses", scalars.show_texts, jsontypes.NAME_SERVERS),
]


class Resolver(Section):
    """How the names of servers are looked up."""

    servers: NameServers = Field(
        default=(),
        description="The name servers to ask, each an IP address with a port where it is not 53; without any, those "
        "of `/etc/resolv.conf`.",
        examples=["[127.0.0.1:5353]"],
    )
    min_ttl: Period = Field(
        default=5.0, description="An answer is used for at least this long, whatever its time to live."
    )
    max_ttl: Period = Field(default=300.0, description="An answer is used for at most this long.")
    timeout: Period = Field(default=2.0, description="How long an answer may take.")

    @model_validator(mode="after")
    def _bounds_are_in_order(self) -> Resolver:
        if self.max_ttl < self.min_ttl:
            raise ValueError("max-ttl is shorter than min-ttl")
        return self
