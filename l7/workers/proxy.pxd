# Types for the compiled l7/workers/proxy.py.

cimport cython

from l7 cimport clock
from l7.exchange cimport Exchange
from l7.http.messages cimport RequestHead, ResponseHead
from l7.telemetry.access_log cimport NullAccessLog
from l7.workers.downstream.body cimport RequestBody
from l7.workers.downstream.client_exchange cimport ClientExchange
from l7.workers.downstream.request_handler cimport BegunRequest, RequestHandler
from l7.workers.request_ids cimport RequestIds
from l7.workers.upstream.pool cimport ConnectionPool
from l7.balancing.routing cimport Match, Routes
from l7.balancing.members cimport Member
from l7.telemetry.counters cimport RequestCounters
from l7.workers.upstream.forwarded_request cimport ForwardedRequest
from l7.workers.upstream.relay cimport Relay
from l7.workers.upstream.backend cimport BackendRuntime
from l7.workers.transport.stream cimport Stream

cdef class Proxy(RequestHandler):
    cdef public object config, sweeper, upstreams, credentials, challenges
    cdef public Routes routes
    cdef public NullAccessLog log
    cdef public RequestCounters counters
    cdef bint _strips
    cdef public long in_flight, requests, answered, faults
    cdef public object tunnels
    cdef object _trusted
    cdef RequestIds _ids

    cpdef str next_request_id(self)
    @cython.locals(whole=bint, match=Match, upstream=BackendRuntime, body=RequestBody, forwarded=ForwardedRequest, user=bytes)
    cpdef BegunRequest begin(self, Exchange exchange, RequestHead head, ClientExchange client)
    cpdef resume(self, BegunRequest begun)
    @cython.locals(body=RequestBody, match=Match, upstream=BackendRuntime, forwarded=ForwardedRequest)
    cpdef handle(self, Exchange exchange, RequestHead head, ClientExchange client)
    cpdef reject(self, object failure, Exchange exchange, ClientExchange client)
    cpdef finish(self, Exchange exchange)
    cpdef bint trusts(self, str client) except -1
    cdef _introduce(self, Exchange exchange, RequestHead head, ClientExchange client)
    cdef _admit(self, Exchange exchange, RequestHead head)
    @cython.locals(upstream=BackendRuntime, client=ClientExchange)
    cdef _forward(self, ForwardedRequest forwarded)
    @cython.locals(member=Member)
    cdef _try_servers(self, ForwardedRequest forwarded, BackendRuntime upstream)
    @cython.locals(exchange=Exchange, server=Stream, pool=ConnectionPool)
    cdef _attempt(self, ForwardedRequest forwarded, Member member)
    @cython.locals(relay=Relay, response=ResponseHead, waiting=dict)
    cdef _through(self, ForwardedRequest forwarded, Member member, ConnectionPool pool, Stream server)
