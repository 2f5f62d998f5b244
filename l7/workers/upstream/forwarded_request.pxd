# Types for the compiled l7/workers/upstream/forwarded_request.py.

cimport cython

from l7.exchange cimport Exchange
from l7.balancing.members cimport Member
from l7.http.messages cimport RequestHead
from l7.rules.context cimport RuleContext
from l7.rules.ruleset cimport RuleSet
from l7.workers.downstream.request_handler cimport BegunRequest
from l7.workers.downstream.body cimport RequestBody
from l7.workers.downstream.client_exchange cimport ClientExchange
from l7.workers.transport.stream cimport Stream
from l7.workers.upstream.pool cimport ConnectionPool
from l7.workers.upstream.relay cimport Relay
from l7.workers.upstream.backend cimport BackendRuntime
from l7.workers.upstream.request_deadline cimport RequestDeadline

cdef class ForwardedRequest(BegunRequest):
    cdef public bint answered
    cdef public RequestBody body
    cdef public ClientExchange client
    cdef public BackendRuntime upstream
    cdef public bytes opening, cookie
    cdef public RequestDeadline deadline
    cdef public Relay relay
    cdef public Member member
    cdef public bint moved, released
    cdef public long long why
    cdef public Py_ssize_t spent
    cdef public double failing_since

    @cython.locals(head=RequestHead, body=RequestBody, exchange=Exchange, first=bytes, user=bytes, runs=list, path=bytes, plain=bint, context=RuleContext, rules=RuleSet)
    cpdef open(self, object believed, bint strips)
    @cython.locals(begin=Py_ssize_t, end=Py_ssize_t)
    cpdef name_host(self, bytes host)
    @cython.locals(upstream=BackendRuntime, member=Member, pool=ConnectionPool, server=Stream, context=RuleContext)
    cpdef begin(self)
    @cython.locals(waiting=dict)
    cdef _send_on(self, Stream server, Member member)
    @cython.locals(relay=Relay)
    cpdef Relay relay_on(self, Stream server)
    cpdef bint may_retry(self, object failure, Member leaving=*) except -1
