# Types for the compiled l7/http/forwarding.py.

cimport cython

from l7.http._c_messages cimport RequestHead as CRequestHead, ResponseHead as CResponseHead

cdef class Hop:
    cdef public str client
    cdef public int port
    cdef public bytes authority, line

@cython.locals(lines=list, authority=bytes)
cpdef bytes request_head(CRequestHead head, Hop hop, bytes request_id, object believed=*)

@cython.locals(lines=list)
cpdef bytes response_head(CResponseHead head, long long length, bytes date, bytes connection)

cpdef long long client_framing(CResponseHead head, int minor)
