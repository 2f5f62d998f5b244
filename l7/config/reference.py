"""``python -m l7.config.reference`` prints the page of all settings, ``docs/configuration.rst``, from the schema."""

from __future__ import annotations

import re
import sys
import types
import typing
from collections.abc import Iterator
from typing import Any

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from l7.config.dump import scalar
from l7.config.flags import Setting, settings
from l7.config.schema import Backend, Config, Section, Server
from l7.config.values import Flag, Form

INTRODUCTION = """\
.. This page is generated: python -m l7.config.reference > docs/configuration.rst

Configuration
=============

Flags, environment variables and the YAML file all set the same settings. For each setting the highest source wins:
flag, then environment variable, then file, then default. A file (``-c FILE`` or ``L7_CONFIG``) does not disable flags.
An empty environment variable is the same as none; an unknown ``L7_*`` variable is ignored with a warning. So are those
that Kubernetes and Docker set for a Service or a container called ``l7``: a value ``tcp://...`` (``udp://``, ``sctp://``)
is never a setting.

The servers of a host can be given as words, too: ``HOST=ADDRESS`` on the command line, or in ``L7_SERVERS``, separated
by spaces or commas. Several words for one host add up. They replace the servers that the file has for this host and
leave its other settings and all other hosts as they are; words on the command line win over ``L7_SERVERS``.

``users`` is one setting: the logins of ``--user`` replace those of ``L7_USERS``, and these the file's. In ``L7_USERS``
the words ``LOGIN:PASSWORD`` are separated by spaces or commas, so a password with these must come from the file.
``-d``, ``--debug`` and ``L7_DEBUG=1`` are the same as ``--log-level debug``.

.. code-block:: yaml

{example}

``l7 check`` validates a configuration. Everything wrong is reported at once, with file, line and path, and the exit
code is 2::

    config.yml:12: backends.example.com.servers[0].adress: unknown key; did you mean 'address'?

``l7 dump`` prints the effective configuration with the source of each value. It loads back to the same configuration,
except that passwords are shown as ``***``: loading such a file warns, and nobody can log in with it.

Values
------

Durations
    ``500ms``, ``2s``, ``5m``, ``1h``, or a number of seconds.
Sizes
    ``64KiB``, ``10MB``, ``1GiB`` (``KB`` is 1000 bytes, ``KiB`` is 1024), or a number of bytes; ``unlimited`` where
    said.
Addresses of servers
    ``http://host:port``, ``//host:port``, ``host:port``, ``host`` (port 80), ``[::1]:port``, ``unix:/path``, and
    ``srv:_http._tcp.example.com`` for the servers that DNS lists under that name.
Shares
    ``20%``, of 0 to 100.
Hosts
    Case, a trailing dot and a port in the request do not matter. ``example.com`` is that host, ``*.example.com`` all
    below it, ``*`` all others; each may have a path prefix, which ends at a segment's border: ``example.com/api`` is
    for ``/api`` and ``/api/x``, not for ``/apix``. In YAML a text that begins with ``*`` is quoted:
    ``'*.example.com'``.
Texts
    YAML's guesses do not matter: ``access-log: off`` is the text ``off``, a password ``0123`` keeps its zero, ``0o17``
    is no number. A key that is given twice, a key without a value and an unknown key are refused.
Anchors
    Anchors, aliases and merge keys (``<<: *name``) work as in any YAML file. At the top of the file a key that begins
    with ``x-`` is the place to keep them: it is no setting, whatever it holds. Anywhere else it is an unknown key.
"""

EXAMPLE = """\
port: 80
users: {myuser: 'passwd', admin: '$2b$12$CCCCCCCCCCCCCCCCCCCCC.E5YPO9kmyuRGyh0XouQYb4YMJKvyOeW'}
trusted-proxies: [10.0.0.0/8]
limits:   {head: 32KiB, headers: 100, target: 8KiB, body: unlimited, connections: 10000}
timeouts: {head: 10s, body: 60s, idle: 75s, write: 60s}
backends:
  example.com:
    balance: round-robin
    servers:
      - address: 'http://192.168.0.103:8081'
      - {address: '//192.168.0.103:8082', weight: 2}
      - {address: 192.168.0.103:8083, backup: true, max-connections: 100}
    health: {path: /healthz, interval: 2s, timeout: 1s, rise: 2, fall: 3, expect: 200-399}
    retries: 2
    timeouts: {connect: 3s, response: 60s, idle: 60s}
  '*.example.com':
    servers: ['unix:/run/app.sock']
  example.com/api:
    servers: [192.168.0.104:9000]
"""


