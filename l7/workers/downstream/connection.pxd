# Types for the compiled l7/workers/downstream/connection.py.

cimport cython

from l7 cimport clock
from l7.http cimport octets
from l7.exchange cimport Exchange
from l7.http.messages cimport RequestHead
from l7.workers.limits cimport ClientProtocolLimits
from l7.workers.downstream.body cimport RequestBody
from l7.workers.downstream.http1_exchange cimport Http1Exchange
from l7.workers.downstream.request_handler cimport BegunRequest, RequestHandler
from l7.workers.transport.stream cimport Stream

cdef Py_ssize_t FIRST

cdef class ClientConnection(Http1Exchange):
    cdef public object gathering, tls, entrance
    cdef object _owner
    cdef public long long lingered
    cdef public double linger_until, since

    cdef BegunRequest _begun
    cdef RequestHead _head
    cdef Exchange _met

    cpdef on_ready(self, Stream stream)
    @cython.locals(stream=Stream, started=double, data=bytes, head=RequestHead, exchange=Exchange, begun=BegunRequest, server=Stream)
    cdef bint _begin(self) except -1
    @cython.locals(handler=RequestHandler, head=RequestHead, size=Py_ssize_t)
    cdef RequestHead _whole_head(self, bytes data)
    cdef _resume(self)
    @cython.locals(exchange=Exchange)
    cdef Exchange _exchange(self, double started)
    @cython.locals(begun=BegunRequest)
    cdef _stop_waiting(self)
    @cython.locals(handler=RequestHandler, stream=Stream, started=double, head=RequestHead, whole=RequestHead, exchange=Exchange, body=RequestBody, begun=BegunRequest)
    cpdef serve(self)
    cdef bint _ends_here(self, RequestHead head, RequestBody body) except -1
    @cython.locals(stream=Stream)
    cdef _rest(self, double now)
    cdef bint _leave(self, double now) except -1
    @cython.locals(handler=RequestHandler, data=bytes, head=RequestHead, stream=Stream, size=Py_ssize_t)
    cdef RequestHead _next_head(self, double started)
    @cython.locals(bounds=ClientProtocolLimits, stream=Stream)
    cdef RequestHead _gather_head(self, bytes data, double started)
    cpdef end(self)
    @cython.locals(stream=Stream)
    cdef _linger_more(self)
    cpdef close(self)
