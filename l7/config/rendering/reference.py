"""``python -m l7.config.rendering.reference`` prints the page of all settings, ``docs/configuration.rst``, from the
schema.
"""

from __future__ import annotations

import re
import sys
import typing
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from pydantic.fields import FieldInfo

from l7.config.reading.settings import Setting, settings
from l7.config.rendering.dump import scalar
from l7.config.schema import Backend, BackendDefaults, Config, Section, Server
from l7.config.section import section_of
from l7.config.sections.listeners import ListenerConfig, ListenerTls
from l7.config.sections.tls import Acme, CertificateFiles, ExternalAccount, Tls
from l7.config.values.scalars import Flag, Form

INTRODUCTION = """\
.. This page is generated: python -m l7.config.rendering.reference > docs/configuration.rst

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
    ``'*.example.com'``. Several hosts, with a comma and a space between, are one backend: ``example.com,
    www.example.com:``. A word of the command line names all of them, ``example.com,www.example.com=127.0.0.1:8081``, or
    some: those are then a backend of their own, with the settings that the whole one has in the file. ``l7 server``
    knows it by each of its hosts. In YAML a key of more than 1,024 characters has ``?`` and a space before it, may have
    line breaks then, and its value stands on a line of its own, behind a colon and a space.
Texts
    YAML's guesses do not matter: ``access-log: off`` is the text ``off``, a password ``0123`` keeps its zero, ``0o17``
    is no number. A key that is given twice, a key without a value and an unknown key are refused; where a dump has
    ``null`` for none, so may a file.
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


_BACKEND = "backends.HOST"


@dataclass(frozen=True)
class Part:
    """One section of the schema: what it is called, where it stands, and the field that holds it, if one does."""

    title: str
    path: str
    section: type[Section]
    info: FieldInfo | None = None

    def words(self) -> str:
        """What is to be said of the defaults and of a section that may be ``off`` or ``true``; nothing of others."""
        if self.section is BackendDefaults and self.info is not None:
            more = (
                "Together they have to be right for a backend that says nothing itself. Each has a flag and a "
                "variable, which are named with the setting of a backend."
            )
            (example,) = self.info.examples or ("",)
            return f"{self.info.description} {more} As in `{self.path}: {example}`."
        if self.section.switch and self.info is not None:
            return f"`{self.path}`: {self.info.description}"
        if self.info is None or not any(isinstance(form, Form) for form in self.info.metadata):
            return ""
        if not self.path.startswith(_BACKEND):
            flag = next(one for one in settings() if ".".join(one.stands_for) == self.path)
            off = f"`{flag.flag.names[0]} off` and `{flag.variable}` turn it off."
            return f"`{self.path}`: {self.info.description} {off}"
        default = "and is so by default" if self.info.default is None else "it is on by default"
        off = f"`{self.path}` may be `off`, {default}."
        flags = [one for one in settings() if one.key == self.path.replace(_BACKEND, "defaults")]
        names = [f"For all backends so say `{one.flag.names[0]} off` and `{one.variable}`." for one in flags]
        return " ".join([*str(self.section.__doc__).split(), off, *names])

    def settings(self) -> Iterator[Entry]:
        """Yield the settings that stand in it, without those of the sections below it."""
        if self.section is BackendDefaults:
            return
        flagged = {setting.key: setting for setting in settings()}
        for name, info in self.section.model_fields.items():
            if section_of(info) is None:
                key = name.replace("_", "-")
                path = f"{self.path}.{key}" if self.path else key
                flag = flagged.get(path.replace(f"{_BACKEND}.", "defaults."))
                yield Entry(path, key, info, _type(info), self.section.shown(name, info.default), flag)


@dataclass(frozen=True)
class Entry:
    """One setting: its place, its field, its type in words, its default as it is written, its flag if it has one."""

    path: str
    key: str
    info: FieldInfo
    type: str
    default: Any
    flag: Setting | None

    def whom(self) -> str:
        """What the flag of a backend's setting is for."""
        return ", for all backends" if self.flag is not None and self.flag.path[0] == "defaults" else ""

    def default_in_words(self) -> str:
        """The default, between backticks where it is a value."""
        if self.info.is_required():
            return "none, it is required"
        if self.default in (None, {}, (), []):
            return "none"
        return f"`{scalar(self.default) if isinstance(self.default, bool) or not self.default else self.default}`"


