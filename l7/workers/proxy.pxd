# Types for the compiled l7/workers/proxy.py.

cimport cython

from l7 cimport clock
from l7.exchange cimport Exchange
from l7.http.messages cimport RequestHead
from l7.telemetry.access_log cimport NullAccessLog
from l7.workers.downstream.body cimport RequestBody
from l7.workers.downstream.client_exchange cimport ClientExchange
from l7.workers.downstream.request_handler cimport BegunRequest, RequestHandler
from l7.rules.context cimport RuleContext
from l7.rules.ruleset cimport RuleSet
from l7.workers.attempts cimport ServerAttempts
from l7.workers.request_ids cimport RequestIds
from l7.balancing.routing cimport Match, Routes
from l7.telemetry.counters cimport RequestCounters
from l7.workers.upstream.forwarded_request cimport ForwardedRequest
from l7.workers.upstream.backend cimport BackendRuntime

cdef long long ABSENT

cdef class Proxy(RequestHandler):
    cdef public object config, sweeper, upstreams, challenges, general
    cdef object _compiler
    cdef public ServerAttempts attempts
    cdef public Routes routes
    cdef public NullAccessLog log
    cdef public RequestCounters counters
    cdef bint _strips
    cdef long long _most_body
    cdef public long in_flight, requests, answered, faults
    cdef public object tunnels, tracer
    cdef object _trusted
    cdef RequestIds _ids

    cpdef str next_request_id(self)
    @cython.locals(
        whole=bint, strips=bint, match=Match, upstream=BackendRuntime, body=RequestBody, forwarded=ForwardedRequest,
        context=RuleContext, rules=RuleSet
    )
    cpdef BegunRequest begin(self, Exchange exchange, RequestHead head, ClientExchange client)
    cpdef resume(self, BegunRequest begun)
    @cython.locals(body=RequestBody, match=Match, forwarded=ForwardedRequest)
    cpdef handle(self, Exchange exchange, RequestHead head, ClientExchange client)
    cpdef reject(self, object failure, Exchange exchange, ClientExchange client)
    cpdef finish(self, Exchange exchange)
    cpdef bint trusts(self, str client) except -1
    cdef _record(self, Exchange exchange, ClientExchange client)
    cdef _introduce(self, Exchange exchange, RequestHead head, ClientExchange client)
    cdef _early_answer(self, Exchange exchange, RequestHead head, ClientExchange client, object believed)
    @cython.locals(match=Match)
    cdef Match _route(self, Exchange exchange, RequestHead head)
    cdef long long _body_limit(self, RuleContext context) except -1
    @cython.locals(context=RuleContext, rules=RuleSet)
    cdef _admit(
        self, Exchange exchange, RequestHead head, ClientExchange client, object believed, RequestBody body, Match match
    )
    @cython.locals(upstream=BackendRuntime, rules=RuleSet, forwarded=ForwardedRequest)
    cdef ForwardedRequest _forwarded(
        self, Exchange exchange, RequestHead head, ClientExchange client, object believed, RequestBody body, Match match
    )
    @cython.locals(context=RuleContext, rules=RuleSet)
    cdef _dressed(self, object own, Exchange exchange)
    cdef _pages(self, Exchange exchange)
