"""The path of a request as a server reads it, and as some servers read it besides.

A route is a fence where it has rules, so one resource may have only one route, however its path is spelled. The normal
form is what nearly all servers make of a path: escapes decoded once (RFC 3986, 6.2.2.2), dot segments resolved (5.2.4),
slashes joined. It is looked at, and never sent: what goes on is what came.

Where servers differ no form is right: some take ``%2F`` or ``\\`` for a slash, cut ``;parameters`` off, end a path at
an escaped NUL, ``?`` or ``#``, keep empty segments while they resolve dots, or leave the dots that come out of all this
as they are; a proxy in between, or the server itself, may have resolved dots before it decodes anything. `readings` has
each way, with each other one.

In the normal form an octet stands as it is where a path may have it (``pchar``), and else as ``%XX`` in capitals. A
double escape stays one: ``%2561`` is the text ``%61``, for servers, too.
"""

from __future__ import annotations

import math
import re
import string

from l7.errors import BAD_REQUEST, ProxyError
from l7.http.refusals import shown

_LITERAL = (string.ascii_letters + string.digits + "-._~!$&'()*+,=:@").encode()
"""RFC 3986, 3.3: ``pchar`` but ``;``, which ends what some servers read of a segment."""
_OTHERS = re.compile(rb"%%[0-9A-Fa-f]{2}|[^/;%b]" % re.escape(_LITERAL))
_PARAMETERS = re.compile(rb";[^/]*")
_ENDS = (b"%00", b"%23", b"%3F")
_ESCAPED_DOT = re.compile(rb"/(?:\.?%2[eE]|%2[eE]\.)")
_READ_APART = re.compile(rb";|//|/\.|%(?:00|23|2F|3B|3F|5C)")
"""Without any of these a path has one reading."""
MOST_UPWARD = 32
"""A path with more ``..`` is refused: nobody means it, and each costs a little."""
_FORMS = {b";": 4, b"%2F": 2, b"%5C": 4, b"%3B": 2, b"%00": 2, b"%23": 2, b"%3F": 2}
"""How many times as many texts there may be for each of what servers differ in."""
MOST_READ = 256 * 1024
"""Bytes of all texts that servers may make of one path: more are refused. Only a long path with nearly all of what they
differ in has as many, and to read them takes milliseconds, in which a worker does nothing else."""


def _written(code: int) -> bytes:
    return bytes((code,)) if code in _LITERAL else b"%%%02X" % code


_NORMAL = {bytes((code,)): b"%%%02X" % code for code in range(256)} | {
    (form % code).encode(): _written(code) for code in range(256) for form in ("%%%02x", "%%%02X")
}


def readings(path: bytes) -> list[bytes]:
    """Every way in which servers read a path (without its query), the normal form first; each only once.

    :raises ProxyError: it leads upwards more than `MOST_UPWARD` times, or has more than `MOST_READ` to read.
    """
    spelled = _spelled(path)
    if _READ_APART.search(spelled) is None:
        return [spelled]
    if spelled.count(b"..") > MOST_UPWARD:
        raise ProxyError(BAD_REQUEST, f"more than {MOST_UPWARD} '..' in the path", seen=shown(path))
    if len(path) * math.prod([count for mark, count in _FORMS.items() if mark in spelled]) > MOST_READ:
        raise ProxyError(BAD_REQUEST, "servers may read so long a path in too many ways", seen=shown(path))
    # Who takes a backslash for a slash may take an escaped one for a part of a name (WHATWG URL).
    paths = [path, path.replace(b"\\", b"/")] if b"\\" in path else [path]
    texts = list(dict.fromkeys(text for one in paths for text in _texts(_spelled(one))))
    found = [_resolved(_joined(text)) for text in texts]
    found += [_joined(_resolved(text)) for text in texts if b"//" in text and b"/.." in text]
    found += [_joined(text) for text in texts[1:]]
    if len(texts) > 1 or _ESCAPED_DOT.search(path) is not None:
        for left in dict.fromkeys(left for one in paths for left in _dots_before(one)):
            late = [_joined(text) for text in _texts(left)]
            found += [*late[1:], *map(_resolved, late)]
    found += [form.partition(mark)[0] for mark in _ENDS if mark in spelled for form in found]
    return list(dict.fromkeys(found))


def _dots_before(path: bytes) -> list[bytes]:
    """What is left of a path where dots are resolved before it is decoded: all of them, or those alone that are plain.

    An empty segment is one to some of those who do so, and none to others; parameters are cut off before, or are not.
    """
    left: list[bytes] = []
    for text in (path, _PARAMETERS.sub(b"", path)) if b";" in path else (path,):
        spelled = _spelled(text)
        if b"/." in spelled:
            left += [_resolved(form) for form in (spelled, _joined(spelled))]
            if b"/." in text and _ESCAPED_DOT.search(text) is not None:
                left += [_spelled(_resolved(form)) for form in (text, _joined(text))]
    return left


def _texts(spelled: bytes) -> list[bytes]:
    """What servers make of the octets that they differ in, as it was first; dots are left as they are."""
    texts = _ended([spelled])  # before parameters are cut off, which may have the mark in them, and after
    if b";" in spelled:
        texts += [_PARAMETERS.sub(b"", text) for text in texts]
    for mark in (b"%2F", b"%5C"):
        if mark in spelled:
            texts += [text.replace(mark, b"/") for text in texts]
    if b";" in spelled or b"%3B" in spelled:
        texts += [_PARAMETERS.sub(b"", text.replace(b"%3B", b";")) for text in texts]
        if b"%5C" in spelled:
            texts += [text.replace(b"%5C", b"/") for text in texts]
    return _ended(texts)


def _ended(texts: list[bytes]) -> list[bytes]:
    """The same, and each as it is where it ends at one of the marks that some end at; each only once."""
    for mark in _ENDS:
        texts = [*texts, *[text.partition(mark)[0] for text in texts if mark in text]]
    return list(dict.fromkeys(texts))


def unresolved(path: bytes) -> bytes:
    """The path (without its query) as servers read it that leave dot segments to applications."""
    return _joined(_spelled(path))


def dots_left(path: bytes) -> list[bytes]:
    """Every way in which dot segments come to an application, each only once.

    All of them do; or, where a proxy before its server has resolved the plain ones, those that were escaped.
    """
    found = [unresolved(path)]
    if b"%2" in path:
        for text in (path, path.replace(b"\\", b"/")) if b"\\" in path else (path,):
            found += [unresolved(_resolved(form)) for form in (text, _joined(text))]
    return list(dict.fromkeys(found))


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
