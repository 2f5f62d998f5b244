# Types for the compiled l7/workers/request_ids.py.

cimport cython

cdef list _LAST_DIGITS
cdef int _LAST, _LOW

cdef class RequestIds:
    cdef str _prefix, _first
    cdef long long _high

    @cython.locals(high="long long", last=str)
    cpdef str of(self, long long number)
