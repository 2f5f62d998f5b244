"""Where a body ends: readers that are fed what came and give back what of it is payload.

Hot: `feed` runs once per receive. A reader never keeps payload: memory is one receive whatever the body's size. What
goes on in chunks was either chunked by `rechunk`, or comes from a `ChunkedReader` that is ``framed``: it gives chunks
of the sizes that came, as they came where they are plain, so that one receive costs one look at each size line and no
copy. Extensions, odd ways to write a size and unchecked trailers end here either way.
"""

from __future__ import annotations

from l7.errors import BAD_REQUEST, BAD_RESPONSE, BODY_TOO_LARGE, ProxyError
from l7.http import fields, octets
from l7.http.fields import Table, Values
from l7.http.grammar import CHUNK_EXT, CHUNK_SIZE, CRLF, MARK_TEXT
from l7.http.messages import CHUNKED, UNTIL_CLOSE, lines_of
from l7.http.refusals import shown

LONGEST_SIZE_LINE = 1024
"""Bytes in one chunk-size line with its extensions."""
MOST_EXTENSION_BYTES = 16 * 1024
"""Bytes of chunk extensions in one body, all of which are thrown away."""

REQUEST_TRAILERS = Table(fields.TRAILER_FIELDS, BAD_REQUEST, fields.DROP, underscores=True)
RESPONSE_TRAILERS = Table(fields.TRAILER_FIELDS, BAD_RESPONSE, fields.DROP)


class BodyReader:
    """What all readers have in common: this one takes whatever comes."""

    __slots__ = ("done", "framed", "overhead", "rest", "trailers")

    def __init__(self) -> None:
        self.done = False
        """Whether the body has ended."""
        self.framed = False
        """Whether `feed` gives chunks, with their sizes and the end, instead of the payload alone."""
        self.overhead = 0
        """How many bytes of what `feed` gave last are not payload."""
        self.rest = b""
        """What came after the end."""
        self.trailers: list[bytes] = []
        """Checked field lines that followed a chunked body."""

    def feed(self, data: bytes) -> bytes:
        """The payload in ``data``, in chunks where it is `framed`; raises `ProxyError` for broken framing."""
        return data

    def ahead(self) -> int:
        """How many bytes of payload are certain to come next, with nothing between them."""
        return 0

    def skip(self, count: int) -> None:
        """Take note of ``count`` of the bytes `ahead` that went by without being fed."""


WHOLE = BodyReader()
"""For every body that came whole with its head: nothing is left to be counted."""
WHOLE.done = True


class CloseReader(BodyReader):
    """A body that ends with its connection (RFC 9112, 6.3, rule 8)."""

    __slots__ = ()


class LengthReader(BodyReader):
    """A body of ``length`` bytes (RFC 9112, 6.2)."""

    __slots__ = ("left",)

    def __init__(self, length: int) -> None:
        self.left = length
        self.done = length == 0
        self.framed = False
        self.overhead = 0
        self.rest = b""
        self.trailers: list[bytes] = []

    def feed(self, data: bytes) -> bytes:
        """All of ``data`` up to the end of the body."""
        size = len(data)
        if size < self.left:
            self.left -= size
            return data
        if size > self.left:
            self.rest = data[self.left :]
            data = data[: self.left]
        self.left = 0
        self.done = True
        return data

    def ahead(self) -> int:
        """All that is left."""
        return self.left

    def skip(self, count: int) -> None:
        """Count what went by."""
        self.left -= count
        self.done = self.left == 0


_SIZE, _DATA, _DATA_END, _TRAILERS = range(4)
_LAST_CHUNK = b"0\r\n\r\n"


