"""Decides which requests are traced, and hands their spans to the monitor process; one a worker.

A request that is not traced goes on as it came. The decision of a trusted proxy is followed; what others say of a trace
is not believed: where such a request is chosen, a trace of its own begins, with a link to what was said.
"""

from __future__ import annotations

import os
import random
import sys
import time

from l7.config.sections.tracing import Tracing
from l7.exchange import Exchange
from l7.http.messages import RequestHead
from l7.sharedmem.counters import CounterWriter
from l7.sharedmem.layout import place
from l7.sharedmem.master_gauges import SPANS_LOST
from l7.sharedmem.memory import OF_MASTER
from l7.sharedmem.span_channel import SpanChannel
from l7.telemetry.tracing.spans import RequestTrace, spans_of
from l7.telemetry.tracing.trace_context import NO_FIELDS, RANDOM, SAMPLED, fields_in, without_fields


class Tracer:
    """Begins, follows and ends the traces of a worker's requests.

    :param sample: the share of requests that are traced where no trusted proxy has decided, 0 to 1.
    """

    def __init__(self, sample: float, channel: SpanChannel, writer: CounterWriter) -> None:
        self._sample = sample
        self._channel = channel
        self._writer = writer
        self._random = random.Random(os.urandom(32))

    def start(self, exchange: Exchange, head: RequestHead, scheme: bytes, *, trusted: bool) -> None:
        """Decide about a request; one that is traced gets `Exchange.trace`, and a ``traceparent`` in its head."""
        told = fields_in(head.runs) if trusted else NO_FIELDS
        if told.parent is not None:
            sampled = told.parent.sampled
        else:
            sampled = self._random.random() < self._sample
        if not sampled:
            return
        if not trusted:
            told = fields_in(head.runs)
        believed = told.parent if trusted else None
        trace = RequestTrace(
            trace_id=believed.trace_id if believed else self._id(128),
            span_id=self._span_id(),
            flags=SAMPLED | (believed.flags & RANDOM if believed else RANDOM),
            method=head.method,
            path=head.path,
            scheme=scheme,
            minor=head.minor,
            next_id=self._span_id(),
            new_id=self._span_id,
        )
        if believed:
            trace.parent_id, trace.state = believed.span_id, told.state
        else:
            trace.link = told.parent
        if told.present:
            head.runs = without_fields(head.runs, state=believed is None)
        head.runs = [*head.runs, b"traceparent: " + trace.parent_line()]
        exchange.trace = trace

    def finish(self, exchange: Exchange) -> None:
        """Hand over the spans of a request that has ended; never waits, and never raises."""
        try:
            self._hand_over(exchange)
        except Exception:  # a fault of ours costs a trace, and is told to the operator
            sys.excepthook(*sys.exc_info())

    def _hand_over(self, exchange: Exchange) -> None:
        trace: RequestTrace = exchange.trace
        trace.route = exchange.route
        count = 1 + len(trace.attempts)
        if not self._channel.send(b"%d %b" % (count, spans_of(trace, exchange, time.time_ns()))):
            self._writer.add(place(OF_MASTER, SPANS_LOST), count)

    def _span_id(self) -> str:
        return self._id(64)

    def _id(self, bits: int) -> str:
        """A random id in hexadecimal; never zero."""
        return f"{self._random.getrandbits(bits) or 1:0{bits // 4}x}"


def tracer_of(tracing: Tracing | None, channel: SpanChannel, writer: CounterWriter) -> Tracer | None:
    """The tracer of a worker; None where nothing is traced."""
    return None if tracing is None else Tracer(tracing.sample, channel, writer)
