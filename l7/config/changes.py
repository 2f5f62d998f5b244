"""What is different between two configurations, and what of it a running l7 cannot take over."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from pydantic import BaseModel, SecretStr

from l7.config.rendering.dump import scalar
from l7.config.schema import Backend, Config
from l7.config.sections.listeners import SHORT_FORM, ListenerConfig, by_port
from l7.config.values.names import printable
from l7.config.values.wildcards import collision

UNPRIVILEGED_FROM = 1024


def changes(old: Config, new: Config) -> list[str]:
    """Return a line for every setting, login, host and server that differs; no line holds a secret."""
    lines = list(_settings(old, new, "", SHORT_FORM if old.listeners or new.listeners else ()))
    lines += _listeners(old, new)
    lines += _logins(old.users, new.users, "users")
    if old.admin is not None and new.admin is not None:
        lines += _logins(old.admin.users, new.admin.users, "admin.users")
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
    lines += () if handed else _cannot_be_bound(old, new, 0 if privileged else unprivileged_from)
    return [*lines, *_of_admin(old, new, 0 if handed or privileged else unprivileged_from)]


def _of_admin(old: Config, new: Config, unprivileged_from: int) -> Iterator[str]:
    """Yield why the admin address of ``new`` cannot be bound: the present one is in its way, or only root may."""
    before, after = old.admin_address, new.admin_address
    if after is None or after == before:
        return
    stays = before is not None and before.path is None and after.port == before.port != 0
    both = collision((after.host,), (before.host,)) if before is not None and stays else None
    if both:
        yield f"{_changed('admin', old, new)} ({both[0]} cannot be bound while {both[1]} is)"
    elif 0 < after.port < unprivileged_from:
        yield f"{_changed('admin', old, new)} (a port below {unprivileged_from})"


def _cannot_be_bound(old: Config, new: Config, unprivileged_from: int) -> Iterator[str]:
    """Yield why listeners of ``new`` cannot be bound while those of ``old`` are, or by this process."""
    before, after = (by_port(one.address for one in config.listened_on) for config in (old, new))
    for port, hosts in after.items():
        both = collision(hosts, before[port]) if port in before and port != 0 else None
        if both:
            yield _about_listening(old, new, port, f"{both[0]} cannot be bound while {both[1]} is")
        elif port not in before and 0 < port < unprivileged_from:
            yield _about_listening(old, new, port, f"a port below {unprivileged_from}")
        elif 0 < port < unprivileged_from and not set(hosts) <= set(before[port]):
            yield _about_listening(old, new, port, f"port {port} is below {unprivileged_from}")


def _about_listening(old: Config, new: Config, port: int, why: str) -> str:
    """What to say of addresses on one port: the setting that names them, as it changed, and why."""
    if old.listeners or new.listeners:
        return f"listeners: port {port} ({why})"
    return f"{_changed('port' if new.port != old.port else 'bind', old, new)} ({why})"


def _changed(name: str, old: BaseModel, new: BaseModel, prefix: str = "") -> str:
    before, after = (_show(section, name) for section in (old, new))
    return f"{prefix}{name.replace('_', '-')}: {before} -> {after}"


def _show(section: BaseModel, name: str) -> str:
    value = getattr(section, name)
    if isinstance(value, BaseModel):
        short = getattr(value, "short_form", None)
        if not (words := ", ".join(_set(value, () if short is None else (short,)))):
            return _show(value, short) if short else "true" if getattr(value, "switch", False) else "on"
        first = f"{short}: {_show(value, short)}, " if short else ""
        return f"{{{first}{words}}}"
    if isinstance(value, Mapping) and any(map(_is_secret, value.values())):
        return _how_many(value)
    shown: Any = section.shown(name, value)  # type: ignore[attr-defined]
    return _written(shown)


def _written(value: Any) -> str:
    """A value, or a list of them, as YAML has it."""
    if isinstance(value, (list, tuple)):
        return "[" + ", ".join(scalar(str(item)) for item in value) + "]"
    return scalar(value)


def _listeners(old: Config, new: Config) -> Iterator[str]:
    """Yield what is different about listeners, each known by its address; the short form tells of itself."""
    if not old.listeners and not new.listeners:
        return
    before, after = ({str(one.address): one for one in config.listened_on} for config in (old, new))
    for address in [*before, *(one for one in after if one not in before)]:
        name = f"listeners: {printable(address)}"
        if address not in after:
            yield f"{name}: removed"
        elif address not in before:
            kind = ", ".join(_set(after[address], besides=("address",)))
            yield f"{name}: added" + (f" ({kind})" if kind else "")
        else:
            yield from (
                _changed(field, before[address], after[address], f"{name}: ")
                for field in ListenerConfig.model_fields
                if getattr(before[address], field) != getattr(after[address], field)
            )


def _set(section: BaseModel, besides: tuple[str, ...] = ()) -> Iterator[str]:
    """What a section sets beyond its defaults."""
    for name, info in type(section).model_fields.items():
        if name not in besides and getattr(section, name) != info.default:
            yield f"{name.replace('_', '-')}: {_show(section, name)}"


def _settings(old: BaseModel, new: BaseModel, prefix: str, besides: tuple[str, ...] = ()) -> Iterator[str]:
    for name in type(new).model_fields:
        before, after = getattr(old, name), getattr(new, name)
        if name in ("users", "backends", "servers", "listeners", *besides) or before == after:
            continue
        if isinstance(after, BaseModel) and isinstance(before, BaseModel):
            yield from _settings(before, after, f"{prefix}{name.replace('_', '-')}.")
        elif isinstance(after, SecretStr) and isinstance(before, SecretStr):
            yield f"{prefix}{name.replace('_', '-')}: changed"  # both are shown as ***
        elif isinstance(after, Mapping) and isinstance(before, Mapping):
            yield from _entries(before, after, f"{prefix}{name.replace('_', '-')}")
        else:
            yield _changed(name, old, new, prefix)


def _entries(old: Mapping[str, Any], new: Mapping[str, Any], where: str) -> Iterator[str]:
    """Yield what differs in a mapping with keys of the user's, such as header fields and error pages."""
    for key in [*old, *(one for one in new if one not in old)]:
        name = f"{where}.{printable(key)}"
        value = new.get(key, "")
        if key not in new:
            yield f"{name}: removed"
        elif key not in old:
            yield f"{name}: added" + ("" if _is_secret(value) else f" ({_written(value)})")
        elif old[key] != value:
            secret = _is_secret(value) or _is_secret(old[key])
            yield f"{name}: changed" if secret else f"{name}: {_written(old[key])} -> {_written(value)}"


