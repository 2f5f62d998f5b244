"""The parsers behind the schema's types that only listeners have. Each raises ValueError in words for the user."""

from __future__ import annotations

import ipaddress
from typing import Any

from l7.config.values import scalars
from l7.config.values.addresses import Address, unix_path
from l7.config.values.backend import switch
from l7.units import quoted

FIRST_TLS_PORT = 0
"""A redirect to the port of the first listener with TLS, whatever that is."""
_EXAMPLE = "write it as in '*:80', 10.0.0.5:8443, '[::1]:80' or unix:/run/l7.sock"
_port = scalars.whole(0, 65535)
_https_port = scalars.whole(1, 65535)


def listen_address(value: Any) -> Address:
    """Parse where to listen: ``*:PORT``, an IP address with its port, or ``unix:/path``."""
    if isinstance(value, Address):
        return value
    text = scalars.text_of(value, _EXAMPLE)
    if text.startswith("unix:"):
        return Address("", 0, unix_path(text))
    host, colon, port = text.rpartition(":")
    if not colon or (":" in host and not (host.startswith("[") and host.endswith("]"))):
        raise ValueError(f"{quoted(text)} has no port; {_EXAMPLE}")
    return Address(_host(text, host), _port(port))


def _host(text: str, host: str) -> str:
    if host in ("*", "localhost"):
        return "*" if host == "*" else "127.0.0.1"
    try:
        return str(ipaddress.ip_address(host[1:-1] if host.startswith("[") else host))
    except ValueError:
        raise ValueError(f"{quoted(text)} is not an IP address with a port; {_EXAMPLE}") from None


def tls(value: Any) -> Any:
    """``true`` is TLS with nothing particular, ``false`` is none; a section stands for itself."""
    if value is None:
        raise ValueError("write true, false or a mapping, `key: value`")
    if not isinstance(value, (str, bool)):
        return value
    return {} if switch(value) else None


def show_tls(value: Any) -> Any:
    """Show that there is no TLS as ``false``."""
    return False if value is None else value


def redirect_to_https(value: Any) -> Any:
    """Parse ``true`` (`FIRST_TLS_PORT`), ``false`` (None, no redirect) or a port."""
    if value is None:
        raise ValueError("write true, false or a port")
    if isinstance(value, bool) or (isinstance(value, str) and not value.isdigit()):
        try:
            return FIRST_TLS_PORT if switch(value) else None
        except ValueError:
            raise ValueError(f"{quoted(str(value))} is neither true nor false nor a port") from None
    return _https_port(value)


def show_redirect(value: Any) -> Any:
    """Show it as it is written."""
    return {FIRST_TLS_PORT: True, None: False}.get(value, value)
