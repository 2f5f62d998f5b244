# Types for the compiled l7/sharedmem/counters.py.

cimport cython

from l7.sharedmem cimport integers

cdef Py_ssize_t _LANES, _CHANGES

cdef class CounterWriter:
    cdef object _cells
    cdef Py_ssize_t _stride, _own
    cdef public double moment

    cpdef add(self, Py_ssize_t at, long long amount)
    cpdef put(self, Py_ssize_t at, long long value)
    cpdef long long get(self, Py_ssize_t at) except? -1
    cpdef long long read(self, Py_ssize_t number, Py_ssize_t at) except? -1
    @cython.locals(total=cython.longlong, place=Py_ssize_t, stride=Py_ssize_t)
    cpdef long long total(self, Py_ssize_t at) except? -1
