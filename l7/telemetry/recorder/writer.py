"""Writes what happens to the requests of one worker into its lane of the recorder's memory.

A request that begins gets a slot, where its texts are put once; its attempts are noted there. When it ends, its numbers
are added and all of it is copied into the ring. There is no system call, and nothing is made for a request.

Hot: 2,800 instructions a request with one attempt, those of who calls it included.
"""

from __future__ import annotations

import os
import time
from collections.abc import Mapping

from l7 import clock
from l7.config.schema import Backend
from l7.config.sections.recorder import RecorderSettings
from l7.errors import CONNECT_REFUSED, CONNECT_TIMEOUT, TLS_FAILED, TLS_TIMEOUT, ProxyError
from l7.exchange import Exchange
from l7.sharedmem import integers
from l7.telemetry.recorder import layout as words
from l7.telemetry.recorder import texts
from l7.telemetry.recorder.lane import begin_lane, known_texts, put_name

# Numbers of words as the compiler's own integers: see the .pxd.
_ATTEMPT = words.ATTEMPT
_ATTEMPTS = words.ATTEMPTS
_BEGAN = (1 << words.BEGAN_BITS) - 1
_BEGAN_BITS = words.BEGAN_BITS
_A_BEGAN = words.A_BEGAN
_A_ENDED = words.A_ENDED
_A_SERVER = words.A_SERVER
_A_TIMES = words.A_TIMES
_CELL = words.CELL
_CELL_BYTES = words.CELL_BYTES
_CODE = words.CODE
_CONNECTION = words.CONNECTION
_FAILURES_AT = words.FAILURES_AT
_H_FAILURES = words.H_FAILURES
_H_REQUESTS = words.H_REQUESTS
_H_SLOTS = words.H_SLOTS
_LENGTHS = words.LENGTHS
_LEAST_SENDING = words.LEAST_SENDING
_LINE_CUT = words.LINE_CUT
_LONGEST_CLIENT = words.LONGEST_CLIENT
_LONGEST_HOST = words.LONGEST_HOST
_LONGEST_ID = words.LONGEST_ID
_LONGEST_LINE = words.LONGEST_LINE
_LONGEST_REASON = words.LONGEST_REASON
_MOST_ATTEMPTS = words.MOST_ATTEMPTS
_MOST_UNDER_WAY = words.MOST_UNDER_WAY
_NUMBER = words.NUMBER
_PLACE = words.PLACE
_QUEUE = words.QUEUE
_QUEUED = words.QUEUED
_RECEIVED = words.RECEIVED
_REQUESTS_AT = words.REQUESTS_AT
_SENT = words.SENT
_SENT_UNIT = words.SENT_UNIT
_SIZES = words.SIZES
_SLOT = words.SLOT
_STARTED = words.STARTED
_TEXTS = words.TEXTS
_TOTAL = words.TOTAL
_UNDER_WAY_AT = words.UNDER_WAY_AT
_UNSENT = words.UNSENT
_WORKER = words.WORKER

_UNCONNECTED = frozenset((CONNECT_REFUSED, CONNECT_TIMEOUT, TLS_FAILED, TLS_TIMEOUT))
"""Failures without a connection: the time that one took is of another attempt."""
_32_BITS = (1 << 32) - 1
_31_BITS = (1 << 31) - 1
_BUT_REASON = (1 << 46) - 1
"""The lengths of all texts but the last one."""


class NullRecorder:
    """The recorder when it is off; base class of `Recorder`."""

    __slots__ = ()

    def begin(self, exchange: Exchange) -> None:
        """Record nothing of a request that begins."""

    def attempt(self, exchange: Exchange, server: str, why: int, available: int, members: int) -> None:
        """Record nothing of an attempt that begins."""

    def failed(self, exchange: Exchange, failure: ProxyError) -> None:
        """Record nothing of an attempt that has failed."""

    def finish(self, exchange: Exchange) -> None:
        """Record nothing of a request that has ended."""

    def tick(self) -> None:
        """Do nothing."""


