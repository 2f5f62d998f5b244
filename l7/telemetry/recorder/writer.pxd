# Types for the compiled l7/telemetry/recorder/writer.py.

cimport cython

from l7 cimport clock
from l7.exchange cimport Exchange
from l7.sharedmem cimport integers
from l7.telemetry.recorder cimport texts

cdef long long _ATTEMPT, _ATTEMPTS, _A_BEGAN, _A_ENDED, _A_SERVER, _A_TIMES, _CELL, _CELL_BYTES, _CODE, _CONNECTION
cdef long long _FAILURES_AT, _H_FAILURES, _H_REQUESTS, _H_SLOTS, _LENGTHS, _LINE_CUT, _LONGEST_CLIENT, _LONGEST_HOST
cdef long long _LONGEST_ID, _LONGEST_LINE, _LONGEST_REASON, _MOST_ATTEMPTS, _MOST_UNDER_WAY, _NUMBER, _PLACE, _QUEUE, _QUEUED
cdef long long _RECEIVED, _REQUESTS_AT, _SENT, _SIZES, _SLOT, _STARTED, _TEXTS, _TOTAL, _UNDER_WAY_AT, _WORKER
cdef long long _BEGAN, _BEGAN_BITS, _LEAST_SENDING, _SENT_UNIT, _UNSENT
cdef long long _32_BITS, _31_BITS, _BUT_REASON

cdef class NullRecorder:
    cpdef begin(self, Exchange exchange)
    cpdef attempt(self, Exchange exchange, str server, long long why, long long available, long long members)
    cpdef failed(self, Exchange exchange, object failure)
    cpdef finish(self, Exchange exchange)
    cpdef tick(self)

cdef class Recorder(NullRecorder):
    cdef object _backends, _cells, _octets
    cdef dict _names, _routes
    cdef bint _queries
    cdef double _since
    cdef long long _failures, _free, _requests, _slots, _where

    @cython.locals(slot="long long")
    cpdef begin(self, Exchange exchange)
    @cython.locals(
        base="long long", at="long long", client="long long", host="long long", name="long long", line="long long",
        lengths="long long", sizes="long long"
    )
    cdef _begin_in(self, long long slot, Exchange exchange)
    @cython.locals(
        slot="long long", base="long long", sizes="long long", kept="long long", at="long long", many="long long",
        tried="long long", rest="long long", began="long long"
    )
    cpdef attempt(self, Exchange exchange, str server, long long why, long long available, long long members)
    @cython.locals(
        slot="long long", base="long long", kept="long long", at="long long", ended="long long", named="long long"
    )
    cpdef failed(self, Exchange exchange, object failure)
    @cython.locals(connect="long long", first="long long", times="long long")
    cdef _put_times(self, long long at, Exchange exchange)
    @cython.locals(began="long long", sending="long long")
    cdef _put_sending(self, long long at, Exchange exchange, long long connect)
    @cython.locals(slot="long long", base="long long", kept="long long", at="long long", status="long long")
    cpdef finish(self, Exchange exchange)
    @cython.locals(code=str, letters="long long", lengths="long long", failed=bint, size="long long", at="long long")
    cdef _end(self, long long base, long long kept, Exchange exchange)
    cdef long long _size(self, long long lengths) except -1
    @cython.locals(
        front="long long", size="long long", need="long long", written="long long", place="long long",
        other="long long", number="long long", to="long long"
    )
    cdef _keep(self, long long head, long long ring, long long capacity, long long base, long long kept)
    @cython.locals(base="long long", sizes="long long")
    cdef _salvage(self, long long slot)
    @cython.locals(found=object)
    cdef long long _route(self, str route) except -1
    @cython.locals(found=object)
    cdef long long _name(self, str text) except -1
