"""Who may come in by where he comes from: ``deny``, then ``allow``.

The client is who a trusted proxy or the PROXY protocol says that it is, else the peer of the connection; whoever comes
by a unix socket has no address, and is named ``unix:``. Both are refused in the same words, which tell no network.

Hot: called by their pointers.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from l7.config.generation import Path
from l7.errors import FORBIDDEN, ProxyError
from l7.networks import Network, NetworkSet
from l7.rules.context import RuleContext
from l7.rules.inheritance import RouteSettings
from l7.rules.rule import AdmissionRule

_SHOWN = 4
"""Networks that are named in a description; of more there is a number."""


class ClientRule(AdmissionRule):
    """Refuses clients by the networks that they come from."""

    __slots__ = ("_networks",)

    def __init__(self, path: Path, networks: NetworkSet) -> None:
        super().__init__(path)
        self._networks = networks

    def _named(self) -> str:
        names = [str(entry) for entry in self._networks.entries]
        more = len(names) - _SHOWN
        return ", ".join(names[:_SHOWN]) + (f" and {more} more" if more > 0 else "")


class DenyRule(ClientRule):
    """Refuses clients of these networks."""

    __slots__ = ()

    setting = "deny"

    @classmethod
    def of(cls, settings: RouteSettings, resources: Any) -> DenyRule | None:
        """The rule of a route; None where nobody is denied."""
        networks, path = settings.inherited("deny")
        return cls(path, _set_of(networks, path, resources)) if networks else None

    def describe(self) -> str:
        """Who is refused."""
        return f"clients of {self._named()} are refused"

    def admit(self, context: RuleContext) -> None:
        """Refuse a client of the networks; raises `ProxyError` (403)."""
        if self._networks.has(context.exchange.client, context.ipv4()):
            raise _forbidden(context, self.setting)

    def admits_at_once(self, context: RuleContext) -> bool:
        """Whether a client is of none of the networks."""
        return not self._networks.has(context.exchange.client, context.ipv4())


class AllowRule(ClientRule):
    """Refuses clients of all networks but these."""

    __slots__ = ()

    setting = "allow"

    @classmethod
    def of(cls, settings: RouteSettings, resources: Any) -> AllowRule | None:
        """The rule of a route; None where everybody is allowed."""
        networks, path = settings.inherited("allow")
        return cls(path, _set_of(networks, path, resources)) if networks else None

    def describe(self) -> str:
        """Who is let in."""
        return f"only clients of {self._named()} are let in"

    def admit(self, context: RuleContext) -> None:
        """Refuse a client of none of the networks; raises `ProxyError` (403)."""
        if not self._networks.has(context.exchange.client, context.ipv4()):
            raise _forbidden(context, self.setting)

    def admits_at_once(self, context: RuleContext) -> bool:
        """Whether a client is of one of the networks."""
        return self._networks.has(context.exchange.client, context.ipv4())


def _set_of(networks: Iterable[Network | str], path: Path, resources: Any) -> NetworkSet:
    """The networks of a setting, made once for all routes that have it."""
    found: NetworkSet | None = resources.networks.get(path)
    if found is None:
        found = resources.networks[path] = NetworkSet(networks)
    return found


def _forbidden(context: RuleContext, setting: str) -> ProxyError:
    """What a client is refused with: the log knows by which setting, the client does not."""
    failure = ProxyError(FORBIDDEN, "not from this address", seen=setting)
    failure.rule = setting
    return failure
