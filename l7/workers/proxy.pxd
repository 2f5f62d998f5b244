# Types for the compiled l7/workers/proxy.py.

cimport cython

from l7.exchange cimport Exchange
from l7.http.messages cimport RequestHead, ResponseHead
from l7.telemetry.accesslog cimport Log
from l7.workers.body cimport RequestBody
from l7.workers.bounds cimport ClientBounds
from l7.workers.session cimport Session
from l7.workers.pool cimport Pool
from l7.workers.crew cimport Crew
from l7.http.parser cimport RequestParser
from l7.balancing.routing cimport Match, Routes
from l7.balancing.members cimport Member
from l7.telemetry.counters cimport Counters
from l7.workers.job cimport Job
from l7.workers.relay cimport Relay
from l7.workers.upstream cimport Upstream
from l7.workers.stream cimport Stream

cdef class Proxy:
    cdef public object config, sweeper, upstreams, credentials
    cdef public Routes routes
    cdef public Log log
    cdef public Counters counters
    cdef public ClientBounds bounds
    cdef public Crew crew
    cdef public RequestParser parser
    cdef public bint draining, parting, closing, handing, stopping, cutting
    cdef public long in_flight, requests, answered, faults
    cdef public set tunnels
    cdef object _id_prefix, _trusted

    cpdef str next_request_id(self)
    @cython.locals(body=RequestBody, job=Job, match=Match)
    cpdef handle(self, Exchange exchange, RequestHead head, Session session)
    cpdef finish(self, Exchange exchange)
    cpdef bint trusts(self, str client) except -1
    cdef _introduce(self, Exchange exchange, RequestHead head, Session session)
    cdef _admit(self, Exchange exchange, RequestHead head)
    @cython.locals(upstream=Upstream)
    cdef _forward(self, Job job)
    @cython.locals(member=Member)
    cdef _try_servers(self, Job job, Upstream upstream)
    @cython.locals(exchange=Exchange, server=Stream, pool=Pool)
    cdef _attempt(self, Job job, Member member)
    @cython.locals(relay=Relay, response=ResponseHead, session=Session, pool=Pool, waiting=dict)
    cdef _through(self, Job job, Member member, Stream server)
