"""The parsers behind the types of `l7.config.sections.server_tls`; as those of `l7.config.values.scalars`."""

from __future__ import annotations

from typing import Any

from l7.config.values.addresses import check_host
from l7.config.values.scalars import text_of
from l7.units import quoted

OF_REQUEST = "{host}"
"""The name of a server that is the host of each request."""
_EXAMPLE = "write the name in the server's certificate, or '{host}' for the host of each request"


def server_name(value: Any) -> str | None:
    """Parse the name that a server is verified by: a host name, an IP address, or `OF_REQUEST`; None is none."""
    if value is None:
        return None
    text = text_of(value, _EXAMPLE)
    if text == OF_REQUEST:
        return text
    if "{" in text or ("*" in text and not text.strip("*.")) or not text:
        raise ValueError(f"{quoted(text)} is not a name; {_EXAMPLE}" if text else f"the name is empty; {_EXAMPLE}")
    if "/" in text or text.count(":") == 1:
        raise ValueError(f"{quoted(text)} is an address; write the name alone, without scheme, port and path")
    return check_host(text[1:-1] if text.startswith("[") else text, _EXAMPLE)