def parts() -> Iterator[Part]:
    """Yield every section of the schema, in the order of reading."""
    yield Part("Settings", "", Config)
    yield Part("Listeners", "listeners[]", ListenerConfig)
    yield Part("TLS of a listener", "listeners[].tls", ListenerTls, ListenerConfig.model_fields["tls"])
    yield Part("Certificates", "tls.certificates[]", CertificateFiles)
    yield Part("ACME", "tls.acme", Acme, Tls.model_fields["acme"])
    yield Part("External account of ACME", "tls.acme.eab", ExternalAccount, Acme.model_fields["eab"])
    for key, title in _SECTIONS:
        info = Config.model_fields[key.replace("-", "_")]
        yield Part(title, key, _section(info), info)
    yield Part("Backends", _BACKEND, Backend)
    for key, title in _BACKEND_SECTIONS:
        info = Backend.model_fields[key.replace("-", "_")]
        yield Part(title, f"{_BACKEND}.{key}", _section(info), info)
    yield Part("Servers", f"{_BACKEND}.servers[]", Server)


_SECTIONS = (
    ("limits", "Limits"),
    ("timeouts", "Timeouts towards the client"),
    ("tls", "TLS"),
    ("admin", "Admin address"),
    ("tracing", "Tracing"),
    ("resolver", "Names of servers"),
    ("recorder", "Recorder"),
    ("response-headers", "Header fields of all answers"),
    ("defaults", "Defaults for backends"),
)
_BACKEND_SECTIONS = (
    ("queue", "Queue"),
    ("buffer", "Buffers"),
    ("sticky", "Sticky sessions"),
    ("health", "Health checks"),
    ("ejection", "Ejection"),
    ("tls", "TLS with servers"),
    ("timeouts", "Timeouts towards the servers"),
    ("redirect", "Redirects"),
    ("respond", "Answers without a server"),
    ("request-headers", "Header fields of requests"),
    ("response-headers", "Header fields of answers"),
    ("rate-limit", "Rate limits"),
    ("limits", "Limits of a route"),
)


_ITEMS = {"trusted-proxies": "networks", "proxy-protocol": "networks"}
"""What lists are made of that their names do not say."""


def _settings() -> Iterator[str]:
    for part in parts():
        yield from _title(part.title, "-")
        if words := part.words():
            yield from (words.replace("`", "``"), "")
        for entry in part.settings():
            yield from _setting(entry)


def _title(title: str, line: str) -> list[str]:
    return [title, line * len(title), ""]


def _setting(entry: Entry) -> Iterator[str]:
    """Yield the lines of one setting."""
    yield f".. _setting-{re.sub('[^a-z]+', '-', entry.path.lower())}:"
    yield ""
    yield from _title(f"``{entry.path}``", "~")
    yield (entry.info.description or "").replace("`", "``")
    yield ""
    if entry.flag is not None:
        flag = entry.flag.flag
        yield ":Flag: " + ", ".join(f"``{one} {flag.metavar}``" for one in flag.names) + _repeat(flag) + entry.whom()
        yield f":Environment: ``{entry.flag.variable}``{entry.whom()}"
    yield f":Type: {entry.type.replace('`', '``')}"
    yield f":Default: {entry.default_in_words().replace('`', '``')}"
    for example in entry.info.examples or (scalar(entry.default),):
        yield f":Example: ``{scalar(entry.key)}: {example}``"
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
        str(info.alias), f"list of {_ITEMS.get(str(info.alias), info.alias)}"
    )


def _section(info: FieldInfo) -> type[Section]:
    section = section_of(info)
    assert section is not None
    return section


if __name__ == "__main__":
    sys.stdout.write(page())