def _is_secret(value: Any) -> bool:
    """Whether a value, or one of a list of them, is shown nowhere."""
    return isinstance(value, SecretStr) or (isinstance(value, tuple) and any(map(_is_secret, value)))


def _logins(old: Mapping[str, SecretStr], new: Mapping[str, SecretStr], where: str) -> Iterator[str]:
    for login in sorted({*old, *new}):
        name = f"{where}.{printable(login)}"
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
        yield f"{name}: {what} ({_what_serves(backend)})"
        return
    yield from _settings(old, new, f"{name}.")
    if not old.users or not new.users:
        before, after = _users(old), _users(new)
        yield from () if before == after else (f"{name}.users: {before} -> {after}",)
    else:
        yield from _logins(old.users, new.users, f"{name}.users")
    yield from _servers(name, old, new)


def _users(backend: Backend) -> str:
    """Who has to log in, in a word."""
    if backend.users is None:
        return "inherit"
    return _how_many(backend.users) if backend.users else "off"


def _how_many(logins: Mapping[str, SecretStr]) -> str:
    return f"{len(logins)} login{'s' * (len(logins) > 1)}"


def _servers(name: str, old: Backend, new: Backend) -> Iterator[str]:
    before, after = ([str(server.address) for server in backend.servers] for backend in (old, new))
    yield from (f"{name}: server {address} added" for address in _beyond(after, before))
    yield from (f"{name}: server {address} removed" for address in _beyond(before, after))
    earlier = {str(server.address): server for server in old.servers}
    for server in new.servers:
        address = str(server.address)
        yield from _settings(earlier.get(address, server), server, f"{name}: server {address}: ")
    if before != after and sorted(before) == sorted(after):
        yield f"{name}: servers in another order"


def _what_serves(backend: Backend | None) -> str:
    if backend is not None and backend.redirect is not None:
        return f"redirect to {printable(backend.redirect.to, 200)}"
    if backend is not None and backend.respond is not None:
        return f"respond {backend.respond.status}"
    addresses = ", ".join(str(server.address) for server in backend.servers) if backend else ""
    return printable(addresses or "no servers", 200)


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
