"""Who may come in: ``users``, by HTTP basic authentication (RFC 7617).

What checks a login waits and remembers, so it belongs to a worker (`l7.workers.rules.credentials`).
"""

from __future__ import annotations

import binascii
from typing import Any, Protocol

from l7.config.generation import Path
from l7.errors import UNAUTHORIZED, ProxyError
from l7.http.fields import name_of
from l7.http.messages import CHUNKED, RequestHead
from l7.http.targets import is_challenge
from l7.rules.context import RuleContext
from l7.rules.inheritance import RouteSettings
from l7.rules.rule import AdmissionRule

_CORS = {b"origin", b"access-control-request-method"}


class LoginVerifier(Protocol):
    """What checks logins."""

    def check(self, authorization: bytes | None) -> bytes | None:
        """Give the login of an Authorization value, or ``None``. May wait."""

    def remembered(self, authorization: bytes) -> bytes | None:
        """Give the login of an Authorization value that was found right a while ago; None for others. Never waits."""


def parse_basic(authorization: bytes) -> tuple[bytes, bytes] | None:
    """Take login and password out of an Authorization value; ``None`` unless it is Basic with canonical base64."""
    if authorization[:6].lower() != b"basic ":
        return None
    token = authorization[6:].lstrip(b" ")
    try:
        plain = binascii.a2b_base64(token)
    except binascii.Error:
        return None
    # Decoding skips what does not belong; only the one right way of writing comes back as it was.
    if binascii.b2a_base64(plain, newline=False) != token:
        return None
    login, colon, password = plain.partition(b":")
    return (login, password) if colon else None


def claimed_login(authorization: bytes | None) -> bytes:
    """Give the login that a request names, believed or not, for the log; empty when there is none."""
    pair = parse_basic(authorization) if authorization is not None else None
    return pair[0] if pair is not None else b""


def needs_login(head: RequestHead) -> bool:
    """Whether a request has to carry a login where there are any.

    Neither a CORS preflight (Fetch, 4.8) nor the HTTP challenge of a certificate authority (RFC 8555, 8.3) does: no
    login is ever sent with them. One that carries a login all the same is checked.
    """
    if head.authorization is not None or head.length > 0 or head.length == CHUNKED or head.upgrade:
        return True
    if head.method == b"OPTIONS":
        return not {name_of(line) for line in head.lines} >= _CORS
    return not is_challenge(head)


class LoginRule(AdmissionRule):
    """Refuses requests without one of the logins that ``authenticator`` knows; None where this is only explained."""

    __slots__ = ("_authenticator",)

    setting = "users"

    def __init__(self, path: Path, authenticator: LoginVerifier | None) -> None:
        super().__init__(path)
        self._authenticator = authenticator

    @classmethod
    def of(cls, settings: RouteSettings, resources: Any) -> LoginRule | None:
        """The rule of a route; None where nobody is asked for a login."""
        users, path = settings.inherited("users")
        return cls(path, resources.authenticator(users)) if users else None

    def describe(self) -> str:
        """That one of the logins is asked for."""
        return "one of its logins is asked for"

    def admit(self, context: RuleContext) -> None:
        """Check the login; raises `ProxyError` (401)."""
        head = context.head
        login = None if self._authenticator is None else self._authenticator.check(head.authorization)
        context.exchange.user = claimed_login(head.authorization) if login is None else login
        if login is None and needs_login(head):
            raise ProxyError(UNAUTHORIZED)

    def admits_at_once(self, context: RuleContext) -> bool:
        """Whether the login is known to be right."""
        authorization = context.head.authorization
        if authorization is None or self._authenticator is None:
            return False
        user = self._authenticator.remembered(authorization)
        if user is None:
            return False
        context.exchange.user = user
        return True