class ChunkedReader(BodyReader):
    """A chunked body (RFC 9112, 7.1).

    ``most_trailers`` fields of together ``trailer_bytes`` are taken; ``table`` says which may pass, and whose
    fault a malformed body is. With ``framed`` set before the first bytes it gives the chunks, of which the last may be
    cut short, as it is by the end of what has come.
    """

    __slots__ = (
        "_begun",
        "_extensions",
        "_left",
        "_limit",
        "_lines",
        "_pending",
        "_state",
        "_table",
        "_trailer_bytes",
        "_trailer_fields",
        "_trailers_left",
    )

    def __init__(self, table: Table, trailer_fields: int, trailer_bytes: int) -> None:
        self.done = False
        self.framed = False
        self.overhead = 0
        self.rest = b""
        self.trailers: list[bytes] = []
        self._table = table
        self._trailer_fields = trailer_fields
        self._trailer_bytes = self._trailers_left = trailer_bytes
        self._limit = -1
        self._begun = 0
        self._state = _SIZE
        self._left = 0
        self._extensions = 0
        self._pending = b""
        self._lines: list[bytes] = []

    def feed(self, data: bytes) -> bytes:
        """The payload in ``data``, or its chunks; raises `ProxyError` for anything that is not coded to the letter."""
        if self._pending:
            data = self._pending + data
            self._pending = b""
        return self._chunks(data) if self.framed else self._payload(data)

    def _payload(self, data: bytes) -> bytes:
        """The payload alone."""
        pieces: list[bytes] = []
        at = 0
        end = len(data)
        while at < end and not self.done:
            if self._state == _DATA:
                size = min(self._left, end - at)
                pieces.append(octets.cut(data, at, at + size))
                at += size
                self._went_by(size)
            elif self._state == _DATA_END:
                if not self._ends_chunk(data, at):
                    break
                at += 2
            else:
                eol = data.find(CRLF, at)
                if eol < 0:
                    break
                self._line(octets.cut(data, at, eol))
                at = eol + 2
        self._leave(data, at)
        return pieces[0] if len(pieces) == 1 else b"".join(pieces)

    def _chunks(self, data: bytes) -> bytes:
        """The chunks that came, in runs that need not be changed: mostly all of ``data`` is one."""
        pieces: list[bytes] = []
        at = run = payload = 0
        end = len(data)
        while at < end and not self.done:
            if self._state == _DATA:
                size = min(self._left, end - at)
                at += size
                payload += size
                self._went_by(size)
            elif self._state == _DATA_END:
                if not self._ends_chunk(data, at):
                    break
                at += 2
            elif self._state == _SIZE and octets.size_line_end(data, at) >= 0:
                self._begin(octets.hexadecimal_at(data, at))
                at = octets.size_line_end(data, at)
            elif self._state == _SIZE and octets.starts(data, at, _LAST_CHUNK):
                self.done = True
                at += len(_LAST_CHUNK)
            else:
                eol = data.find(CRLF, at)
                if eol < 0:
                    break
                if run < at:
                    pieces.append(octets.cut(data, run, at))
                self._rewrite(octets.cut(data, at, eol), pieces)
                at = run = eol + 2
        if run < at:
            pieces.append(data if at - run == end else octets.cut(data, run, at))
        self._leave(data, at)
        data = pieces[0] if len(pieces) == 1 else b"".join(pieces)
        self.overhead = len(data) - payload
        return data

    def _rewrite(self, line: bytes, pieces: list[bytes]) -> None:
        """Write behind ``pieces`` what goes on of a line that is not a plain size."""
        self._line(line)
        if self._state == _DATA:
            pieces.append(octets.size_line(self._left))
        elif self.done:
            pieces.append(last_chunk(self.trailers))

    def _went_by(self, size: int) -> None:
        """Count payload of the present chunk."""
        self._left -= size
        if not self._left:
            self._state = _DATA_END

    def _ends_chunk(self, data: bytes, at: int) -> bool:
        """Whether the line end behind a chunk's data is there; raises `ProxyError` for anything else."""
        if octets.starts(data, at, CRLF):
            self._state = _SIZE
            return True
        if octets.octet(data, at) == 13 and len(data) - at < 2:
            return False
        raise self._broken("chunk data does not end where its size says")

    def _leave(self, data: bytes, at: int) -> None:
        """Note what is behind the end of the body, or an unfinished line, at ``at``."""
        end = len(data)
        if self.done:
            self.rest = octets.cut(data, at, end)
        elif at < end:
            self._keep(octets.cut(data, at, end))

    def ahead(self) -> int:
        """What is left of the present chunk."""
        return self._left if self._state == _DATA else 0

    def skip(self, count: int) -> None:
        """Count what went by."""
        self._went_by(count)

    def _keep(self, line: bytes) -> None:
        """Hold an unfinished line; refuse at once what cannot become one."""
        text = line[:-1] if line.endswith(b"\r") else line
        if text.translate(MARK_TEXT) != text:
            raise self._broken("control character, bare CR or bare LF in chunked coding")
        if self._state != _TRAILERS and len(text) > LONGEST_SIZE_LINE:
            raise self._long_line()
        if self._state == _TRAILERS and len(text) > max(self._trailers_left - 2, 0):
            raise self._broken(self._table.bounds.large(self._trailer_bytes, "trailers"))
        self._pending = line

    def _line(self, line: bytes) -> None:
        """A whole line: a chunk size, a trailer, or the empty line at the end."""
        if self._state == _SIZE:
            size = octets.hexadecimal(line)
            self._begin(size if size >= 0 and len(line) <= LONGEST_SIZE_LINE else self._size(line))
        elif line.translate(MARK_TEXT) != line:
            raise self._broken("control character, bare CR or bare LF in chunked coding")
        elif line:
            self._trailers_left -= len(line) + 2
            self._lines.append(line)
            if self._trailers_left < 0:
                raise self._broken(self._table.bounds.large(self._trailer_bytes, "trailers"))
            if len(self._lines) > self._trailer_fields:
                raise self._broken(self._table.bounds.many(self._trailer_fields, "trailer fields"))
        else:
            runs: list[bytes] = []
            values: Values = [None] * fields.KINDS
            text = b"\r\n".join([*self._lines, b"\r\n"])
            self._table.scan(text, 0, len(self._lines), runs, values)
            self.trailers = lines_of(runs)
            self.done = True

    def _size(self, line: bytes) -> int:
        """The size that ``line`` says where it is more than a number, or none."""
        match = CHUNK_SIZE.match(line)
        if match is None:
            raise self._broken("invalid chunk size", seen=shown(line[:8]))  # more would show a body
        if len(line) > LONGEST_SIZE_LINE:
            raise self._long_line()
        size = int(match.group(1), 16)
        extension = line[match.end() :]
        if extension:
            self._extensions += len(extension)
            if CHUNK_EXT.fullmatch(extension) is None:
                raise self._broken("invalid chunk size or extension")
            if self._extensions > MOST_EXTENSION_BYTES:
                raise self._broken(f"more than {MOST_EXTENSION_BYTES} bytes of chunk extensions in a body")
        return size

    def _begin(self, size: int) -> None:
        """A chunk of ``size`` bytes begins; the last one has none."""
        self._left = size
        self._begun += size
        if self._begun > self._limit >= 0:
            raise _body_too_large(self._limit)
        self._state = _DATA if self._left else _TRAILERS

    def bound(self, limit: int) -> None:
        """Take at most ``limit`` bytes of payload; raises `ProxyError` (413) where there are more already."""
        self._limit = limit
        if self._begun > limit:
            raise _body_too_large(limit)

    def _long_line(self) -> ProxyError:
        return self._broken(f"a chunk size with extensions of more than {LONGEST_SIZE_LINE} bytes")

    def _broken(self, detail: str, seen: str = "") -> ProxyError:
        return ProxyError(self._table.failure, detail, seen=seen)


