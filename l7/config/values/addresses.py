"""A server's address: ``http://host:port``, ``https://host:port``, ``//host:port``, ``host:port``, ``host``,
``[::1]:port``, ``unix:/path``, or ``srv:_http._tcp.example.com``, a name that DNS lists servers under.
"""

from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass

from l7.networks import host_port, normal_host
from l7.units import quoted

DEFAULT_PORT = 80
DEFAULT_TLS_PORT = 443
LONGEST_UNIX_PATH = 107
"""Bytes of ``sun_path`` on Linux, without the terminating zero."""

_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*)://")
_LABEL = re.compile(r"[A-Za-z0-9_](?:[A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?", re.ASCII)
_EXAMPLE = "write HOST:PORT, as in 127.0.0.1:8081, or unix:/path"


@dataclass(frozen=True)
class Address:
    """Where a server listens: a host (name, IPv4 or IPv6 without brackets) and a port, or the path of a unix socket.

    With ``srv`` the host is the name of an SRV record (RFC 2782), which says where its servers listen. A name that ends
    with a dot is whole: no search list is tried with it. The dot stays, so that ``a.`` and ``a`` are two servers. With
    ``tls`` the server speaks TLS: it was written with ``https://``.
    """

    host: str
    port: int
    path: str | None = None
    srv: bool = False
    tls: bool = False

    def __str__(self) -> str:
        if self.path is not None:
            return f"unix:{self.path}"
        if self.srv:
            return f"srv:{self.host}"
        return f"{'https://' if self.tls else ''}{host_port(self.host, self.port)}"

    @property
    def name(self) -> str:
        """The host without the last dot, which is for resolvers only."""
        return self.host.removesuffix(".")

    @property
    def authority(self) -> str:
        """What ``Host`` names it by; the port of https is left out where it is the usual one."""
        if self.path is not None or self.srv:
            return str(self)
        authority = host_port(self.name, self.port)
        return authority.removesuffix(f":{DEFAULT_TLS_PORT}") if self.tls else authority

    @property
    def host_field(self) -> str:
        """What servers get as Host that are to get their own: a unix socket has no name but this machine's."""
        if self.path is not None:
            return "localhost"
        return self.authority if self.tls else self.authority.removesuffix(f":{DEFAULT_PORT}")

    @property
    def named(self) -> bool:
        """Whether it has to be looked up: it is neither a path nor an IP address."""
        numeric = ":" in self.host or self.host.replace(".", "").isdigit()
        return self.path is None and (self.srv or not numeric)

    @classmethod
    def parse(cls, text: str) -> Address:
        """Read one address. Raises ValueError that says what to write; a password in it is never repeated."""
        if not text.strip():
            raise ValueError(f"the address is empty; {_EXAMPLE}")
        if "@" in text and not text.startswith("unix:"):
            raise ValueError("a login in an address is not supported; remove everything up to the '@'")
        if text.startswith("unix:"):
            return cls("", 0, unix_path(text))
        if text.startswith("srv:"):
            return cls(_service(text), 0, srv=True)
        authority, tls = _strip_scheme(text)
        for mark, what in (("?", "query"), ("#", "fragment"), ("/", "path")):
            if mark in authority:
                if authority.rstrip("/") == authority.split(mark, 1)[0]:
                    authority = authority.rstrip("/")
                    continue
                raise ValueError(f"{quoted(text)} has a {what}; {_EXAMPLE}")
        host, port = _split_port(text, authority, DEFAULT_TLS_PORT if tls else DEFAULT_PORT)
        return cls(_with_dot(check_host(host), host), port, tls=tls)


def unix_path(text: str) -> str:
    """Return the absolute path of ``unix:/path``. Raises ValueError when it cannot be a socket's."""
    path = text[len("unix:") :]
    if path.startswith("//"):
        path = "/" + path.lstrip("/")
    if not path.startswith("/") or path.endswith("/"):
        raise ValueError(f"{quoted(text)} needs an absolute path; write unix:/run/app.sock")
    if "\0" in path:
        raise ValueError(f"{quoted(text)} has a zero byte in its path")
    if len(path.encode("utf-8", "surrogateescape")) > LONGEST_UNIX_PATH:
        raise ValueError(f"the path of a unix socket may have at most {LONGEST_UNIX_PATH} bytes")
    return path


def _with_dot(name: str, written: str) -> str:
    """A checked name as it was written: with its last dot. An IP address has none."""
    return f"{name}." if written.endswith(".") and not name.replace(".", "").isdigit() else name


def check_host(host: str, advice: str = _EXAMPLE) -> str:
    """Return a host name or IP address in lower case, without a last dot.

    Raises ValueError, with ``advice``, when it can be neither.
    """
    try:
        name = normal_host(host)
    except ValueError:
        raise ValueError(f"{quoted(host)} is not an IPv6 address; {advice}") from None
    if ":" in name:
        return name
    if not name.isascii():
        raise ValueError(f"{quoted(host)} is not ASCII; write its xn-- form")
    if len(name) > 253 or not all(_LABEL.fullmatch(label) for label in name.split(".")):
        raise ValueError(f"{quoted(host)} is not a host name or an IP address; {advice}")
    if name.replace(".", "").isdigit():
        try:
            ipaddress.IPv4Address(name)
        except ValueError:
            raise ValueError(f"{quoted(host)} is not an IPv4 address; {advice}") from None
    return name


def _service(text: str) -> str:
    name = check_host(text[len("srv:") :]) if ":" not in text[len("srv:") :] else ""
    labels = name.split(".")
    if len(labels) < 3 or not all(label.startswith("_") for label in labels[:2]):
        raise ValueError(f"{quoted(text)} is not the name of a service; write it as in srv:_http._tcp.example.com")
    return _with_dot(name, text)


def _strip_scheme(text: str) -> tuple[str, bool]:
    """Return what follows ``http://``, ``https://`` or ``//``, and whether it was https; others are refused by name."""
    if text.startswith("//"):
        return text[2:], False
    scheme = _SCHEME.match(text)
    if scheme is None:
        return text, False
    name = scheme[1].lower()
    if name not in ("http", "https"):
        raise ValueError(f"{quoted(text)}: unknown scheme {quoted(scheme[1])}; {_EXAMPLE}")
    return text[scheme.end() :], name == "https"


def _split_port(text: str, authority: str, default: int) -> tuple[str, int]:
    """Return host (without brackets) and port; ``default`` is that where there is none."""
    if authority.startswith("["):
        host, bracket, rest = authority[1:].partition("]")
        if not bracket or (rest and not rest.startswith(":")) or ":" not in host:
            raise ValueError(f"{quoted(text)}: write an IPv6 address as [::1]:8081")
        colon, port = rest[:1], rest[1:]
    else:
        host, colon, port = authority.partition(":")
        if ":" in port:
            raise ValueError(f"{quoted(text)}: write an IPv6 address in brackets, as in [::1]:8081")
    if not host:
        raise ValueError(f"{quoted(text)} has no host; {_EXAMPLE}")
    if not colon:
        return host, default
    if not (port.isascii() and port.isdigit()):
        raise ValueError(f"{quoted(text)}: {quoted(port)} is not a port; {_EXAMPLE}")
    if len(port) > 5 or not 1 <= int(port) <= 65535:
        raise ValueError(f"{quoted(text)}: port {quoted(port).strip(chr(39))} is out of range; write 1 to 65535")
    return host, int(port)
