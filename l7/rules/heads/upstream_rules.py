"""Rules about what a server takes itself for: the Host that it gets, and the path that it does not know to be below.

What it says of itself in return, in Location and its like, the client is told as the client knows it.
"""

from __future__ import annotations

from typing import Any

from l7.config.generation import Path
from l7.http.forwarding import without
from l7.http.messages import ResponseHead
from l7.rules.context import RuleContext
from l7.rules.heads.prefix import OwnPaths, joined_prefix, stripped
from l7.rules.inheritance import RouteSettings
from l7.rules.rule import RequestRule, ResponseRule


class StripPrefixRule(RequestRule):
    """Takes the path of a route off what goes to its servers, and tells them so."""

    __slots__ = ("prefix",)

    setting = "strip-prefix"

    def __init__(self, path: Path, prefix: bytes) -> None:
        super().__init__(path)
        self.prefix = prefix

    @classmethod
    def of(cls, settings: RouteSettings, resources: Any) -> StripPrefixRule | None:
        """The rule of a route; None where nothing is taken off."""
        found = _prefix(settings)
        return None if found is None else cls(*found)

    def describe(self) -> str:
        """Which prefix is taken off."""
        return f"{self.prefix.decode('ascii')} is taken off the path"

    def on_request(self, context: RuleContext) -> None:
        """Change path and forwarding fields of what goes to a server."""
        head = context.head
        told = b"X-Forwarded-Prefix: " + joined_prefix(context.believed, self.prefix)
        if context.believed is not None:
            context.believed = without(context.believed, b"x-forwarded-prefix")
        head.runs = [*head.runs, told]
        head.path = stripped(head.path, self.prefix)
        head.plain = False  # the request line is not what goes on


class RestorePrefixRule(ResponseRule):
    """Gives the prefix that was taken off back to what a server says of its own paths."""

    __slots__ = ("_own_paths", "prefix")

    setting = "strip-prefix"

    def __init__(self, path: Path, prefix: bytes) -> None:
        super().__init__(path)
        self.prefix = prefix
        self._own_paths = OwnPaths(prefix)

    @classmethod
    def of(cls, settings: RouteSettings, resources: Any) -> RestorePrefixRule | None:
        """The rule of a route; None where nothing is taken off."""
        found = _prefix(settings)
        return None if found is None else cls(*found)

    def describe(self) -> str:
        """What gets the prefix back."""
        return f"{self.prefix.decode('ascii')} is put in front of Location, Content-Location and the paths of cookies"

    def on_response(self, context: RuleContext, response: ResponseHead) -> None:
        """Change Location, Content-Location and the paths of cookies to what the client knows."""
        response.runs = self._own_paths.rewrite(response.runs, context.authority, context.sent_host)


class UpstreamHostRule(RequestRule):
    """Sends another Host than the client's: ``host``, or for ``server`` the address of each server itself."""

    __slots__ = ("host",)

    setting = "host"

    def __init__(self, path: Path, host: str) -> None:
        super().__init__(path)
        self.host = b"" if host == "server" else host.encode("ascii")

    @classmethod
    def of(cls, settings: RouteSettings, resources: Any) -> UpstreamHostRule | None:
        """The rule of a route; None where servers get the client's."""
        found = _host(settings)
        return None if found is None else cls(found[1], found[0])

    def describe(self) -> str:
        """Which Host is sent."""
        return f"servers get {self.host.decode('ascii') or 'their own address'} as Host"

    def on_request(self, context: RuleContext) -> None:
        """Say which Host goes to the server; that of a server itself is known when it is picked."""
        context.sent_host = self.host
        context.names_server = not self.host


class ClientHostRule(ResponseRule):
    """Leads to the client's host where an answer names the Host that the server got, which nobody else knows of."""

    __slots__ = ("_own_paths",)

    setting = "host"

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self._own_paths = OwnPaths(b"")

    @classmethod
    def of(cls, settings: RouteSettings, resources: Any) -> ClientHostRule | None:
        """The rule of a route; None where servers get the client's."""
        found = _host(settings)
        return None if found is None else cls(found[1])

    def describe(self) -> str:
        """What is changed."""
        return "Location and Content-Location with that Host become paths on the client's"

    def on_response(self, context: RuleContext, response: ResponseHead) -> None:
        """Change a Location that names the Host which the server got."""
        response.runs = self._own_paths.rewrite(response.runs, context.authority, context.sent_host)


def _prefix(settings: RouteSettings) -> tuple[Path, bytes] | None:
    placed = settings.own("strip_prefix")
    if placed is None or not placed[0] or settings.match is None or not settings.match.path:
        return None
    return placed[1], settings.match.path.encode("ascii")


def _host(settings: RouteSettings) -> tuple[str, Path] | None:
    placed = settings.own("host")
    return None if placed is None or placed[0] == "client" else placed
