"""The grammar of HTTP/1.1: each production of RFC 9110, 9112 and 3986 beside the pattern that l7 accepts for it.

Everything is ``bytes``: no decoding, no ``strip()`` or ``int()`` without a pattern before it, because both believe
in more white space and digits than HTTP does. Where the RFC leaves a choice the narrower reading is taken;
``docs/http.rst`` lists each such choice.
"""

from __future__ import annotations

import re

CRLF = b"\r\n"


def marking(allowed: bytes) -> bytes:
    """A table for ``bytes.translate`` that changes all but what is ``allowed``: a text of nothing else stays as it is.

    Deleting what is allowed would tell the same, for 1,200 instructions more a call.
    """
    return bytes(code if code in allowed else code ^ 0x80 for code in range(256))


TCHAR = b"!#$%&'*+-.^_`|~0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
"""RFC 9110, 5.6.2: ``tchar``; a ``token`` is one or more of them."""

TEXT = bytes([0x09, 0x20, *range(0x21, 0x7F), *range(0x80, 0x100)])
"""RFC 9110, 5.5: what a field line may hold: ``HTAB / SP / VCHAR / obs-text``; no CR, LF, NUL or other control."""

MARK_TCHAR = marking(TCHAR)
MARK_TEXT = marking(TEXT)

VCHAR = bytes(range(0x21, 0x7F))
"""RFC 5234, B.1: visible ASCII."""

OWS = b" \t"
"""RFC 9110, 5.6.3: optional white space."""

VERSION = re.compile(rb"HTTP/(\d)\.(\d)")
"""RFC 9112, 2.3: ``HTTP-name "/" DIGIT "." DIGIT``; the name in capitals."""

STATUS_LINE = re.compile(rb"HTTP/1\.(\d) ([1-5]\d\d)(?: ([\t \x21-\x7e\x80-\xff]*))?", re.DOTALL)
"""RFC 9112, 4: ``HTTP-version SP status-code SP [ reason-phrase ]``; the last space may be missing, as it often is."""

_PCT = rb"%[0-9A-Fa-f]{2}"
_UNRESERVED = rb"A-Za-z0-9\-._~"
_SUB_DELIMS = rb"!$&'()*+,;="

AUTHORITY = re.compile(
    rb"(\[[0-9A-Fa-f:.]{2,45}\]|(?:[" + _UNRESERVED + _SUB_DELIMS + rb"]|" + _PCT + rb")+)(?::(\d{0,5}))?"
)
"""RFC 9110, 7.2: ``uri-host [ ":" port ]``, the host an ``IP-literal`` or a ``reg-name`` (RFC 3986, 3.2.2).

It is never empty (RFC 9110, 4.2.1); what is in brackets is checked by `ipaddress`; userinfo is refused (RFC 9110,
4.2.4), a port may be empty.
"""

ABSOLUTE_FORM = re.compile(rb"(?i:https?)://([^/?]*)(/[^?]*)?(\?.*)?", re.DOTALL)
"""RFC 9112, 3.2.2: scheme, authority, path, query; other schemes are not ours to serve."""

TARGET = bytes(sorted(set(VCHAR) - set(b"#")))
"""What a request target may hold: visible ASCII without a fragment (RFC 9112, 3.2). Browsers send ``{}|^`` raw."""

MARK_TARGET = marking(TARGET)
MARK_PLAIN_TARGET = marking(bytes(sorted(set(TARGET) - set(b'"\\'))))
"""What of it can also stand between quotes as it is."""

CONTENT_LENGTH = re.compile(rb"0*(\d{1,18})")
"""RFC 9110, 8.6: ``1*DIGIT``; up to 18 digits fit an ``off_t`` and nothing overflows."""

CHUNK_SIZE = re.compile(rb"0*([0-9A-Fa-f]{1,15})")
"""RFC 9112, 7.1: ``1*HEXDIG``; 15 digits are an exabyte and fit 63 bits."""

_TOKEN = rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]+"
_QUOTED = rb'"(?:[\t \x21\x23-\x5b\x5d-\x7e\x80-\xff]|\\[\t \x21-\x7e\x80-\xff])*"'

CHUNK_EXT = re.compile(rb"(?:[ \t]*;[ \t]*" + _TOKEN + rb"(?:[ \t]*=[ \t]*(?:" + _TOKEN + rb"|" + _QUOTED + rb"))?)*")
"""RFC 9112, 7.1.1: ``*( BWS ";" BWS chunk-ext-name [ BWS "=" BWS chunk-ext-val ] )``."""

KEEP_ALIVE_TIMEOUT = re.compile(rb"(?:^|,)[ \t]*timeout[ \t]*=[ \t]*\"?(\d{1,9})\"?[ \t]*(?:,|$)", re.IGNORECASE)
"""RFC 2068, 19.7.1.1, and what servers make of it: ``timeout=5, max=100``, the time in seconds."""

MAX_FORWARDS = re.compile(rb"\d{1,9}")
"""RFC 9110, 7.6.2: ``1*DIGIT``."""

PROTOCOL = re.compile(_TOKEN + rb"(?:/" + _TOKEN + rb")?")
"""RFC 9110, 7.8: ``protocol-name ["/" protocol-version]``."""

REQUEST_ID = re.compile(rb"[!#-\[\]-~]{1,128}")
"""Ours: what a trusted proxy may send as a request id: visible ASCII without quote and backslash, bounded."""

CHALLENGES = b"/.well-known/acme-challenge/"
"""What the path of a challenge begins with."""
ACME_CHALLENGE = re.compile(re.escape(CHALLENGES) + rb"[A-Za-z0-9_-]+")
"""RFC 8555, 8.3: the one path that a certificate authority asks for; nothing else can be meant by it."""


def is_token(value: bytes) -> bool:
    """Whether ``value`` is a ``token`` (RFC 9110, 5.6.2)."""
    return bool(value) and value.translate(MARK_TCHAR) == value


def elements(value: bytes) -> list[bytes]:
    """The elements of a comma-separated list, without empty ones (RFC 9110, 5.6.1.2), in lower case."""
    return [part for part in (raw.strip(OWS).lower() for raw in value.split(b",")) if part]


def keep_alive(value: bytes) -> float:
    """The seconds that Keep-Alive announces; -1 where it announces none."""
    match = KEEP_ALIVE_TIMEOUT.search(value)
    return -1.0 if match is None else float(match.group(1))


def offered(value: bytes) -> bytes:
    """The protocols of Upgrade that may be passed on (RFC 9110, 7.8): never HTTP/2 by h2c, which nobody checks."""
    offers = [part.strip(OWS) for part in value.split(b",")]
    return b", ".join(
        try_send
        for try_send in offers
        if PROTOCOL.fullmatch(try_send) and not try_send.lower().startswith((b"h2", b"http"))
    )
