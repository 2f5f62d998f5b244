"""What becomes of one answer on a route that compresses: its coding, and its fields with and without it."""

from __future__ import annotations

from l7.http.fields import name_of
from l7.http.grammar import elements
from l7.http.messages import ABSENT, RequestHead, ResponseHead, lines_of
from l7.rules.compression.eligibility import AnswerFields, may_compress, request_values, transforms_forbidden
from l7.rules.compression.entity_tags import as_the_client_knows, weakened, with_strong_forms
from l7.rules.compression.negotiation import choose

NOT_MODIFIED = 304

_VARY = b"accept-encoding"
_OF_OTHER_BYTES = frozenset((b"accept-ranges", b"content-digest", b"repr-digest", b"digest", b"content-md5"))
"""Fields of an answer that say something of its bytes (RFC 9110, 14.3; RFC 9530): no longer true of others."""


class Asked:
    """What a client has asked for, before rules changed its request: the ``coding`` that it may get, None for none."""

    __slots__ = ("_conditions", "coding")

    def __init__(self, head: RequestHead, codings: tuple[bytes, ...]) -> None:
        """Note what ``head`` asks for, of a route that offers ``codings``; tell the server both forms of tags."""
        accepted, control = request_values(head.runs)
        untouched = not head.minor or head.upgrade or transforms_forbidden(control)
        self.coding = None if untouched else choose(accepted, codings)
        told = with_strong_forms(head.runs)
        self._conditions = head.runs if told is not head.runs else []
        head.runs = told

    def plan(self, response: ResponseHead, own_cookie: bytes = b"") -> Plan | None:
        """What becomes of a final answer; None where nothing does.

        ``own_cookie`` is the Set-Cookie line that l7 itself has added, empty without one.
        """
        fields = AnswerFields(response.runs)
        if response.status == NOT_MODIFIED:
            return Plan(None, self._not_modified(response, fields), [])
        if not may_compress(response, fields, own_cookie):
            return None
        plain = varying(response.runs, fields)
        return Plan(self.coding, plain, coded(plain, self.coding) if self.coding is not None else [])

    def _not_modified(self, response: ResponseHead, fields: AnswerFields) -> list[bytes]:
        """The fields of a 304: those that the 200 would have (RFC 9110, 15.4.5), which may have been compressed."""
        runs = varying(response.runs, fields)
        tag = fields.value(b"etag")
        known = as_the_client_knows(tag, self._conditions)
        return runs if known == tag else _with_tag(runs, known)


class Plan:
    """The ``coding`` of an answer, None for none, and its field lines: as it is, and in the coding."""

    __slots__ = ("coding", "plain", "runs")

    def __init__(self, coding: bytes | None, plain: list[bytes], runs: list[bytes]) -> None:
        self.coding = coding
        self.plain = plain
        self.runs = runs


def varying(runs: list[bytes], fields: AnswerFields) -> list[bytes]:
    """The fields of an answer that another client may get in a coding: caches are told (RFC 9110, 12.5.5)."""
    named = elements(fields.value(b"vary"))
    if _VARY in named or b"*" in named:
        return runs
    if not named:
        return [*runs, b"Vary: Accept-Encoding"]
    lines = lines_of(runs)
    last = max(place for place, line in enumerate(lines) if name_of(line) == b"vary")
    lines[last] = lines[last].rstrip(b" \t,") + b", Accept-Encoding"
    return lines


def coded(runs: list[bytes], coding: bytes) -> list[bytes]:
    """The fields of an answer that is compressed."""
    lines = []
    for line in lines_of(runs):
        name = name_of(line)
        if name == b"etag":
            lines.append(b"ETag: " + weakened(line[5:].strip(b" \t")))
        elif name not in _OF_OTHER_BYTES:
            lines.append(line)
    lines.append(b"Content-Encoding: " + coding)
    return lines


def true_of_other_bytes(lines: list[bytes]) -> list[bytes]:
    """Those of the trailers of an answer that hold when it is compressed, too."""
    return [line for line in lines if name_of(line) not in _OF_OTHER_BYTES]


def _with_tag(runs: list[bytes], tag: bytes) -> list[bytes]:
    return [b"ETag: " + tag if name_of(line) == b"etag" else line for line in lines_of(runs)]


def head_of(response: ResponseHead, runs: list[bytes], length: int) -> ResponseHead:
    """A copy of an answer's head with other fields, whose body is framed by ``length``, as in `ResponseHead`."""
    head = ResponseHead(response.start)
    head.persistent = response.persistent
    head.runs = runs
    head.length = length
    head.declared = length if length >= 0 else ABSENT
    head.digits = b"%d" % length if length >= 0 else b""
    head.upgrade = response.upgrade
    head.dated = response.dated
    return head
