# Types for the compiled l7/telemetry/counters.py.

cimport cython

from l7.sharedmem cimport integers
from l7.exchange cimport Exchange
from l7.sharedmem.counters cimport CounterWriter

cdef Py_ssize_t _DURATION, _DURATION_SUM, _FIRST_BYTE, _FIRST_BYTE_SUM, _LONGER, _RECEIVED, _ROW, _SENT, _STATUS, _TILE, _UNROUTED

cdef class RequestCounters:
    cdef CounterWriter _writer
    cdef object _bounds
    cdef public bint muted

    @cython.locals(writer=CounterWriter, at=Py_ssize_t, digit=int, duration="long long", cell=Py_ssize_t)
    cpdef count(self, Exchange exchange)
    cdef Py_ssize_t _place(self, Py_ssize_t row) except -1
    @cython.locals(at=Py_ssize_t, duration="long long")
    cpdef answered(self, Py_ssize_t row, double seconds)
    @cython.locals(place=Py_ssize_t)
    cdef Py_ssize_t _bucket(self, long long duration) except -1
