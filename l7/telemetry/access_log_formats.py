"""One finished exchange as one line of the access log: nginx's ``combined``, our ``l7``, and ``json``.

Every line is ASCII, ends with its only newline and has a fixed number of fields: nothing that a client or a server
sends can end a line, leave its quotes or add a field. Bytes that could are written ``\\xHH``, as nginx's default
escaping does; a space is escaped, too, where a field stands without quotes.

Hot: written into the log's buffer in place, without an object for the line or any part of it.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from json.encoder import encode_basestring_ascii as quote

from l7.exchange import Exchange
from l7.telemetry import line_writing as lines

_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")


class LocalTime:
    """The local time of a moment as logs write it; everything but the milliseconds is made once a second."""

    __slots__ = ("_iso", "_nginx", "_second", "_zone")

    def __init__(self) -> None:
        self._second = -1
        self._nginx = b""
        self._iso = self._zone = ""

    def nginx(self, now: float) -> bytes:
        """Give ``10/Oct/2000:13:55:36 -0700`` for seconds since 1970; months are English in every locale."""
        second = int(now)
        if second != self._second:
            self._turn(second)
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
        self._nginx = f"{at.tm_mday:02d}/{month}/{at.tm_year}:{clock} {sign}{hours:02d}{rest:02d}".encode("ascii")
        self._iso = f"{at.tm_year}-{at.tm_mon:02d}-{at.tm_mday:02d}T{clock}"
        self._zone = f"{sign}{hours:02d}:{rest:02d}"
        self._second = second


def milliseconds(seconds: float) -> int:
    """Give whole milliseconds; -1 for a phase that was not reached."""
    return int(seconds * 1000.0) if seconds >= 0.0 else -1


class CombinedFormat:
    """nginx's ``combined``: client, user, time, request, status, bytes, referer and user agent."""

    __slots__ = ("_local", "_now")

    def __init__(self, now: Callable[[], float] = time.time) -> None:
        self._now = now
        self._local = LocalTime()

    def line(self, exchange: Exchange) -> str:
        """The line with its newline."""
        buffer = bytearray()
        return buffer[: self.write(buffer, 0, exchange)].decode("ascii")

    def write(self, buffer: bytearray, at: int, exchange: Exchange) -> int:
        """Write the line with its newline into ``buffer`` at ``at``; returns the place behind it."""
        return lines.put(buffer, self._write_combined(buffer, at, exchange), b'"\n')

    def _write_combined(self, buffer: bytearray, at: int, exchange: Exchange) -> int:
        """Write all but the last quote."""
        at = lines.put_text(buffer, at, exchange.client)
        at = lines.put(buffer, at, b" - ")
        at = lines.put_bare(buffer, at, exchange.user)
        at = lines.put(buffer, at, b" [")
        at = lines.put(buffer, at, self._local.nginx(self._now()))
        at = lines.put(buffer, at, b'] "')
        at = lines.put_quoted(buffer, at, exchange.request_line)
        at = lines.put(buffer, at, b'" ')
        at = lines.put_number(buffer, at, exchange.status, 3)
        at = lines.put(buffer, at, b" ")
        at = lines.put_number(buffer, at, exchange.sent, 1)
        at = lines.put(buffer, at, b' "')
        at = lines.put_quoted(buffer, at, exchange.referer)
        at = lines.put(buffer, at, b'" "')
        return lines.put_quoted(buffer, at, exchange.user_agent)


class L7Format(CombinedFormat):
    """The ``l7`` format: combined, then the proxy's own fields.

    The request id, the host, the server, ``queue/connect/first-byte/total`` in milliseconds (-1: not reached),
    attempts, bytes of request body, in quotes the reason of a failure, and the termination code.
    """

    __slots__ = ()

    def write(self, buffer: bytearray, at: int, exchange: Exchange) -> int:
        """Write the line with its newline."""
        at = self._write_combined(buffer, at, exchange)
        at = lines.put(buffer, at, b'" ')
        at = lines.put_text(buffer, at, exchange.request_id)
        at = lines.put(buffer, at, b" ")
        at = lines.put_text(buffer, at, exchange.host)
        at = lines.put(buffer, at, b" ")
        at = lines.put_text(buffer, at, exchange.server)
        at = lines.put(buffer, at, b" ")
        at = lines.put_number(buffer, at, milliseconds(exchange.queue_time), 1)
        at = lines.put(buffer, at, b"/")
        at = lines.put_number(buffer, at, milliseconds(exchange.connect_time), 1)
        at = lines.put(buffer, at, b"/")
        at = lines.put_number(buffer, at, milliseconds(exchange.response_time), 1)
        at = lines.put(buffer, at, b"/")
        at = lines.put_number(buffer, at, milliseconds(exchange.total_time), 1)
        at = lines.put(buffer, at, b" ")
        at = lines.put_number(buffer, at, exchange.attempts, 1)
        at = lines.put(buffer, at, b" ")
        at = lines.put_number(buffer, at, exchange.received, 1)
        at = lines.put(buffer, at, b' "')
        at = lines.put_quoted(buffer, at, b"" if exchange.failure is None else reason_of(exchange))
        at = lines.put(buffer, at, b'" ')
        at = lines.put_text(buffer, at, exchange.code)
        return lines.put(buffer, at, b"\n")


class JsonFormat(CombinedFormat):
    """The same fields as one JSON object a line; what is empty is ``""``, bytes that are not UTF-8 are ``\\xHH``."""

    __slots__ = ()

    def write(self, buffer: bytearray, at: int, exchange: Exchange) -> int:
        """Write the line with its newline."""
        x = exchange
        text = (
            f'{{"time": "{self._local.iso(self._now())}", "client": {quote(x.client)}, "user": {_text(x.user)}, '
            f'"request": {_text(x.request_line)}, "status": {x.status}, "bytes_sent": {x.sent}, '
            f'"referer": {_text(x.referer)}, "user_agent": {_text(x.user_agent)}, '
            f'"request_id": {quote(x.request_id)}, "host": {quote(x.host)}, "server": {quote(x.server)}, '
            f'"queue": {milliseconds(x.queue_time)}, "connect": {milliseconds(x.connect_time)}, '
            f'"first_byte": {milliseconds(x.response_time)}, "total": {milliseconds(x.total_time)}, '
            f'"attempts": {x.attempts}, "bytes_received": {x.received}, {_tls(x)}'
            f'"reason": {_text(reason_of(x))}, "termination": {quote(x.code)}}}\n'
        )
        return lines.put(buffer, at, text.encode("ascii"))


def _tls(exchange: Exchange) -> str:
    """The fields about TLS: all of them also where there is none, so that each line has the same."""
    tls = exchange.tls
    if tls is None:
        return '"scheme": "http", "tls_version": "", "tls_cipher": "", "tls_sni": "", "tls_resumed": false, '
    return (
        f'"scheme": "https", "tls_version": "{tls.version}", "tls_cipher": {quote(tls.cipher)}, '
        f'"tls_sni": {quote(tls.server_name)}, "tls_resumed": {"true" if tls.resumed else "false"}, '
    )


def reason_of(exchange: Exchange) -> bytes:
    """Why the request failed, for operators; empty when it did not."""
    return b"" if exchange.failure is None else exchange.failure.reason.encode("utf-8", "backslashreplace")


def _text(raw: bytes) -> str:
    return quote(raw.decode("utf-8", "backslashreplace"))


FORMATS: dict[str, type[CombinedFormat]] = {"combined": CombinedFormat, "l7": L7Format, "json": JsonFormat}
"""Every value of ``access-log-format``."""
