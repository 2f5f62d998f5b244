# Types for the compiled l7/telemetry/access_log_formats.py.

cimport cython

from l7.exchange cimport Exchange
from l7.telemetry cimport line_writing as lines

cdef long long milliseconds(double seconds)

cdef class LocalTime:
    cdef bytes _nginx
    cdef str _iso, _zone
    cdef long long _second

    @cython.locals(second="long long")
    cpdef bytes nginx(self, double now)

cdef class CombinedFormat:
    cdef LocalTime _local
    cdef object _now

    cpdef Py_ssize_t write(self, bytearray buffer, Py_ssize_t at, Exchange exchange) except -1
    cdef Py_ssize_t _write_combined(self, bytearray buffer, Py_ssize_t at, Exchange exchange) except -1

cdef class L7Format(CombinedFormat):
    cpdef Py_ssize_t write(self, bytearray buffer, Py_ssize_t at, Exchange exchange) except -1

cdef class JsonFormat(CombinedFormat):
    @cython.locals(x=Exchange)
    cpdef Py_ssize_t write(self, bytearray buffer, Py_ssize_t at, Exchange exchange) except -1
