"""What settings are wrong together, and what of them has no effect: each with its place."""

from __future__ import annotations

from collections.abc import Iterator

from l7.config.answer_conflicts import answer_conflicts
from l7.config.generation import Path
from l7.config.model import SecretStr
from l7.config.schema import Config
from l7.config.sections import listeners
from l7.config.values.routekeys import routes_of

_NOTHING = {"verify": True, "ca": None, "server_name": None, "cert": None, "key": None}
"""What is set where nothing is."""


def conflicts(config: Config) -> Iterator[tuple[Path, str]]:
    """Yield what is wrong: the place of a setting, and the words."""
    for index, setting, what in listeners.conflicts(config.listeners):
        yield ("listeners", index, setting), what
    for index, one in enumerate(config.listeners):
        if one.tls is not None and not config.tls.has_certificates:
            what = "there are no certificates; write some below tls, --tls-cert FILE, or --acme EMAIL"
            yield ("listeners", index, "tls"), what
    if config.tls.acme is not None and not config.listeners and config.port == listeners.CHALLENGE_PORT:
        what = "with acme this is where challenges come, in clear: write another port (443 by default), or listeners"
        yield ("port",), what
    if config.authorization == "strip" and not any(logins(config)):
        yield ("authorization",), "strip needs users: without them no login is checked"
    yield from _client_certificates(config)
    yield from _tls_with_servers(config)
    yield from answer_conflicts(config)
    yield from _prefixes(config)


def logins(config: Config) -> Iterator[tuple[Path, dict[str, SecretStr]]]:
    """Yield all logins of clients, the general ones and those of routes, with their places."""
    if config.users:
        yield ("users",), config.users
    for route, backend in config.backends.items():
        if backend.users:
            yield ("backends", route, "users"), backend.users


def doubtful(config: Config) -> Iterator[tuple[Path, str]]:
    """Yield what is allowed, and hardly meant: the place of a setting, and the words."""
    yield from _without_users(config)
    yield from _starred(config)


def _without_users(config: Config) -> Iterator[tuple[Path, str]]:
    """Yield an admin address that others can reach, and that serves them little: the place, and the words."""
    admin = config.admin
    if admin is not None and not admin.is_local and not admin.users:
        what = (
            f"{admin.address} is not on loopback, so without users only /metrics, /healthz and /readyz are served"
            f" there; write `admin: {{address: '{admin.address}', users: {{LOGIN: PASSWORD}}}}`, or --admin-user"
            " LOGIN:PASSWORD"
        )
        yield ("admin", "address"), what


def _starred(config: Config) -> Iterator[tuple[Path, str]]:
    """Yield the routes with a ``*`` at the end of their path, as other proxies write a prefix: the place, and words."""
    for key in config.backends:
        for route in routes_of(key):
            if "/" in route and route.endswith("*"):
                meant = route.rstrip("*").rstrip("/")
                yield ("backends", key), f"'*' in a path stands for itself, and any path is a prefix: write {meant}"


def _prefixes(config: Config) -> Iterator[tuple[Path, str]]:
    """Where there is no prefix to strip; those that have it of the defaults need not have one."""
    for route, backend in config.backends.items():
        stripped = backend.strip_prefix and not config.defaults.strip_prefix
        if stripped and not any("/" in one for one in routes_of(route)):
            what = f"a route without a path has no prefix; write one, as in {routes_of(route)[0]}/api"
            yield ("backends", route, "strip-prefix"), what


def _client_certificates(config: Config) -> Iterator[tuple[Path, str]]:
    """What is missing to ask clients for certificates, and what of it has no effect: each with its place."""
    general, general_ca_used = config.tls, False
    speaking = [(index, one.tls) for index, one in enumerate(config.listened_on) if one.tls is not None]
    for index, own in speaking:
        there: Path = ("listeners", index, "tls")
        asks = (own.client_auth or general.client_auth) != "off"
        general_ca_used = general_ca_used or (asks and own.client_ca is None)
        if asks and own.client_ca is None and general.client_ca is None:
            place = ("tls",) if own.client_auth is None else there
            yield (*place, "client-auth"), "needs client-ca: the file with the authorities of the clients"
        elif own.client_ca is not None and not asks:
            yield (*there, "client-ca"), "nobody is asked for a certificate there; write client-auth: require, too"
    if general.client_auth != "off" and not speaking:
        yield ("tls", "client-auth"), "no listener has tls"
    elif general.client_ca is not None and not general_ca_used:
        yield ("tls", "client-ca"), "nobody is asked for a certificate by it; write client-auth: require, too"


def _tls_with_servers(config: Config) -> Iterator[tuple[Path, str]]:
    """What of the TLS of backends has no effect; those that have it of the defaults need not have a use for it."""
    defaults = config.defaults.tls
    for route, backend in config.backends.items():
        tls = backend.tls
        path: Path = ("backends", route, "tls")
        if not any(server.address.tls for server in backend.servers):
            for name, default in _NOTHING.items():
                if getattr(tls, name) not in (default, getattr(defaults, name)):
                    what = "no server of this backend has an address with https://, and TLS is spoken with no other"
                    yield (*path, name.replace("_", "-")), what
            continue
        if tls.key is not None and tls.cert is None:
            there: Path = path if tls.key != defaults.key else ("defaults", "tls")
            yield (*there, "key"), "write cert, too: the certificate of the key"
        if not tls.verify and tls.ca not in (None, defaults.ca):
            yield (*path, "ca"), "is not looked at with verify: false; leave one of them out"
