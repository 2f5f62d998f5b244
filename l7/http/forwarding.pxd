# Types for the compiled l7/http/forwarding.py.

cimport cython

from l7.http cimport octets
from l7.http.messages cimport RequestHead, ResponseHead

cdef int _UPGRADE_REQUIRED, _NO_CONTENT
cdef bytes _HOST, _LENGTH, _VIA_11, _VIA_10, _NO_VIA, _ARRIVAL

cdef long long ABSENT, CHUNKED, UNTIL_CLOSE

cdef class Hop:
    cdef public str client, server_name
    cdef public int port, https_port
    cdef public long long bucket, ipv4
    cdef public object limit
    cdef public bytes authority, certificate, scheme, told_port
    cdef public bint via
    cdef bytes _named, _lines

    cpdef bint serves(self, RequestHead head) except -1
    cdef bytes _came(self, bytes authority)

    @cython.locals(pieces=list, authority=bytes)
    cpdef bytes request_head(self, RequestHead head, bytes request_id, object believed=*, bytes body=*, bytes user=*)
    cpdef long long framing(self, ResponseHead head, int minor) except -9
    @cython.locals(pieces=list)
    cpdef bytes response_head(self, ResponseHead head, long long length, bytes date, bytes connection, list body=*)
