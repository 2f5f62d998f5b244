# Types for the compiled l7/workers/session.py.

cimport cython

from l7._c_exchange cimport Exchange as CExchange
from l7.http._c_forwarding cimport Hop as CHop
from l7.http._c_messages cimport RequestHead as CRequestHead
from l7.workers._c_proxy cimport Proxy as CProxy
from l7.workers._c_stream cimport Stream as CStream

cdef class Session:
    cdef object _owner
    cdef public bytes buffer
    cdef public CHop hop
    cdef public long long lingered
    cdef public CStream stream
    cdef public bint trusted

    cpdef on_ready(self, CStream stream)
    @cython.locals(stream=CStream)
    cdef _rest(self)
    @cython.locals(data=bytes, stream=CStream, end=Py_ssize_t)
    cdef CRequestHead _next_head(self, CProxy proxy, double started)
    @cython.locals(stream=CStream)
    cdef CRequestHead _gather_head(self, CProxy proxy, bytes data, double started)
    cpdef bint send(self, bytes data) except -1
