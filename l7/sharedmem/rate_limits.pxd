# Types for the compiled l7/sharedmem/rate_limits.py.

cimport cython

from l7 cimport clock
from l7.sharedmem cimport integers

cdef long long _SETS, _WAYS, _NO_ROOM, _TIME_BITS, _TIME, _SCALE_BITS, _SCALE, _SET_BITS, _TAG, _IDENTITY, _LONGEST
cdef long long _WAY, _IDENTITY_AT, _END_AT, _END, _COUNT_AT, _COUNT, _TRIES, _UNITS

cdef class Bucket:
    cdef public long long cost, longest, scale, size, tolerance
    cdef public double unit

    cpdef long long left(self, long long ahead) except? -1

cdef class RateLimitTable:
    cdef object _cells, _file, _ticks
    cdef bint _locked
    cdef public bytes seed

    @cython.locals(at=Py_ssize_t, identity="long long")
    cpdef long long charge(self, long long key, Bucket bucket) except? -1
    @cython.locals(tries=int, place=Py_ssize_t, word="long long", now="long long", ahead="long long")
    cdef long long _charge(self, Py_ssize_t at, long long identity, Bucket bucket) except? -1
    @cython.locals(now="long long")
    cdef long long _now(self, long long scale) except? -1
    @cython.locals(place=Py_ssize_t)
    cdef Py_ssize_t _find(self, Py_ssize_t at, long long identity) except -1
    @cython.locals(tries=int, place=Py_ssize_t, header="long long", word="long long", count="long long", announced="long long")
    cdef Py_ssize_t _insert(self, Py_ssize_t at, long long identity) except -1
    @cython.locals(place=Py_ssize_t)
    cdef Py_ssize_t _find_free(self, Py_ssize_t at) except -1
    @cython.locals(identity="long long", ahead="long long")
    cdef bint _is_free(self, long long word) except -1
    @cython.locals(place=Py_ssize_t, identity="long long", word="long long", full="long long")
    cdef _complete(self, Py_ssize_t at, long long header)
