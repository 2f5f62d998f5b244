# Types for the compiled l7/workers/body.py.

from l7._c_exchange cimport Exchange as CExchange
from l7.http._c_framing cimport BodyReader as CBodyReader
from l7.workers._c_stream cimport Stream as CStream

cdef class RequestBody:
    cdef CBodyReader _reader
    cdef object _source
    cdef CExchange _exchange
    cdef double _seconds
    cdef public bint broken, streamed
    cdef public bytes first
    cdef public CStream stream
    cdef public object unsent

    cpdef begin(self)
    cpdef restart(self)
    cdef bytes _frame(self, bytes data)

cdef class Pump:
    cdef RequestBody _body
    cdef CStream _server
    cdef double _seconds
    cdef object _ended
    cdef public bint stopped
    cdef public object failure
