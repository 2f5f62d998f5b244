"""The path of a request as a server reads it, and as some servers read it besides.

A route is a fence where it has rules, so one resource may have only one route, however its path is spelled. The normal
form is what nearly all servers make of a path: escapes decoded once (RFC 3986, 6.2.2.2), dot segments resolved (5.2.4),
slashes joined. It is looked at, and never sent: what goes on is what came.

Where servers differ no form is right: some take ``%2F`` or ``\\`` for a slash, cut ``;parameters`` off, end a path at
an escaped NUL, ``?`` or ``#``, keep empty segments while they resolve dots, or leave the dots that come out of all this
as they are; a proxy in between may have resolved dots before. `readings` has each way, with each other one.

In the normal form an octet stands as it is where a path may have it (``pchar``), and else as ``%XX`` in capitals. A
double escape stays one: ``%2561`` is the text ``%61``, for servers, too.
"""

from __future__ import annotations

import re
import string

from l7.errors import BAD_REQUEST, ProxyError
from l7.http.refusals import shown

_LITERAL = (string.ascii_letters + string.digits + "-._~!$&'()*+,=:@").encode()
"""RFC 3986, 3.3: ``pchar`` but ``;``, which ends what some servers read of a segment."""
_OTHERS = re.compile(rb"%%[0-9A-Fa-f]{2}|[^/;%b]" % re.escape(_LITERAL))
_PARAMETERS = re.compile(rb";[^/]*")
_ENDS = (b"%00", b"%23", b"%3F")
_READ_APART = re.compile(rb";|//|/\.|%(?:00|23|2F|3B|3F|5C)")
"""Without any of these a path has one reading."""
MOST_UPWARD = 32
"""A path with more ``..`` is refused: nobody means it, and each costs a little."""


def _written(code: int) -> bytes:
    return bytes((code,)) if code in _LITERAL else b"%%%02X" % code


_NORMAL = {bytes((code,)): b"%%%02X" % code for code in range(256)} | {
    (form % code).encode(): _written(code) for code in range(256) for form in ("%%%02x", "%%%02X")
}


def readings(path: bytes) -> list[bytes]:
    """Every way in which servers read a path (without its query), the normal form first; each only once.

    :raises ProxyError: it leads upwards more than `MOST_UPWARD` times.
    """
    spelled = _spelled(path)
    if _READ_APART.search(spelled) is None:
        return [spelled]
    if spelled.count(b"..") > MOST_UPWARD:
        raise ProxyError(BAD_REQUEST, f"more than {MOST_UPWARD} '..' in the path", seen=shown(path))
    # Who takes a backslash for a slash may take an escaped one for a part of a name (WHATWG URL).
    bases = [spelled, _spelled(path.replace(b"\\", b"/"))] if b"\\" in path else [spelled]
    texts = list(dict.fromkeys(text for base in bases for text in _texts(base)))
    found = [_resolved(_joined(text)) for text in texts]
    found += [_joined(_resolved(text)) for text in texts if b"//" in text and b"/.." in text]
    found += [_joined(text) for text in texts[1:]]
    for base in bases:  # a proxy in between may resolve dots before all this
        if len(texts) > 1 and b"/." in base:
            late = [_joined(text) for text in _texts(_resolved(_joined(base)))[1:]]
            found += [*late, *map(_resolved, late)]
    return list(dict.fromkeys(found))


def _texts(spelled: bytes) -> list[bytes]:
    """What servers make of the octets that they differ in, as it was first; dots are left as they are."""
    texts = [spelled]
    if b";" in spelled:
        texts += [_PARAMETERS.sub(b"", text) for text in texts]
    for mark in (b"%2F", b"%5C"):
        if mark in spelled:
            texts += [text.replace(mark, b"/") for text in texts]
    if b";" in spelled or b"%3B" in spelled:
        texts += [_PARAMETERS.sub(b"", text.replace(b"%3B", b";")) for text in texts]
    for mark in _ENDS:
        if mark in spelled:
            texts += [text.partition(mark)[0] for text in texts]
    return list(dict.fromkeys(texts))


def unresolved(path: bytes) -> bytes:
    """The path (without its query) as servers read it that leave dot segments to applications."""
    return _joined(_spelled(path))


def _joined(text: bytes) -> bytes:
    """Without empty segments."""
    while b"//" in text:
        text = text.replace(b"//", b"/")
    return text


def _spelled(path: bytes) -> bytes:
    """One spelling for each octet; an escape in two cases (``%2f``, ``%2F``, ``%5c``) is one."""
    return _OTHERS.sub(lambda found: _NORMAL.get(found[0]) or _NORMAL[found[0].upper()], path)


def _resolved(text: bytes) -> bytes:
    """Without dot segments (RFC 3986, 5.2.4)."""
    if text.endswith((b"/.", b"/..")):
        text += b"/"
    while b"/./" in text:
        text = text.replace(b"/./", b"/")
    while (at := text.find(b"/../")) >= 0:
        text = text[: max(text.rfind(b"/", 0, at), 0)] + text[at + 3 :]
    return text
