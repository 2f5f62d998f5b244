# Types for the compiled l7/workers/downstream/request_handler.py.

from l7.exchange cimport Exchange
from l7.http.messages cimport RequestHead
from l7.http.parser cimport RequestParser
from l7.workers.downstream.client_exchange cimport ClientExchange
from l7.workers.runtime.greenlet_pool cimport GreenletPool
from l7.workers.limits cimport ClientProtocolLimits
from l7.workers.transport.stream cimport Stream

cdef class BegunRequest:
    cdef public Exchange exchange
    cdef public RequestHead head
    cdef public Stream sent_on
    cdef public bint late, unfinished

cdef class RequestHandler:
    cdef public GreenletPool greenlets
    cdef public RequestParser parser
    cdef public ClientProtocolLimits bounds
    cdef public object buffers
    cdef public bint overloaded
    cdef public long long connections
    cdef readonly object phase
    cdef readonly bint draining, handing_over, ending, stopping, cutting_off

    cpdef BegunRequest begin(self, Exchange exchange, RequestHead head, ClientExchange client)
    cpdef resume(self, BegunRequest begun)
    cpdef handle(self, Exchange exchange, RequestHead head, ClientExchange client)
    cpdef reject(self, object failure, Exchange exchange, ClientExchange client)
