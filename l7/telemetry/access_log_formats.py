"""One finished exchange as one line of the access log: nginx's ``combined``, our ``l7``, and ``json``.

Every line is ASCII, ends with its only newline and has a fixed number of fields: nothing that a client or a server
sends can end a line, leave its quotes or add a field. Bytes that could are written ``\\xHH``, as nginx's default
escaping does; a space is escaped, too, where a field stands without quotes.

Hot: a line of the format ``l7`` takes 5,700 of a request's 57,000 instructions. The whole line is one format string;
escaped values are cached, and values known to need no escaping are not checked again.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from json.encoder import encode_basestring_ascii as quote

from l7.exchange import Exchange
from l7.http.grammar import marking

_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
_PRINTABLE = bytes([code for code in range(0x20, 0x7F) if code not in b'"\\'])
_MARKED = marking(_PRINTABLE)
_QUOTED = {code: chr(code) if code in _PRINTABLE else f"\\x{code:02X}" for code in range(256)}
_REMEMBERED = 1024
_SHORT = 512
_BARE = {**_QUOTED, 0x20: "\\x20"}


def escape(raw: bytes) -> str:
    """Write ``raw`` as it may stand between quotes: ``"``, ``\\`` and all but printable ASCII as ``\\xHH``."""
    return raw.decode("latin-1").translate(_QUOTED)


def escape_bare(raw: bytes) -> str:
    """Write ``raw`` as it may stand without quotes: spaces are escaped, too."""
    return raw.decode("latin-1").translate(_BARE)


def _bare(text: str) -> str:
    return escape_bare(text.encode("utf-8", "backslashreplace"))


class LocalTime:
    """The local time of a moment as logs write it; everything but the milliseconds is made once a second."""

    __slots__ = ("_iso", "_nginx", "_second", "_zone")

    def __init__(self) -> None:
        self._second = -1
        self._nginx = self._iso = self._zone = ""

    def nginx(self, now: float) -> str:
        """Give ``10/Oct/2000:13:55:36 -0700`` for seconds since 1970; months are English in every locale."""
        if int(now) != self._second:
            self._turn(int(now))
        return self._nginx

    def iso(self, now: float) -> str:
        """Give ``2000-10-10T13:55:36.123-07:00`` for seconds since 1970."""
        second = int(now)
        if second != self._second:
            self._turn(second)
        return f"{self._iso}.{int((now - second) * 1000):03d}{self._zone}"

    def _turn(self, second: int) -> None:
        at = time.localtime(second)
        minutes = abs(at.tm_gmtoff) // 60
        sign, hours, rest = "-" if at.tm_gmtoff < 0 else "+", minutes // 60, minutes % 60
        clock = f"{at.tm_hour:02d}:{at.tm_min:02d}:{at.tm_sec:02d}"
        month = _MONTHS[at.tm_mon - 1]
        self._nginx = f"{at.tm_mday:02d}/{month}/{at.tm_year}:{clock} {sign}{hours:02d}{rest:02d}"
        self._iso = f"{at.tm_year}-{at.tm_mon:02d}-{at.tm_mday:02d}T{clock}"
        self._zone = f"{sign}{hours:02d}:{rest:02d}"
        self._second = second


def milliseconds(seconds: float) -> int:
    """Give whole milliseconds; -1 for a phase that was not reached."""
    return int(seconds * 1000.0) if seconds >= 0.0 else -1


