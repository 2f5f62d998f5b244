# Types for the compiled l7/workers/request_ids.py.

cimport cython

cdef list _LAST_DIGITS
cdef Py_ssize_t _LAST, _LOW, _AT_ONCE, _DIGITS

cdef class RequestIds:
    cdef str _first, _worker, _random
    cdef long long _high

    @cython.locals(high="long long", low="long long", at=Py_ssize_t, last=str, tail=str)
    cpdef str of(self, long long number)
    cdef _begin(self, long long high)
