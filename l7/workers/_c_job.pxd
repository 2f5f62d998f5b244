# Types for the compiled l7/workers/job.py.

from l7._c_exchange cimport Exchange as CExchange
from l7.balancing._c_members cimport Member as CMember
from l7.http._c_messages cimport RequestHead as CRequestHead
from l7.workers._c_body cimport RequestBody as CRequestBody
from l7.workers._c_relay cimport Relay as CRelay
from l7.workers._c_upstream cimport Upstream as CUpstream

cdef class Job:
    cdef public bint answered
    cdef public CRequestBody body
    cdef public CExchange exchange
    cdef public CRequestHead head
    cdef public object session
    cdef public CUpstream upstream
    cdef public bytes opening, cookie
    cdef public double until
    cdef public object total
    cdef public CRelay relay
    cdef public bint moved

    cpdef bint may_retry(self, object failure, CMember leaving=*) except -1
