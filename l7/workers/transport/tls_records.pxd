# Types for the compiled l7/workers/transport/tls_records.py.

cimport cython

cdef class RecordReader:
    cdef object _incoming
    cdef bytes _header
    cdef public Py_ssize_t size, missing

    @cython.locals(end=Py_ssize_t, behind=Py_ssize_t)
    cpdef Py_ssize_t feed(self, bytes data, Py_ssize_t place) except -1
    @cython.locals(begun=Py_ssize_t, size=Py_ssize_t, header=bytes)
    cdef _begin_slowly(self, bytes data, Py_ssize_t place)