class CombinedFormat:
    """nginx's ``combined``: client, user, time, request, status, bytes, referer and user agent."""

    __slots__ = ("_bare", "_local", "_now", "_quoted")

    def __init__(self, now: Callable[[], float] = time.time) -> None:
        self._now = now
        self._local = LocalTime()
        # Caches of escaped values: clients, hosts, servers and user agents are few, requests are many.
        self._bare: dict[str, str] = {}
        self._quoted: dict[bytes, str] = {}

    def line(self, exchange: Exchange) -> str:
        """Write the line with its newline."""
        return (
            f"{self.bare(exchange.client)} - {self.user(exchange)} [{self._local.nginx(self._now())}] "
            f'"{self.request(exchange)}" {exchange.status:03d} {exchange.sent} '
            f'"{self.quoted(exchange.referer)}" "{self.quoted(exchange.user_agent)}"\n'
        )

    def request(self, exchange: Exchange) -> str:
        """The request line as it stands between quotes."""
        line = exchange.request_line
        if exchange.clean or line.translate(_MARKED) == line:
            return line.decode("ascii") or "-"
        return escape(line)

    def user(self, exchange: Exchange) -> str:
        """The login as it stands without quotes."""
        return escape_bare(exchange.user) if exchange.user else "-"

    def bare(self, text: str) -> str:
        """``text`` as it stands without quotes, ``-`` for nothing."""
        written = self._bare.get(text)
        if written is None:
            written = _bare(text) or "-"
            if len(self._bare) >= _REMEMBERED:
                self._bare.clear()
            if len(text) <= _SHORT:
                self._bare[text] = written
        return written

    def quoted(self, raw: bytes) -> str:
        """``raw`` as it stands between quotes, ``-`` for nothing."""
        written = self._quoted.get(raw)
        if written is None:
            written = escape(raw) or "-"
            if len(self._quoted) >= _REMEMBERED:
                self._quoted.clear()
            if len(raw) <= _SHORT:
                self._quoted[raw] = written
        return written


class L7Format(CombinedFormat):
    """The ``l7`` format: combined, then the proxy's own fields.

    The request id, the host, the server, ``queue/connect/first-byte/total`` in milliseconds (-1: not reached),
    attempts, bytes of request body, in quotes the reason of a failure, and the termination code.
    """

    __slots__ = ()

    def line(self, exchange: Exchange) -> str:
        """Write the line with its newline."""
        queue = milliseconds(exchange.queue_time)
        connect = milliseconds(exchange.connect_time)
        response = milliseconds(exchange.response_time)
        total = milliseconds(exchange.total_time)
        reason = "-" if exchange.failure is None else escape(reason_of(exchange))
        # The beginning is that of `CombinedFormat.line`, written in one go because most requests are logged this
        # way.
        return (
            f"{self.bare(exchange.client)} - {self.user(exchange)} [{self._local.nginx(self._now())}] "
            f'"{self.request(exchange)}" {exchange.status:03d} {exchange.sent} '
            f'"{self.quoted(exchange.referer)}" "{self.quoted(exchange.user_agent)}" '
            f"{exchange.request_id or '-'} {self.bare(exchange.host)} "
            f"{self.bare(exchange.server)} {queue}/{connect}/{response}/{total} "
            f'{exchange.attempts} {exchange.received} "{reason}" {exchange.code}\n'
        )


class JsonFormat(CombinedFormat):
    """The same fields as one JSON object a line; what is empty is ``""``, bytes that are not UTF-8 are ``\\xHH``."""

    __slots__ = ()

    def line(self, exchange: Exchange) -> str:
        """Write the line with its newline."""
        x = exchange
        return (
            f'{{"time": "{self._local.iso(self._now())}", "client": {quote(x.client)}, "user": {_text(x.user)}, '
            f'"request": {_text(x.request_line)}, "status": {x.status}, "bytes_sent": {x.sent}, '
            f'"referer": {_text(x.referer)}, "user_agent": {_text(x.user_agent)}, '
            f'"request_id": {quote(x.request_id)}, "host": {quote(x.host)}, "server": {quote(x.server)}, '
            f'"queue": {milliseconds(x.queue_time)}, "connect": {milliseconds(x.connect_time)}, '
            f'"first_byte": {milliseconds(x.response_time)}, "total": {milliseconds(x.total_time)}, '
            f'"attempts": {x.attempts}, "bytes_received": {x.received}, '
            f'"reason": {_text(reason_of(x))}, "termination": {quote(x.code)}}}\n'
        )


def reason_of(exchange: Exchange) -> bytes:
    """Why the request failed, for operators; empty when it did not."""
    return b"" if exchange.failure is None else exchange.failure.reason.encode("utf-8", "backslashreplace")


def _text(raw: bytes) -> str:
    return quote(raw.decode("utf-8", "backslashreplace"))


FORMATS: dict[str, type[CombinedFormat]] = {"combined": CombinedFormat, "l7": L7Format, "json": JsonFormat}
"""Every value of ``access-log-format``."""
