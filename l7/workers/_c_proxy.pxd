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
from l7.balancing._c_routing cimport Match as CMatch, Routes as CRoutes
from l7.balancing._c_members cimport Member as CMember
from l7.telemetry._c_counters cimport Counters as CCounters
from l7.workers._c_job cimport Job as CJob
from l7.workers._c_relay cimport Relay as CRelay
from l7.workers._c_upstream cimport Upstream as CUpstream
from l7.workers._c_stream cimport Stream as CStream

cdef class Proxy:
    cdef public object config, sweeper, upstreams, credentials
    cdef public CRoutes routes
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
    @cython.locals(body=CRequestBody, job=CJob, match=CMatch)
    cpdef handle(self, CExchange exchange, CRequestHead head, CSession session)
    cpdef finish(self, CExchange exchange)
    cpdef bint trusts(self, str client) except -1
    cdef _introduce(self, CExchange exchange, CRequestHead head, CSession session)
    cdef _admit(self, CExchange exchange, CRequestHead head)
    @cython.locals(upstream=CUpstream)
    cdef _forward(self, CJob job)
    @cython.locals(member=CMember)
    cdef _try_servers(self, CJob job, CUpstream upstream)
    @cython.locals(exchange=CExchange, server=CStream, pool=CPool)
    cdef _attempt(self, CJob job, CMember member)
    @cython.locals(relay=CRelay, response=CResponseHead, session=CSession, pool=CPool, waiting=dict)
    cdef _through(self, CJob job, CMember member, CStream server)
