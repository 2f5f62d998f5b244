# Types for the compiled l7/workers/proxy.py.

cimport cython

from l7._c_exchange cimport Exchange as CExchange
from l7.http._c_messages cimport RequestHead as CRequestHead, ResponseHead as CResponseHead
from l7.telemetry._c_accesslog cimport Log as CLog
from l7.workers._c_body cimport RequestBody as CRequestBody
from l7.workers._c_downstream cimport ClientBounds as CClientBounds
from l7.workers._c_session cimport Session as CSession
from l7.workers._c_pool cimport Pool as CPool
from l7.workers._c_crew cimport Crew as CCrew
from l7.http._c_parser cimport RequestParser as CRequestParser
from l7.balancing._c_members cimport Member as CMember
from l7.telemetry._c_counters cimport Counters as CCounters
from l7.workers._c_relay cimport Relay as CRelay
from l7.workers._c_upstream cimport Upstream as CUpstream
from l7.workers._c_stream cimport Stream as CStream

cdef class Job:
    cdef public bint answered
    cdef public CRequestBody body
    cdef public CExchange exchange
    cdef public CRequestHead head
    cdef public CSession session
    cdef public CUpstream upstream
    cdef public bytes opening, cookie
    cdef public double until
    cdef public object total

    cpdef bint may_retry(self, object failure) except -1

cdef class Proxy:
    cdef public object config, sweeper, upstreams, routes, credentials
    cdef public CLog log
    cdef public CCounters counters
    cdef public CClientBounds bounds
    cdef public CCrew crew
    cdef public CRequestParser parser
    cdef public bint draining, parting, closing, handing, stopping
    cdef public long in_flight, requests, answered, faults
    cdef public set tunnels
    cdef object _id_prefix, _trusted

    cpdef str next_request_id(self)
    @cython.locals(body=CRequestBody, job=Job)
    cpdef handle(self, CExchange exchange, CRequestHead head, CSession session)
    cpdef finish(self, CExchange exchange)
    cdef _introduce(self, CExchange exchange, CRequestHead head, CSession session)
    cdef _admit(self, CExchange exchange, CRequestHead head)
    @cython.locals(upstream=CUpstream)
    cdef _forward(self, Job job)
    @cython.locals(member=CMember)
    cdef _try_servers(self, Job job, CUpstream upstream)
    @cython.locals(exchange=CExchange, server=CStream, pool=CPool)
    cdef _attempt(self, Job job, CMember member)
    @cython.locals(relay=CRelay, response=CResponseHead)
    cdef _through(self, Job job, CMember member, CStream server)
