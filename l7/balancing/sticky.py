"""Sticky sessions: a cookie that brings a client back to the server it had.

The cookie names the server by a keyed digest (HMAC-SHA256 of route and address): it cannot be made without the key,
does not reveal the address, and names the same server after a reload, in every worker and in whatever order the
servers are written.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
from collections.abc import Iterable

from l7.balancing.members import Member
from l7.config.sections.backends import Sticky
from l7.config.values.routekeys import routes_of

SIZE = 18
"""Bytes of a digest that are used: 24 characters in base64."""


def token(key: bytes, route: str, label: str) -> bytes:
    """The cookie's value for one server."""
    digest = hmac.digest(key, f"{route}\0{label}".encode(), hashlib.sha256)
    return base64.urlsafe_b64encode(digest[:SIZE])


class Stickiness:
    """The sticky cookies of one backend: the member that each names, and the field that sets it."""

    __slots__ = ("_attributes", "_by_member", "_by_token", "_key", "_route", "name")

    def __init__(self, settings: Sticky, route: str, own_key: bytes) -> None:
        secret = settings.secret
        self._key = own_key if secret is None else secret.get_secret_value().encode()
        self._route = route
        self._by_token: dict[bytes, Member] = {}
        self._by_member: dict[Member, bytes] = {}
        self.name = settings.cookie.encode("ascii")
        paths = {one.partition("/")[2] for one in routes_of(route)}
        path = paths.pop() if len(paths) == 1 else ""
        if ";" in path:  # it would end the attribute; the folder above matches, too
            path = path.partition(";")[0].rpartition("/")[0]
        attributes = [f"Path=/{path}", "HttpOnly", "SameSite=Lax"]
        if settings.max_age is not None:
            attributes.append(f"Max-Age={int(settings.max_age)}")
        if settings.secure:
            attributes.append("Secure")
        self._attributes = "".join(f"; {one}" for one in attributes).encode("ascii")

    def arrange(self, members: Iterable[Member]) -> None:
        """Set the members that cookies may name."""
        self._by_member = {member: token(self._key, self._route, member.label) for member in members}
        self._by_token = {text: member for member, text in self._by_member.items()}

    def member(self, cookie: bytes) -> Member | None:
        """The member that a cookie's value names, if any."""
        return self._by_token.get(cookie)

    def field(self, member: Member, cookie: bytes) -> bytes:
        """The Set-Cookie field that binds the client to ``member``; empty when its cookie does already."""
        text = self._by_member.get(member, b"")
        if not text or text == cookie:
            return b""
        return b"Set-Cookie: " + self.name + b"=" + text + self._attributes
