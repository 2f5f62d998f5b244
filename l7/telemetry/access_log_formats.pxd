# Types for the compiled l7/telemetry/access_log_formats.py.

cimport cython

from l7.exchange cimport Exchange

cpdef long long milliseconds(double seconds)

cdef class LocalTime:
    cdef str _iso, _nginx, _zone
    cdef long long _second

    cpdef str nginx(self, double now)

cdef class CombinedFormat:
    cdef dict _bare, _quoted
    cdef LocalTime _local
    cdef object _now

    cpdef str line(self, Exchange exchange)
    @cython.locals(line=bytes)
    cpdef str request(self, Exchange exchange)
    cpdef str user(self, Exchange exchange)
    @cython.locals(written=str)
    cpdef str bare(self, str text)
    @cython.locals(written=str)
    cpdef str quoted(self, bytes raw)

cdef class L7Format(CombinedFormat):
    @cython.locals(queue="long long", connect="long long", response="long long", total="long long")
    cpdef str line(self, Exchange exchange)

cdef class JsonFormat(CombinedFormat):
    @cython.locals(x=Exchange)
    cpdef str line(self, Exchange exchange)
