"""Who is shown more than figures: whom the request is for, which page it comes from, and who asks.

A browser sends whatever page it shows to an address on loopback or in its network, so the name in Host is looked at: a
foreign one may have been made to lead here (DNS rebinding), and its page would be allowed to read what it gets. IP
addresses are no such names.
"""

from __future__ import annotations

from gevent import socket as green

from l7.config.sections.admin import Admin
from l7.http.messages import LocalResponse, RequestHead
from l7.networks import normal_host
from l7.units import quoted
from l7.workers.monitor.admin.answers import refusal, value_of
from l7.workers.rules.credentials import Authenticators

CHALLENGE = 'WWW-Authenticate: Basic realm="l7 admin", charset="UTF-8"'
_LOOPBACK = "localhost"
_HERE = (b"same-origin", b"none")
"""What `Sec-Fetch-Site` says of requests of the page itself, and of people who write its address."""


class AdminAccess:
    """Lets in who may see the page and its data."""

    def __init__(self, settings: Admin) -> None:
        self._settings = settings
        self._authenticator = Authenticators().of(settings.users) if settings.users else None
        self._names = {_LOOPBACK, *settings.hosts}
        self._full_name = ""
        """The name of the machine with its domain, once it was asked for."""

    def refuse(self, head: RequestHead) -> LocalResponse | None:
        """Why a request is not answered; None for one that is. May wait: for a name, and for a password."""
        return self._host(head) or _site(head) or self._login(head)

    def _host(self, head: RequestHead) -> LocalResponse | None:
        """Refuse a name that is none of ours; only HTTP/1.0 has requests without one, and no browser speaks that.

        Nor does any reach a unix socket, where people write whatever comes to mind.
        """
        name = head.host
        if self._settings.address.path is not None or not head.authority or self._is_ours(name):
            return None
        why = (
            f"{quoted(name)} is no name of this admin address; where it is meant to be one, write"
            f" `admin: {{address: '{self._settings.address}', hosts: [{name}]}}`"
        )
        return refusal(421, why)

    def _is_ours(self, name: str) -> bool:
        if name in self._names or name.endswith(f".{_LOOPBACK}") or _is_address(name):
            return True
        machine = normal_host(green.gethostname())
        if name == machine:
            return True
        if name.partition(".")[0] != machine.partition(".")[0]:
            return False
        if not self._full_name:
            self._full_name = normal_host(green.getfqdn(machine))
        return name == self._full_name

    def _login(self, head: RequestHead) -> LocalResponse | None:
        if self._authenticator is not None:
            return None if self._authenticator.check(head.authorization) else refusal(401, "log in", CHALLENGE)
        if self._settings.is_local:
            return None
        address = self._settings.address
        why = (
            f"{address} is not on loopback, so this is for users only, and there are none; write"
            f" `admin: {{address: '{address}', users: {{LOGIN: PASSWORD}}}}`, or --admin-user LOGIN:PASSWORD"
        )
        return refusal(403, why)


def _is_address(name: str) -> bool:
    """Whether a host is an IP address: what stands in brackets, or ends with a number (URL standard, 3.5)."""
    return name.startswith("[") or name.rpartition(".")[2].isdigit()


def _site(head: RequestHead) -> LocalResponse | None:
    """Refuse what another page asks for, unless somebody follows a link from there."""
    site = value_of(head, b"sec-fetch-site")
    if site is None or site in _HERE:
        return None
    if value_of(head, b"sec-fetch-mode") == b"navigate" and value_of(head, b"sec-fetch-dest") == b"document":
        return None
    return refusal(403, "another page asks for this: open it itself")
