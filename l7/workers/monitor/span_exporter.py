"""Sends the spans of all workers to a collector (`l7.telemetry.tracing.otlp`), in batches, from a bounded queue.

Nothing here is ever waited for by a request: what finds no room is dropped and counted. A collector that is down costs
one attempt to connect every few seconds.
"""

from __future__ import annotations

import http.client
import random
import socket
import ssl
from collections import deque
from dataclasses import dataclass
from urllib.parse import urlsplit

import gevent
from gevent import Timeout
from gevent import socket as green

from l7 import __version__
from l7.clock import monotonic
from l7.config.sections.tracing import Tracing
from l7.config.values.names import printable
from l7.sharedmem.counters import CounterWriter
from l7.sharedmem.layout import place
from l7.sharedmem.master_gauges import SPANS_EXPORTED, SPANS_OVERFLOWED, SPANS_REFUSED
from l7.sharedmem.memory import OF_MASTER
from l7.sharedmem.span_channel import SpanChannel
from l7.telemetry.events import Events, named
from l7.telemetry.tracing.otlp import CONTENT_TYPE, ExportAnswer, ExportOutcome, answer_of, body_of

MOST_QUEUED = 8192
"""Spans that wait for the collector."""
BATCH = 512
"""Spans that are sent at once; a few more where those of one request belong together."""
LINGER = 1.0
"""Seconds that a span waits for others of its batch."""
WITHIN = 10.0
"""Seconds for one request to the collector."""
FIRST_PAUSE, LONGEST_PAUSE = 1.0, 30.0
"""Seconds until a batch is sent again; doubled each time."""
ATTEMPTS = 6
"""How often one batch is sent."""
LARGEST_ANSWER = 64 * 1024
FINISH_WITHIN = 1.0
"""Seconds for what is left at the end: less than `l7.master.supervision.state.STOP_WITHIN`."""
SILENT_FOR = 60.0
"""Seconds between two warnings that spans are lost."""


@dataclass(frozen=True)
class _SpanRequest:
    count: int
    spans: bytes


