# Types for the compiled l7/workers/session.py.

cimport cython

from l7._c_exchange cimport Exchange as CExchange
from l7.http._c_messages cimport RequestHead as CRequestHead
from l7.workers._c_downstream cimport ClientBounds as CClientBounds
from l7.http._c_forwarding cimport Hop as CHop
from l7.workers._c_proxy cimport Proxy as CProxy
from l7.workers._c_stream cimport Stream as CStream

cdef class Session:
    cdef public bytes buffer
    cdef public CHop hop
    cdef public CStream stream
    cdef public bint trusted, last
    cdef public object gathering
    cdef object _owner
    cdef CProxy _proxy
    cdef public long long lingered

    cpdef on_ready(self, CStream stream)
    @cython.locals(proxy=CProxy, stream=CStream, started=double, head=CRequestHead, exchange=CExchange)
    cpdef serve(self)
    @cython.locals(stream=CStream)
    cdef _rest(self, double now)
    cdef bint _leave(self, double now) except -1
    @cython.locals(proxy=CProxy, data=bytes, head=CRequestHead, stream=CStream, size=Py_ssize_t, text="const char *")
    cdef CRequestHead _next_head(self, double started)
    @cython.locals(bounds=CClientBounds, stream=CStream)
    cdef CRequestHead _gather_head(self, bytes data, double started)
    cpdef body(self, CExchange exchange, CRequestHead head)
    cpdef bint send(self, bytes data) except -1
    cpdef end(self)
    @cython.locals(stream=CStream)
    cdef _linger_more(self)
    cpdef cut(self, long long framing)
    cpdef close(self)
