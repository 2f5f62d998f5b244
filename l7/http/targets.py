"""Request lines beyond the everyday: versions other than ours, and targets that are no path. Seldom asked."""

from __future__ import annotations

from l7.errors import BAD_REQUEST, METHOD_NOT_ALLOWED, ProxyError
from l7.http.authority import host_of
from l7.http.grammar import ABSOLUTE_FORM, VERSION

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