class SpanExporter:
    """Reads spans from the channel and sends them on; for the monitor process."""

    def __init__(self, tracing: Tracing, channel: SpanChannel, writer: CounterWriter, events: Events) -> None:
        self._url = urlsplit(tracing.otlp)
        self._channel = channel
        self._writer = writer
        self._events = events
        self._queue: deque[_SpanRequest] = deque()
        self._queued = 0
        self._batch: tuple[bytes, int] | None = None
        """What is being sent, and how many spans that are, until it is known what became of it."""
        self._resource = {
            "service.name": "l7",
            "service.version": __version__,
            "host.name": socket.gethostname(),
        }
        self._warn_from = 0.0
        self._greenlets: list[gevent.Greenlet[..., None]] = []
        self._context: ssl.SSLContext | None = None

    def start(self) -> None:
        """Begin, with what workers have sent while no monitor process read it."""
        self._greenlets = [gevent.spawn(self._receive), gevent.spawn(self._run)]

    def close(self) -> None:
        """Send what is left once, and what workers have sent last, within `FINISH_WITHIN` seconds."""
        gevent.killall(self._greenlets)
        self._take_all()
        with Timeout(FINISH_WITHIN, False):
            while self._batch is not None or self._queue:
                batch, count = self._batch = self._batch or self._next_batch()
                self._settle(self._send(batch), count, last=True)
        self._count(SPANS_REFUSED, self._queued + (0 if self._batch is None else self._batch[1]))

    # --- receiving ----------------------------------------------------------------------------------------------------

    def _receive(self) -> None:
        while True:
            green.wait_read(self._channel.fileno())
            self._take_all()

    def _take_all(self) -> None:
        while (message := self._channel.receive()) is not None:
            self._take(message)

    def _take(self, message: bytes) -> None:
        count, _, spans = message.partition(b" ")
        one = _SpanRequest(int(count), spans)
        if self._queued + one.count > MOST_QUEUED:
            self._count(SPANS_OVERFLOWED, one.count)
            return
        self._queue.append(one)
        self._queued += one.count

    # --- sending ------------------------------------------------------------------------------------------------------

    def _run(self) -> None:
        while True:
            until = monotonic() + LINGER
            while self._queued < BATCH and (not self._queue or monotonic() < until):
                gevent.sleep(LINGER / 10)
                until = until if self._queue else monotonic() + LINGER
            self._deliver()

    def _deliver(self) -> None:
        """Send a batch until it is taken, or given up."""
        batch, count = self._batch = self._next_batch()
        pause = FIRST_PAUSE
        for attempt in range(1, ATTEMPTS + 1):
            answer = self._send(batch)
            if self._settle(answer, count, last=attempt == ATTEMPTS):
                return
            wait = answer.pause if answer.pause is not None else pause * random.uniform(0.5, 1.0)
            pause = min(2 * pause, LONGEST_PAUSE)
            gevent.sleep(wait)

    def _next_batch(self) -> tuple[bytes, int]:
        spans, count = [], 0
        while self._queue and count < BATCH:
            one = self._queue.popleft()
            spans.append(one.spans)
            count += one.count
        self._queued -= count
        return body_of(spans, self._resource), count

    def _settle(self, answer: ExportAnswer, count: int, *, last: bool) -> bool:
        """Count what has become of the batch; False where it is to be sent again."""
        if answer.outcome is ExportOutcome.TAKEN:
            self._count(SPANS_EXPORTED, max(0, count - answer.refused))
            self._lose(min(answer.refused, count), answer.why)
        elif answer.outcome is ExportOutcome.RETRY and not last:
            return False
        else:
            self._lose(count, answer.why)
        self._batch = None
        return True

    def _send(self, body: bytes) -> ExportAnswer:
        try:
            with Timeout(WITHIN, TimeoutError()):
                return self._exchange(body)
        except (OSError, http.client.HTTPException) as error:
            return ExportAnswer(ExportOutcome.RETRY, why=_why(error))

    def _exchange(self, body: bytes) -> ExportAnswer:
        connection = self._connect()
        try:
            headers = {
                "Content-Type": CONTENT_TYPE,
                "User-Agent": f"OTel-OTLP-Exporter-l7/{__version__}",
                "Connection": "close",
            }
            connection.request("POST", self._url.path, body, headers)
            answer = connection.getresponse()
            return answer_of(answer.status, answer.getheader("Retry-After") or "", answer.read(LARGEST_ANSWER))
        finally:
            connection.close()

    def _connect(self) -> http.client.HTTPConnection:
        host = self._url.hostname or ""
        if self._url.scheme == "http":
            return http.client.HTTPConnection(host, self._url.port, timeout=WITHIN)
        if self._context is None:
            self._context = ssl.create_default_context()
        return http.client.HTTPSConnection(host, self._url.port, timeout=WITHIN, context=self._context)

    # --- telling ------------------------------------------------------------------------------------------------------

    def _lose(self, count: int, why: str) -> None:
        if not count:
            return
        self._count(SPANS_REFUSED, count)
        now = monotonic()
        if now >= self._warn_from:
            self._warn_from = now + SILENT_FOR
            words = f"tracing: {self._url.netloc} takes no spans, so they are lost: {printable(why, 200)}"
            self._events.warning(named("tracing.lost", words, spans=count))

    def _count(self, cell: int, count: int) -> None:
        self._writer.add(place(OF_MASTER, cell), count)


def _why(error: Exception) -> str:
    """Why there was no answer, in words."""
    if isinstance(error, TimeoutError):
        return "it does not answer in time"
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"its certificate is not to be trusted: {error.verify_message}"
    if isinstance(error, http.client.HTTPException):
        return "what it answers is no HTTP"
    return f"it cannot be reached: {(getattr(error, 'strerror', None) or str(error) or type(error).__name__).lower()}"
