"""Header rules: fields that are removed, set and added, in this order, on what goes to servers and to clients.

Field lines travel as they came, in runs (`l7.http.messages`): most rules find nothing to take out of them, and only
append a line that was made with the rule. Names are compared without case; those of requests also with underscores for
hyphens, because CGI and WSGI cannot tell ``X_Env`` from ``X-Env``.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from l7.http.grammar import CRLF
from l7.rules.templates import RequestContext, Template, scheme_of

_SECURE_ONLY = b"strict-transport-security"
"""Not sent over plain http (RFC 6797, 7.2)."""


class Line:
    """A field line that a rule writes; ``fixed`` is the whole of it where it is the same for every request."""

    __slots__ = ("fixed", "key", "name", "value")

    def __init__(self, name: str, text: str) -> None:
        self.name = name.encode("ascii") + b": "
        self.key = name.lower().encode("ascii")
        """The name as it is compared."""
        self.value = Template.parse(text)
        constant = self.value.constant
        self.fixed = None if constant is None or self.key == _SECURE_ONLY else self.name + constant

    def write(self, context: RequestContext | None) -> bytes:
        """The line for a request; empty where none is sent: for a value that is empty, or holds a control character."""
        if self.key == _SECURE_ONLY and (context is None or scheme_of(context) != b"https"):
            return b""
        value = self.value.expand(context)
        return self.name + value if value else b""


class FieldChanges:
    """What a rule does to the fields of a head.

    :param remove: names.
    :param replace: values by name: all lines of that name go, this one comes.
    :param add: values by name: a line for each value comes beside those that are there.
    :param twins: whether ``X_Env`` counts as ``X-Env``.
    """

    __slots__ = ("_needles", "_twins", "_written", "lines", "names", "removed")

    def __init__(
        self,
        remove: Iterable[str] = (),
        replace: Mapping[str, str] | None = None,
        add: Mapping[str, Sequence[str]] | None = None,
        *,
        twins: bool = False,
    ) -> None:
        replace = replace or {}
        add = add or {}
        self.removed = tuple(remove)
        self.lines = [Line(name, text) for name, text in replace.items()]
        self.lines += [Line(name, text) for name, texts in add.items() for text in texts]
        self._twins = twins
        gone = dict.fromkeys(self._folded(name.encode("ascii")) for name in (*self.removed, *replace))
        self._needles = [CRLF + name + b":" for name in gone]
        self._written = _merged(self.lines)
        self.names = frozenset([*gone, *[line.key for line in self.lines]])
        """All names of which it says anything, as they are compared."""

    def apply(self, runs: list[bytes], context: RequestContext | None) -> list[bytes]:
        """The lines of a head after the changes; ``runs`` stays as it is."""
        changed = self._kept(runs) if runs and self._needles else runs[:]
        for line in self._written:
            if isinstance(line, bytes):
                changed.append(line)
            else:
                written = line.write(context)
                if written:
                    changed.append(written)
        return changed

    def _kept(self, runs: list[bytes]) -> list[bytes]:
        """The runs without the lines that go; untouched where there are none."""
        text = CRLF + (runs[0] if len(runs) == 1 else CRLF.join(runs))
        folded = self._folded(text)
        for needle in self._needles:
            at = folded.find(needle)
            while at >= 0:
                end = folded.find(CRLF, at + 2)
                text = text[:at] + (text[end:] if end >= 0 else b"")
                folded = folded[:at] + (folded[end:] if end >= 0 else b"")
                at = folded.find(needle, at)
        return [text[2:]] if text else []

    def _folded(self, text: bytes) -> bytes:
        """Names as they are compared; of the same length."""
        text = text.lower()
        return text.replace(b"_", b"-") if self._twins and b"_" in text else text


def _merged(lines: Iterable[Line]) -> list[Line | bytes]:
    """The lines in order, those that stand together and are always the same as one piece."""
    written: list[Line | bytes] = []
    for line in lines:
        if line.fixed is None:
            written.append(line)
        elif written and isinstance(written[-1], bytes):
            written[-1] += CRLF + line.fixed
        else:
            written.append(line.fixed)
    return written
