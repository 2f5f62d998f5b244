# Types for the compiled l7/telemetry/access_log.py.

cimport cython

from l7.exchange cimport Exchange
from l7.telemetry.access_log_formats cimport CombinedFormat

cdef class NullAccessLog:
    cpdef log(self, Exchange exchange)
    cpdef tick(self)

cdef class AccessLog(NullAccessLog):
    cdef object _batches, _deadline, _output, _report, _trouble, _wake
    cdef bint _closing, _episode, _finished
    cdef long long _dropped, _failed, _handed, _seen, _size, _told, _written
    cdef CombinedFormat _form
    cdef list _lines
    cdef public str target

    @cython.locals(line=str)
    cpdef log(self, Exchange exchange)
    cpdef tick(self)
