# Types for the compiled l7/http/messages.py.

cdef class RequestHead:
    cdef public bytes line, method, path, authority, upgrade, user_agent, referer, forwarded, request_id, via
    cdef public object authorization
    cdef public str host
    cdef public list lines
    cdef public long long length
    cdef public int minor
    cdef public long max_forwards
    cdef public bint persistent, expects, trailers

cdef class ResponseHead:
    cdef public bytes reason, upgrade
    cdef public list lines
    cdef public long long length, declared
    cdef public int status
    cdef public bint persistent, dated
