"""Looking names of servers up, without dnspython where no server has one: it is 5 MB of all processes together.

The resolver is imported before processes are forked, so that they have it in common, or by who asks it first.
"""

from __future__ import annotations

from contextlib import suppress
from importlib import import_module
from typing import TYPE_CHECKING

from l7.balancing.dns_records import NameAnswer
from l7.config.schema import Config, Resolver
from l7.config.values.addresses import Address
from l7.workers.upstream.connector import LookUp

if TYPE_CHECKING:
    from l7.workers.monitor.resolver import NameResolver

MODULE = "l7.workers.monitor.resolver"


def prepare(config: Config) -> None:
    """Import the resolver where a server is given by name: before a process is forked that needs it."""
    if any(server.address.named for backend in config.backends.values() for server in backend.servers):
        with suppress(ImportError):  # who asks is told
            import_module(MODULE)


def look_up_by(settings: Resolver) -> LookUp:
    """What looks names up as ``settings`` say."""
    made: list[NameResolver] = []

    def look_up(address: Address) -> NameAnswer:
        if not made:
            try:
                made.append(import_module(MODULE).NameResolver(settings))
            except ImportError as error:  # another l7 was installed meanwhile, or none
                return NameAnswer((), why=f"the resolver cannot be imported: {error}")
        return made[0].look_up(address)

    return look_up
