# Types for the compiled l7/workers/upstream/pool.py.

cimport cython

from l7 cimport clock
from l7.workers.transport.stream cimport Stream

cdef class ConnectionPool:
    cdef public str label
    cdef public double idle_timeout
    cdef double _kept, _earlier
    cdef public object connector
    cdef list _idle
    cdef object _now
    cdef Py_ssize_t _most

    @cython.locals(stream=Stream, idle=list, now=double, place=Py_ssize_t)
    cpdef check_out(self)
    @cython.locals(kept=double)
    cpdef check_in(self, Stream stream, double announced=*)
