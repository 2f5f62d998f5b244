# Types for the compiled l7/http/messages.py.

cdef class RequestHead:
    cdef public bytes line, method, path, authority, upgrade, user_agent, referer, forwarded, request_id, via, digits
    cdef public object authorization
    cdef public str host
    cdef public list runs
    cdef public long long length
    cdef public Py_ssize_t size
    cdef public int minor
    cdef public long max_forwards
    cdef public bint persistent, plain, clean, expects, trailers

cdef class StatusLine:
    cdef public int status, minor
    cdef public bytes raw, reason, line

cdef class ResponseHead:
    cdef public StatusLine start
    cdef public bytes upgrade, digits
    cdef public list runs
    cdef public long long length, declared
    cdef public Py_ssize_t size
    cdef public int status
    cdef public bint persistent, dated
    cdef public double keep_alive
