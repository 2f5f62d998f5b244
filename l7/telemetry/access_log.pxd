# Types for the compiled l7/telemetry/access_log.py.

cimport cython

from l7.exchange cimport Exchange
from l7.telemetry.access_log_formats cimport CombinedFormat

cdef Py_ssize_t _BATCH

cdef class NullAccessLog:
    cpdef log(self, Exchange exchange)
    cpdef tick(self)

cdef class AccessLog(NullAccessLog):
    cdef object _batches, _deadline, _descriptors, _look_at, _native, _output, _report, _rotation, _trouble, _wake
    cdef bint _closing, _episode, _finished, _moved
    cdef long long _count, _dropped, _failed, _handed, _seen, _told, _written
    cdef Py_ssize_t _size
    cdef CombinedFormat _form
    cdef bytearray _buffer
    cdef public str target

    cpdef log(self, Exchange exchange)
    cpdef tick(self)
