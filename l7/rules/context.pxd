# Types for the compiled l7/rules/context.py.

cimport cython

from l7.balancing.routing cimport Match
from l7.exchange cimport Exchange
from l7.http.forwarding cimport Hop
from l7.http.messages cimport RequestHead
from l7.networks cimport ipv4_number

cdef long long _GENERAL, _UNKNOWN

@cython.final
cdef class RuleContext:
    cdef public Exchange exchange
    cdef public RequestHead head
    cdef public Hop hop
    cdef public bytes quota, sent_host, target
    cdef public bint names_server
    cdef public object asked, believed, rules
    cdef public Match match
    cdef public Py_ssize_t admitted
    cdef public long long body_limit

    @cython.locals(client=str, hop=Hop)
    cpdef Py_ssize_t ipv4(self) except? -1
