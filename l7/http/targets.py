"""Request lines beyond the everyday: versions other than ours, targets that are no path, and where one leads on https.

Seldom asked.
"""

from __future__ import annotations

from l7.errors import BAD_REQUEST, METHOD_NOT_ALLOWED, ProxyError
from l7.http.authority import default_port, host_of
from l7.http.grammar import ABSOLUTE_FORM, ACME_CHALLENGE, VERSION
from l7.http.messages import RequestHead

_ESCAPED = {code: b"%%%02X" % code for code in range(0x80, 0x100)}

OTHER = 2
"""The minor version of what is not HTTP/1."""


def minor_of(version: bytes) -> int:
    """The minor version as l7 treats it, or `OTHER`: higher ones of HTTP/1 are spoken to as 1.1 (RFC 9110, 2.5)."""
    match = VERSION.fullmatch(version)
    if match is None:
        raise ProxyError(BAD_REQUEST, "malformed HTTP version")
    if match.group(1) != b"1":
        return OTHER
    return 0 if match.group(2) == b"0" else 1


def escaped(target: bytes) -> bytes:
    """A target with raw UTF-8 in its path or query as a URI has it: each byte above 127 as ``%XX`` (RFC 3986, 2.5).

    Raises `ProxyError` for what is not UTF-8, and for a host with such bytes: its form is ``xn--`` (RFC 5890).
    """
    try:
        target.decode("utf-8")
    except UnicodeDecodeError:
        raise ProxyError(BAD_REQUEST, "bytes in the request target that are not UTF-8") from None
    match = ABSOLUTE_FORM.fullmatch(target)
    if not target.startswith(b"/") and (match is None or not match[1].isascii()):
        raise ProxyError(BAD_REQUEST, "invalid character in the request target")
    return b"".join(_ESCAPED.get(code) or bytes((code,)) for code in target)


def take_target(method: bytes, target: bytes) -> tuple[bytes, bytes]:
    """Path and authority of a target not in origin-form (RFC 9112, 3.2.2 to 3.2.4); ``*`` names no authority."""
    if method == b"CONNECT":
        host_of(target)
        if not target.rpartition(b":")[2].isdigit():
            raise ProxyError(BAD_REQUEST, "CONNECT needs a host and a port")
        raise ProxyError(METHOD_NOT_ALLOWED, "l7 is no forward proxy: CONNECT is not allowed")
    if target == b"*":
        if method != b"OPTIONS":
            raise ProxyError(BAD_REQUEST, "the target * is for OPTIONS only")
        return target, b""
    match = ABSOLUTE_FORM.fullmatch(target)
    if match is None:
        raise ProxyError(BAD_REQUEST, "malformed request target")
    authority, path, query = match.groups()
    host_of(authority)
    if method == b"OPTIONS" and path is None and query is None:
        return b"*", authority
    return (path or b"/") + (query or b""), authority


def is_challenge(head: RequestHead) -> bool:
    """Whether a request asks for the HTTP challenge of a certificate authority (RFC 8555, 8.3)."""
    return head.method in (b"GET", b"HEAD") and ACME_CHALLENGE.fullmatch(head.path) is not None


def https_location(head: RequestHead, port: int) -> str:
    """The URL of what is asked for on https: the host without the port that was asked for, the target byte for byte.

    ``port`` is written where it is not that of https. Raises `ProxyError` for what has no place there.
    """
    if not head.host:
        raise ProxyError(BAD_REQUEST, "this port leads to https, which needs a Host")
    if head.path == b"*":
        raise ProxyError(BAD_REQUEST, "this port leads to https, and * is nowhere there")
    shown = b"" if b"%d" % port == default_port(b"https") else b":%d" % port
    return f"https://{head.host}{shown.decode('ascii')}{head.path.decode('ascii')}"
