# Types for the compiled l7/workers/request_ids.py.

cimport cython

cdef list _LAST_DIGITS
cdef int _LAST, _LOW, _AT_ONCE, _DIGITS

cdef class RequestIds:
    cdef str _first, _worker
    cdef list _random
    cdef long long _high

    @cython.locals(high="long long", low="long long", last=str, end=str)
    cpdef str of(self, long long number)
    cdef _begin(self, long long high)
