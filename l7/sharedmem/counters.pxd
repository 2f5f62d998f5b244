# Types for the compiled l7/sharedmem/counters.py.

cimport cython

from l7.sharedmem cimport integers

cdef Py_ssize_t _CHANGES, _LANE, _LANES, _WRITERS

cdef class CounterWriter:
    cdef list _blocks
    cdef object _first, _own, _reserve_lanes
    cdef Py_ssize_t _mapped, _own_at
    cdef public Py_ssize_t number
    cdef public double moment

    cpdef add(self, Py_ssize_t at, long long amount)
    cpdef put(self, Py_ssize_t at, long long value)
    cpdef long long get(self, Py_ssize_t at) except? -1
    @cython.locals(lanes=cython.longlong)
    cpdef long long lanes(self) except? -1
    cdef long long _map(self, long long lanes) except? -1
    cpdef long long read(self, Py_ssize_t lane, Py_ssize_t at) except? -1
    @cython.locals(total=cython.longlong, left=cython.longlong, place=Py_ssize_t, end=Py_ssize_t)
    cpdef long long total(self, Py_ssize_t at) except? -1
