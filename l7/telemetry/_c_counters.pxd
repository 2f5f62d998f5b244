# Types for the compiled l7/telemetry/counters.py.

cimport cython

from l7._c_exchange cimport Exchange as CExchange
from l7.balancing._c_lane cimport Lane as CLane

cdef Py_ssize_t _DURATION, _DURATION_SUM, _RECEIVED, _ROW, _SENT, _STATUS, _UNROUTED

cdef class Counters:
    cdef CLane _lane
    cdef double[::1] _bounds
    cdef public bint muted

    @cython.locals(lane=CLane, at=Py_ssize_t, place=Py_ssize_t, digit=int)
    cpdef count(self, CExchange exchange)
