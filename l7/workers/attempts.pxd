# Types for the compiled l7/workers/attempts.py.

cimport cython

from l7 cimport clock
from l7.balancing.members cimport Member
from l7.exchange cimport Exchange
from l7.http.messages cimport ResponseHead
from l7.rules.context cimport RuleContext
from l7.rules.ruleset cimport RuleSet
from l7.telemetry.counters cimport RequestCounters
from l7.telemetry.recorder.writer cimport NullRecorder
from l7.workers.downstream.client_exchange cimport ClientExchange
from l7.workers.downstream.request_handler cimport RequestHandler
from l7.workers.transport.stream cimport Stream
from l7.workers.upstream.backend cimport BackendRuntime
from l7.workers.upstream.forwarded_request cimport ForwardedRequest
from l7.workers.upstream.pool cimport ConnectionPool
from l7.workers.upstream.relay cimport Relay

cdef long long _AGAIN, _BACKUP, _RETRY

cdef class ServerAttempts:
    cdef public NullRecorder recorder
    cdef RequestHandler _handler
    cdef RequestCounters _counters
    cdef object _compressor, _tunnels

    @cython.locals(upstream=BackendRuntime, client=ClientExchange)
    cpdef forward(self, ForwardedRequest forwarded)
    cpdef record_begun(self, ForwardedRequest forwarded)
    @cython.locals(upstream=BackendRuntime, why="long long")
    cdef _record(self, ForwardedRequest forwarded, Member member)
    @cython.locals(member=Member)
    cdef _try_servers(self, ForwardedRequest forwarded, BackendRuntime upstream)
    @cython.locals(exchange=Exchange, server=Stream, pool=ConnectionPool, context=RuleContext)
    cdef _attempt(self, ForwardedRequest forwarded, Member member)
    @cython.locals(exchange=Exchange)
    cdef _trace(self, ForwardedRequest forwarded)
    @cython.locals(relay=Relay, response=ResponseHead, waiting=dict, context=RuleContext, rules=RuleSet)
    cdef _through(self, ForwardedRequest forwarded, Member member, ConnectionPool pool, Stream server)
