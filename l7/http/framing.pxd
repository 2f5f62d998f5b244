# Types for the compiled l7/http/framing.py.

cimport cython

from l7.http cimport octets

cdef int _SIZE, _DATA, _DATA_END, _TRAILERS
cdef bytes _LAST_CHUNK

cdef class BodyReader:
    cdef public bint done, framed
    cdef public Py_ssize_t overhead
    cdef public bytes rest
    cdef public list trailers

    cpdef bytes feed(self, bytes data)
    cpdef long long ahead(self) except -1
    cpdef skip(self, long long count)

cdef class CloseReader(BodyReader):
    pass

cdef class LengthReader(BodyReader):
    cdef public long long left

    @cython.locals(size=Py_ssize_t)
    cpdef bytes feed(self, bytes data)
    cpdef long long ahead(self) except -1
    cpdef skip(self, long long count)

cdef class ChunkedReader(BodyReader):
    cdef object _table
    cdef bytes _pending
    cdef list _lines
    cdef int _state
    cdef long long _left, _begun, _limit, _trailer_bytes, _trailers_left
    cdef Py_ssize_t _trailer_fields, _extensions

    cpdef bytes feed(self, bytes data)
    @cython.locals(pieces=list, at=Py_ssize_t, end=Py_ssize_t, size=Py_ssize_t, eol=Py_ssize_t)
    cdef bytes _payload(self, bytes data)
    @cython.locals(
        pieces=list, at=Py_ssize_t, run=Py_ssize_t, payload=Py_ssize_t, end=Py_ssize_t, size=Py_ssize_t, eol=Py_ssize_t
    )
    cdef bytes _chunks(self, bytes data)
    cdef _rewrite(self, bytes line, list pieces)
    cdef int _went_by(self, Py_ssize_t size) except -1
    cdef bint _ends_chunk(self, bytes data, Py_ssize_t at) except -1
    @cython.locals(end=Py_ssize_t)
    cdef _leave(self, bytes data, Py_ssize_t at)
    cpdef long long ahead(self) except -1
    cpdef skip(self, long long count)
    cdef _keep(self, bytes line)
    @cython.locals(size="long long")
    cdef _line(self, bytes line)
    cdef long long _size(self, bytes line) except -1
    cdef int _begin(self, long long size) except -1
    cpdef bound(self, long long limit)

cpdef chunk(bytes payload, list pieces)
cpdef rechunk(bytes payload, BodyReader reader, list pieces)
