"""What is different between two configurations, and what of it a running l7 cannot take over."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from pydantic import BaseModel, SecretStr

from l7.config.rendering.dump import scalar
from l7.config.schema import Backend, Config
from l7.config.values.names import printable
from l7.config.values.wildcards import collision

UNPRIVILEGED_FROM = 1024


def changes(old: Config, new: Config) -> list[str]:
    """Return a line for every setting, login, host and server that differs; no line holds a secret."""
    lines = list(_settings(old, new, ""))
    lines += _logins(old.users, new.users)
    for route in sorted({*old.backends, *new.backends}):
        lines += _backend(route, old.backends.get(route), new.backends.get(route))
    return lines


def needs_restart(
    old: Config, new: Config, *, handed: bool = False, privileged: bool = False,
    unprivileged_from: int = UNPRIVILEGED_FROM,
) -> list[str]:  # fmt: skip
    """Return what a reload cannot apply, by name: run-as, pid file, control socket, what is not free to be bound.

    Such are ports that only root may bind, and a wildcard beside an address of its own, on the same port.
    ``handed`` says that nothing is bound, ``privileged`` that the master may still bind any port,
    ``unprivileged_from`` is the lowest port that everybody may bind. Addresses that ``old`` listens on already can be
    kept.
    """
    fixed = ("run_as", "privileged_opener", "pid_file", "control")
    lines = [_changed(name, old, new) for name in fixed if getattr(old, name) != getattr(new, name)]
    added = [address for address in new.bind if address not in old.bind]
    both = collision(new.bind, old.bind) if not handed and new.port == old.port != 0 else None
    if both:
        lines.append(f"{_changed('bind', old, new)} ({both[0]} cannot be bound while {both[1]} is)")
    if privileged or handed:
        return lines
    if new.admin is not None and new.admin != old.admin and 0 < new.admin.port < unprivileged_from:
        lines.append(f"{_changed('admin', old, new)} (a port below {unprivileged_from})")
    if both or not 0 < new.port < unprivileged_from:
        return lines
    if new.port != old.port and any(not address.startswith("unix:") for address in new.bind):
        return [*lines, f"{_changed('port', old, new)} (a port below {unprivileged_from})"]
    if any(not address.startswith("unix:") for address in added):
        lines.append(f"{_changed('bind', old, new)} (port {new.port} is below {unprivileged_from})")
    return lines


def with_other_servers(old: Config, new: Config) -> tuple[str, ...]:
    """Return the routes of ``new`` that ``old`` has not, or with other addresses of servers."""
    before = {route: {one.address for one in backend.servers} for route, backend in old.backends.items()}
    return tuple(
        route
        for route, backend in new.backends.items()
        if {one.address for one in backend.servers} != before.get(route)
    )


def _changed(name: str, old: BaseModel, new: BaseModel, prefix: str = "") -> str:
    before, after = (_show(section, name) for section in (old, new))
    return f"{prefix}{name.replace('_', '-')}: {before} -> {after}"


def _show(section: BaseModel, name: str) -> str:
    value = getattr(section, name)
    if isinstance(value, BaseModel):
        return "{" + ", ".join(_set(value)) + "}"
    shown: Any = section.shown(name, value)  # type: ignore[attr-defined]
    if isinstance(shown, (list, tuple)):
        return "[" + ", ".join(scalar(str(item)) for item in shown) + "]"
    return scalar(shown)


def _set(section: BaseModel) -> Iterator[str]:
    """What a section sets beyond its defaults."""
    for name, info in type(section).model_fields.items():
        if getattr(section, name) != info.default:
            yield f"{name.replace('_', '-')}: {_show(section, name)}"


def _settings(old: BaseModel, new: BaseModel, prefix: str) -> Iterator[str]:
    for name in type(new).model_fields:
        before, after = getattr(old, name), getattr(new, name)
        if name in ("users", "backends", "servers") or before == after:
            continue
        if isinstance(after, BaseModel) and isinstance(before, BaseModel):
            yield from _settings(before, after, f"{prefix}{name.replace('_', '-')}.")
        elif isinstance(after, SecretStr) and isinstance(before, SecretStr):
            yield f"{prefix}{name.replace('_', '-')}: changed"  # both are shown as ***
        else:
            yield _changed(name, old, new, prefix)


def _logins(old: Mapping[str, SecretStr], new: Mapping[str, SecretStr]) -> Iterator[str]:
    for login in sorted({*old, *new}):
        name = f"users.{printable(login)}"
        if login not in new:
            yield f"{name}: removed"
        elif login not in old:
            yield f"{name}: added"
        elif old[login] != new[login]:
            yield f"{name}: password changed"


def _backend(route: str, old: Backend | None, new: Backend | None) -> Iterator[str]:
    name = f"backends.{printable(route)}"
    if old is None or new is None:
        backend, what = (old, "removed") if new is None else (new, "added")
        addresses = ", ".join(str(server.address) for server in backend.servers) if backend else ""
        yield f"{name}: {what} ({printable(addresses or 'no servers', 200)})"
        return
    yield from _settings(old, new, f"{name}.")
    before, after = ([str(server.address) for server in backend.servers] for backend in (old, new))
    yield from (f"{name}: server {address} added" for address in _beyond(after, before))
    yield from (f"{name}: server {address} removed" for address in _beyond(before, after))
    earlier = {str(server.address): server for server in old.servers}
    for server in new.servers:
        address = str(server.address)
        yield from _settings(earlier.get(address, server), server, f"{name}: server {address}: ")
    if before != after and sorted(before) == sorted(after):
        yield f"{name}: servers in another order"


def _beyond(more: list[str], fewer: list[str]) -> list[str]:
    """Return what of ``more`` is not in ``fewer``, counting repeated ones."""
    left = list(fewer)
    found = []
    for item in more:
        if item in left:
            left.remove(item)
        else:
            found.append(item)
    return found