def page() -> str:
    """Return the whole page as reStructuredText."""
    example = "\n".join(f"    {line}" for line in EXAMPLE.splitlines())
    return "\n".join([INTRODUCTION.format(example=example), *_settings(), ""])


def _settings() -> Iterator[str]:
    flags = {setting.key: setting for setting in settings()}
    yield from _title("Settings", "-")
    for name, info in Config.model_fields.items():
        if _section_of(info) is None:
            yield from _setting(Config, name, "", flags.get(name.replace("_", "-")))
    for key, title in _SECTIONS:
        yield from _part(_section_of(Config.model_fields[key]), title, key)
    yield from _part(Backend, "Backends", "backends.HOST")
    for key, title in _BACKEND_SECTIONS:
        info = Backend.model_fields[key]
        yield from _part(_section_of(info), title, f"backends.HOST.{key}", info)
    yield from _part(Server, "Servers", "backends.HOST.servers[]")


_SECTIONS = (("limits", "Limits"), ("timeouts", "Timeouts towards the client"), ("resolver", "Names of servers"))
_BACKEND_SECTIONS = (
    ("queue", "Queue"),
    ("sticky", "Sticky sessions"),
    ("health", "Health checks"),
    ("ejection", "Ejection"),
    ("timeouts", "Timeouts towards the servers"),
)


def _title(title: str, line: str) -> list[str]:
    return [title, line * len(title), ""]


def _part(section: Any, title: str, path: str, info: FieldInfo | None = None) -> Iterator[str]:
    """Yield the entries of one section; ``info`` is the field that holds it, which may also be ``off``."""
    yield from _title(title, "-")
    if info is not None and any(isinstance(form, Form) for form in info.metadata):
        default = "and is so by default" if info.default is None else "it is on by default"
        what = " ".join(str(section.__doc__).split())
        yield f"{what.replace('`', '``')} ``{path}`` may be ``off``, {default}."
        yield ""
    for name, info in section.model_fields.items():
        if _section_of(info) is None:
            yield from _setting(section, name, path + ".", None)


def _setting(section: type[Section], name: str, prefix: str, flag: Setting | None) -> Iterator[str]:
    """Yield the entry of one setting."""
    info, key = section.model_fields[name], name.replace("_", "-")
    yield f".. _setting-{re.sub('[^a-z]+', '-', (prefix + key).lower())}:"
    yield ""
    yield from _title(f"``{prefix}{key}``", "~")
    yield (info.description or "").replace("`", "``")
    yield ""
    if flag is not None:
        metavar = flag.flag.metavar
        yield ":Flag: " + ", ".join(f"``{one} {metavar}``" for one in flag.flag.names) + _repeat(flag.flag)
        yield f":Environment: ``{flag.variable}``"
    yield f":Type: {_type(info).replace('`', '``')}"
    yield f":Default: {_default(section, name, info)}"
    for example in info.examples or (scalar(section.shown(name, info.default)),):
        yield f":Example: ``{scalar(key)}: {example}``"
    yield ""


def _repeat(flag: Flag) -> str:
    return ", may be repeated" if flag.repeat else ""


def _type(info: FieldInfo) -> str:
    forms = [form.name for form in info.metadata if isinstance(form, Form)]
    choices = [str(choice) for choice in typing.get_args(info.annotation)]
    if typing.get_origin(info.annotation) is typing.Literal:
        return ", ".join(f"`{choice}`" for choice in choices)
    if forms:
        return forms[0]
    return {"users": "mapping of logins to passwords", "backends": "mapping of hosts to backends"}.get(
        str(info.alias), f"list of {'networks' if info.alias == 'trusted-proxies' else info.alias}"
    )


def _default(section: type[Section], name: str, info: FieldInfo) -> str:
    if info.is_required():
        return "none, it is required"
    shown = section.shown(name, info.default)
    return "none" if shown in (None, {}, (), []) else f"``{scalar(shown) if isinstance(shown, bool) else shown}``"


def _section_of(info: FieldInfo) -> type[BaseModel] | None:
    """Return the section that a field is, if it is one."""
    kind: Any = info.annotation
    if isinstance(kind, types.UnionType):
        kind = next(member for member in typing.get_args(kind) if member is not type(None))
    is_section = isinstance(kind, type) and not isinstance(kind, types.GenericAlias) and issubclass(kind, BaseModel)
    return kind if is_section else None


if __name__ == "__main__":
    sys.stdout.write(page())
