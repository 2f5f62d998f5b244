"""Header rules: fields that are removed, set and added, in this order, on what goes to servers and to clients.

Field lines travel as they came, in runs (`l7.http.messages`): most rules find nothing to take out of them, and only
append a line that was made with the rule. Names are compared without case; those of requests also with underscores for
hyphens, because CGI and WSGI cannot tell ``X_Env`` from ``X-Env``.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from l7.http import octets
from l7.http.grammar import CRLF
from l7.rules.context import RuleContext
from l7.rules.templates import Template, scheme_of

_SECURE_ONLY = b"strict-transport-security"
"""Not sent over plain http (RFC 6797, 7.2)."""
_STRANGE = frozenset(b"_^~")
"""What `octets.line_named` cannot tell from other octets."""
# As the compiler's own integers: see the .pxd.
_SPACE = 0x20
_HYPHEN = 0x2D
_UNDERSCORE = 0x5F
_LOWER = 0x20


class Line:
    """A field line that a rule writes; ``fixed`` is the whole of it where it is the same for every request."""

    __slots__ = ("_secure", "fixed", "key", "name", "value")

    def __init__(self, name: str, text: str) -> None:
        self.name = name.encode("ascii") + b": "
        self.key = name.lower().encode("ascii")
        """The name as it is compared."""
        self.value = Template.parse(text)
        constant = self.value.constant
        self._secure = self.key == _SECURE_ONLY
        self.fixed = None if not constant or self._secure else self.name + constant

    def write(self, context: RuleContext) -> bytes:
        """The line for a request; empty where none is sent: for a value that is empty, or holds a control character."""
        if self._secure and scheme_of(context) != b"https":
            return b""
        value = self.value.expand(context)
        if not value:
            return b""
        if value[0] == _SPACE or value[-1] == _SPACE:
            value = value.strip(b" ")
        return self.name + value if value else b""


class FieldChanges:
    """What a rule does to the fields of a head.

    :param remove: names.
    :param replace: values by name: all lines of that name go, this one comes.
    :param add: values by name: a line for each value comes beside those that are there.
    :param twins: whether ``X_Env`` counts as ``X-Env``.
    """

    __slots__ = (
        "_fixed",
        "_gone",
        "_initials",
        "_quick",
        "_strange",
        "_twins",
        "_written",
        "lines",
        "names",
        "removed",
    )

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
        self._gone = frozenset([self._folded(name.encode("ascii")) for name in (*self.removed, *replace)])
        self._quick = sorted(self._gone)
        self._strange = bool(_STRANGE & {*b"".join(self._quick)})
        """Whether there is a name that `octets.line_named` cannot look for."""
        initials = {name[0] | _LOWER for name in self._gone}
        if twins and _HYPHEN in initials:
            initials.add(_UNDERSCORE | _LOWER)
        self._initials = bytes([code in initials for code in range(256)])
        """By octet, in lower case, whether a name that goes begins with it."""
        self._written = _merged(self.lines)
        self._fixed = b""
        """All lines that are written, where these are the same for every request."""
        if len(self._written) == 1 and isinstance(self._written[0], bytes):
            self._fixed = self._written[0]
        self.names = self._gone | {line.key for line in self.lines}
        """All names of which it says anything, as they are compared."""

    def apply(self, runs: list[bytes], context: RuleContext) -> list[bytes]:
        """The lines of a head after the changes; ``runs`` stays as it is."""
        changed = self._kept(runs) if self._gone else runs[:]
        if self._fixed:
            changed.append(self._fixed)
        else:
            self._write(changed, context)
        return changed

    def _write(self, changed: list[bytes], context: RuleContext) -> None:
        for line in self._written:
            if isinstance(line, bytes):
                changed.append(line)
            else:
                other: Line = line
                written = other.write(context)
                if written:
                    changed.append(written)

    def _kept(self, runs: list[bytes]) -> list[bytes]:
        """The runs without the lines that go."""
        kept: list[bytes] = []
        for run in runs:
            size = len(run)
            at = self._going(run, 0)
            if at == size:
                kept.append(run)
                continue
            start = 0  # where what is kept begins
            while at < size:
                if at > start:
                    kept.append(octets.cut(run, start, at - 2))
                start = octets.text_end(run, at) + 2
                at = self._going(run, start) if start < size else size
            if start < size:
                kept.append(octets.cut(run, start, size))
        return kept

    def _going(self, run: bytes, at: int) -> int:
        """The first line of ``run`` that goes, from the one that begins at ``at`` on; its length without one."""
        if not self._strange:
            return octets.line_named(run, at, self._initials, self._quick, self._twins)
        size = len(run)
        at = octets.line_among(run, at, self._initials)
        while at < size and self._folded(run[at : run.find(b":", at)]) not in self._gone:
            end = octets.text_end(run, at) + 2
            at = octets.line_among(run, end, self._initials) if end < size else size
        return at

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