def response_reader(length: int, trailer_fields: int, trailer_bytes: int) -> BodyReader:
    """The reader for a response whose head said ``length``."""
    if length == CHUNKED:
        return ChunkedReader(RESPONSE_TRAILERS, trailer_fields, trailer_bytes)
    if length == UNTIL_CLOSE:
        return CloseReader()
    return LengthReader(max(length, 0))


def request_reader(length: int, trailer_fields: int, trailer_bytes: int) -> BodyReader:
    """The reader for a request whose head said ``length``."""
    if length == CHUNKED:
        return ChunkedReader(REQUEST_TRAILERS, trailer_fields, trailer_bytes)
    return LengthReader(max(length, 0))


def bound_request(reader: BodyReader, length: int, limit: int) -> None:
    """Take at most ``limit`` bytes of a request whose head said ``length``; raises `ProxyError` (413), now or later."""
    if length > limit:
        raise _body_too_large(limit)
    if isinstance(reader, ChunkedReader):
        reader.bound(limit)


def _body_too_large(limit: int) -> ProxyError:
    return ProxyError(BODY_TOO_LARGE, f"larger than {limit} bytes (limits.body)")


def chunk(payload: bytes, pieces: list[bytes]) -> None:
    """Write one chunk of ``payload``, which must not be empty (an empty chunk is the end), behind ``pieces``."""
    pieces.append(octets.size_line(len(payload)))
    pieces.append(payload)
    pieces.append(b"\r\n")


def rechunk(payload: bytes, reader: BodyReader, pieces: list[bytes]) -> None:
    """Write what ``reader`` has given as a chunk of ours, and the end when that was the last, behind ``pieces``."""
    if payload:
        chunk(payload, pieces)
    if reader.done:
        pieces.append(last_chunk(reader.trailers))


def last_chunk(trailers: list[bytes]) -> bytes:
    """The end of a chunked body."""
    if not trailers:
        return _LAST_CHUNK
    return b"0\r\n" + CRLF.join(trailers) + b"\r\n\r\n"
