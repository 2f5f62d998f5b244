# Types for the compiled l7/http/framing.py.

cimport cython

cdef class LengthReader:
    cdef public long long left
    cdef public bint done
    cdef public bytes rest
    cdef public list trailers

    @cython.locals(size=Py_ssize_t)
    cpdef bytes feed(self, bytes data)
    cpdef long long ahead(self)
    cpdef skip(self, long long count)

cdef class CloseReader:
    cdef public bint done
    cdef public bytes rest
    cdef public list trailers

    cpdef bytes feed(self, bytes data)
    cpdef long long ahead(self)
    cpdef skip(self, long long count)

cdef class ChunkedReader:
    cdef public bint done
    cdef public bytes rest
    cdef public list trailers
    cdef object _table, _limit
    cdef bytes _pending
    cdef list _lines
    cdef int _state
    cdef long long _left, _trailer_bytes
    cdef Py_ssize_t _trailer_fields, _extensions

    @cython.locals(pieces=list, at=Py_ssize_t, end=Py_ssize_t, piece=bytes, eol=Py_ssize_t)
    cpdef bytes feed(self, bytes data)
    cpdef long long ahead(self)
    cpdef skip(self, long long count)
    cdef _keep(self, bytes line)
    cdef _line(self, bytes line)
    cdef _size(self, bytes line)