class Recorder(NullRecorder):
    """Records the requests of one worker.

    :param lane: its words of the memory; what an earlier worker has left there is gone on from.
    :param worker: its place, from 1 on; ``workers`` is how many share the numbers of ``settings``.
    :param backends: by route, for how each picks a server.
    """

    __slots__ = (
        "_backends", "_cells", "_failures", "_free", "_names", "_octets", "_queries", "_requests", "_routes", "_since",
        "_slots", "_where",
    )  # fmt: skip

    def __init__(
        self,
        lane: memoryview,
        settings: RecorderSettings,
        backends: Mapping[str, Backend],
        generation: int,
        worker: int,
        workers: int,
    ) -> None:
        self._cells = integers.view(lane)
        self._octets = lane.cast("B")
        self._queries = settings.queries
        self._backends = backends
        self._where = generation | worker << 32
        self._routes: dict[str, int] = {}
        self._free = 0
        """The first free slot; 0 for none."""
        self._slots = 1
        """Slots that were ever used."""
        lost = begin_lane(
            lane,
            os.getpid(),
            (generation, worker),
            words.ring_cells(settings.failures, workers, words.MOST_FAILURES, words.FAILURE_CELLS),
            words.ring_cells(settings.requests, workers, words.MOST_REQUESTS, words.REQUEST_CELLS),
        )
        self._failures = lane[_H_FAILURES]
        self._requests = lane[_H_REQUESTS]
        self._names: dict[str, int] = known_texts(lane)
        for slot in lost:
            self._salvage(slot)
        lane[_H_SLOTS] = 1
        self.tick()

    def tick(self) -> None:
        """Follow the wall clock: to be called some times a second."""
        self._since = time.time() - clock.monotonic()

    # --- a request ----------------------------------------------------------------------------------------------------

    def begin(self, exchange: Exchange) -> None:
        """Note a request that begins, under its id; where too many are under way, it is recorded at its end."""
        slot = self._free
        if slot:
            self._free = integers.load(self._cells, _UNDER_WAY_AT + slot * _SLOT + _NUMBER)
        elif self._slots < _MOST_UNDER_WAY:
            slot = self._slots
            self._slots = slot + 1
            integers.store(self._cells, _H_SLOTS, self._slots)
        else:
            return
        self._begin_in(slot, exchange)
        exchange.record = slot

    def _begin_in(self, slot: int, exchange: Exchange) -> None:
        cells, octets = self._cells, self._octets
        base = _UNDER_WAY_AT + slot * _SLOT
        integers.store(cells, base, 1)
        texts.fence()
        at = (base + _TEXTS) * 8
        client = texts.put_text(octets, at, _LONGEST_CLIENT, exchange.client)
        host = texts.put_text(octets, at + client, _LONGEST_HOST, exchange.host)
        at += client + host
        name = texts.put_text(octets, at, _LONGEST_ID, exchange.request_id)
        line = texts.put_line(octets, at + name, _LONGEST_LINE, exchange.request_line, self._queries)
        lengths = client | host << 10 | name << 20 | line << 30
        integers.store(cells, base + _LENGTHS, lengths)
        sizes = _LINE_CUT << 24 if line == _LONGEST_LINE else 0
        if exchange.tls is not None:
            sizes |= (4 if exchange.tls.version == "1.3" else 3) << 40
        integers.store(cells, base + _SIZES, sizes)
        integers.store(cells, base + _STARTED, texts.microseconds(exchange.started + self._since))
        integers.store(cells, base + _TOTAL, -1)
        integers.store(cells, base + _QUEUE, -1)
        integers.store(cells, base + _CONNECTION, exchange.connection)
        integers.store(cells, base + _PLACE, exchange.port << 46)
        integers.store(cells, base + _WORKER, self._where)
        texts.fence()
        integers.store(cells, base, 2)

    def attempt(self, exchange: Exchange, server: str, why: int, available: int, members: int) -> None:
        """Note that a server was picked: ``why`` as in the layout, among so many that could be, of so many in all."""
        slot = exchange.record
        if not slot:
            return
        cells = self._cells
        base = _UNDER_WAY_AT + slot * _SLOT
        sizes = integers.load(cells, base + _SIZES)
        kept = sizes & 255
        if not kept:
            integers.store(cells, base + _QUEUE, texts.microseconds(exchange.queue_time))
            integers.store(cells, base + _PLACE, self._route(exchange.route) | exchange.port << 46)
        if kept < _MOST_ATTEMPTS:
            kept += 1
        at = base + _ATTEMPTS + (kept - 1) * _ATTEMPT
        if exchange.queue_time > 0:
            why |= _QUEUED
        many = (available if available < 127 else 127) << 40 | (members if members < 127 else 127) << 48
        integers.store(cells, at + _A_SERVER, self._name(server) | why << 32 | many)
        began = texts.microseconds(clock.monotonic() - exchange.started)
        integers.store(cells, at + _A_BEGAN, began if began < _BEGAN else _BEGAN)
        integers.store(cells, at + _A_TIMES, 0)
        integers.store(cells, at + _A_ENDED, 0)
        tried = ((sizes >> 8) & 0xFFFF) + 1
        rest = sizes >> 24 << 24
        texts.fence()
        integers.store(cells, base + _SIZES, rest | kept | (tried if tried < 0xFFFF else 0xFFFF) << 8)

    def failed(self, exchange: Exchange, failure: ProxyError) -> None:
        """Note that the present attempt has failed."""
        slot = exchange.record
        if not slot:
            return
        base = _UNDER_WAY_AT + slot * _SLOT
        kept = integers.load(self._cells, base + _SIZES) & 255
        if not kept:
            return
        at = base + _ATTEMPTS + (kept - 1) * _ATTEMPT
        ended = texts.microseconds(clock.monotonic() - exchange.started) + 1
        if failure.kind not in _UNCONNECTED:
            self._put_times(at, exchange)
        named = self._name(failure.kind.name) << 32
        integers.store(self._cells, at + _A_ENDED, (ended if ended < _32_BITS else _32_BITS) | named)

    def _put_times(self, at: int, exchange: Exchange) -> None:
        connect = 0 if exchange.connect_time < 0 else texts.microseconds(exchange.connect_time) + 1
        first = 0 if exchange.response_time < 0 else texts.microseconds(exchange.response_time) + 1
        times = (connect if connect < _32_BITS else _32_BITS) | (first if first < _31_BITS else _31_BITS) << 32
        integers.store(self._cells, at + _A_TIMES, times)
        if connect:
            self._put_sending(at, exchange, connect - 1)

    def _put_sending(self, at: int, exchange: Exchange, connect: int) -> None:
        """Note how long the present attempt sent its request, from the connection on."""
        began = integers.load(self._cells, at + _A_BEGAN) & _BEGAN
        if exchange.sent_at:
            sending = texts.microseconds(exchange.sent_at - exchange.started) - began - connect
            if sending < _LEAST_SENDING:
                return
            sending = sending // _SENT_UNIT
            sending = sending if sending < _UNSENT else _UNSENT - 1
        else:
            sending = _UNSENT
        integers.store(self._cells, at + _A_BEGAN, began | sending << _BEGAN_BITS)

    def finish(self, exchange: Exchange) -> None:
        """Record a request that has ended."""
        slot = exchange.record
        if not slot:
            self._begin_in(0, exchange)
        cells = self._cells
        base = _UNDER_WAY_AT + slot * _SLOT
        kept = integers.load(cells, base + _SIZES) & 255
        if kept:
            at = base + _ATTEMPTS + (kept - 1) * _ATTEMPT
            if exchange.failure is not None and not integers.load(cells, at + _A_ENDED):
                self.failed(exchange, exchange.failure)
            elif exchange.failure is None:
                self._put_times(at, exchange)
        elif exchange.route:
            integers.store(cells, base + _PLACE, self._route(exchange.route) | exchange.port << 46)
        if exchange.queue_time >= 0:
            integers.store(cells, base + _QUEUE, texts.microseconds(exchange.queue_time))
        integers.store(cells, base + _TOTAL, texts.microseconds(exchange.total_time))
        integers.store(cells, base + _RECEIVED, exchange.received)
        integers.store(cells, base + _SENT, exchange.sent)
        status = exchange.status
        integers.store(cells, base + _WORKER, self._where | status << 48)
        self._end(base, kept, exchange)
        integers.store(cells, base, 0)
        if slot:
            exchange.record = 0
            integers.store(cells, base + _NUMBER, self._free)
            self._free = slot

    def _end(self, base: int, kept: int, exchange: Exchange) -> None:
        """Write how a request ended, and copy it into the rings."""
        code = exchange.code
        letters = ord(code[0]) | ord(code[1]) << 8
        lengths = integers.load(self._cells, base + _LENGTHS) & _BUT_REASON
        failed = exchange.status >= 500
        if exchange.failure is not None:
            failed = failed or code not in ("--", "PR")
            letters |= self._name(exchange.failure.kind.name) << 16
            size = self._size(lengths)
            at = (base + _TEXTS) * 8 + size
            lengths |= texts.put_text(self._octets, at, _LONGEST_REASON, exchange.failure.reason) << 46
            integers.store(self._cells, base + _LENGTHS, lengths)
        integers.store(self._cells, base + _CODE, letters)
        self._keep(_H_REQUESTS, _REQUESTS_AT, self._requests, base, kept)
        if failed:
            self._keep(_H_FAILURES, _FAILURES_AT, self._failures, base, kept)

    def _size(self, lengths: int) -> int:
        """The bytes of all texts of a record."""
        return (
            (lengths & 1023) + (lengths >> 10 & 1023) + (lengths >> 20 & 1023) + (lengths >> 30 & 0xFFFF)
            + (lengths >> 46)
        )  # fmt: skip

    # --- the rings ----------------------------------------------------------------------------------------------------

    def _keep(self, head: int, ring: int, capacity: int, base: int, kept: int) -> None:
        """Copy a record that is in a slot into a ring."""
        if not capacity:
            return
        cells = self._cells
        front = (_ATTEMPTS + kept * _ATTEMPT) * 8
        size = self._size(integers.load(cells, base + _LENGTHS))
        need = (front + size + _CELL_BYTES - 1) // _CELL_BYTES
        written = integers.load(cells, head + 1)
        place = written % capacity
        if place + need > capacity:  # not around the end
            while place < capacity:
                integers.store(cells, ring + place, 0)
                place += 1
                written += 1
            place = 0
        integers.store(cells, ring + place, 1)
        other = 1
        while other < need:
            integers.store(cells, ring + place + other, 0)
            other += 1
        texts.fence()
        number = integers.load(cells, head + 2) + 1
        integers.store(cells, base + _NUMBER, number)
        to = (ring + capacity + place * _CELL) * 8
        texts.copy(self._octets, to, base * 8, front)
        texts.copy(self._octets, to + front, (base + _TEXTS) * 8, size)
        texts.fence()
        integers.store(cells, ring + place, number * 2)
        integers.store(cells, head + 2, number)
        texts.fence()
        integers.store(cells, head + 1, written + need)

    def _salvage(self, slot: int) -> None:
        """Keep what is known of a request that was under way when its worker ended."""
        base = _UNDER_WAY_AT + slot * _SLOT
        sizes = integers.load(self._cells, base + _SIZES)
        integers.store(self._cells, base + _SIZES, sizes | words.DIED << 24)
        kept = min(sizes & 255, _MOST_ATTEMPTS)
        integers.store(self._cells, base + _CODE, ord("I") | ord("H" if kept else "R") << 8)
        for head, ring in ((_H_REQUESTS, _REQUESTS_AT), (_H_FAILURES, _FAILURES_AT)):
            capacity = self._requests if head == _H_REQUESTS else self._failures
            self._keep(head, ring, capacity, base, kept)
        integers.store(self._cells, base, 0)

    # --- texts of the configuration -----------------------------------------------------------------------------------

    def _route(self, route: str) -> int:
        """The texts of a route, and of how it picks a server."""
        found = self._routes.get(route)
        if found is None:
            backend = self._backends.get(route)
            policy = "" if backend is None else _policy(backend)
            found = self._routes[route] = self._name(route) | self._name(policy) << 23
        return found

    def _name(self, text: str) -> int:
        found = self._names.get(text)
        if found is None:
            found = self._names[text] = put_name(self._cells, self._octets, text)
        return found


def _policy(backend: Backend) -> str:
    return f"hash of {backend.hash_key}" if backend.balance == "hash" else backend.balance
