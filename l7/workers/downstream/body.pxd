# Types for the compiled l7/workers/downstream/body.py.

from l7.exchange cimport Exchange
from l7.http.framing cimport BodyReader
from l7.workers.transport.stream cimport Stream

cdef class RequestBody:
    cdef BodyReader _reader
    cdef object _source
    cdef Exchange _exchange
    cdef double _seconds
    cdef public bint broken, streamed
    cdef public bytes first
    cdef public Py_ssize_t buffered
    cdef public Stream stream
    cdef public object unsent

    cpdef bint is_done(self) except -1
    cpdef bint is_sent(self) except -1
    cpdef bound(self, long long length, long long limit)
    cpdef begin(self, bytes data)
    cpdef restart(self)
    cdef bytes _frame(self, bytes data)

cdef class BodyPump:
    cdef RequestBody _body
    cdef Stream _server
    cdef double _seconds
    cdef object _ended
    cdef public bint stopped
    cdef public object failure
