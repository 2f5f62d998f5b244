# Types for the compiled l7/exchange.py.

cdef class Exchange:
    cdef public str client, host, request_id, server, code, route
    cdef public bytes request_line, user, referer, user_agent
    cdef public object failure, tls, ruled, trace
    cdef public int attempts, status
    cdef public bint clean
    cdef public Py_ssize_t row
    cdef public long long received, sent, connection, port, record
    cdef public double started, queue_time, connect_time, response_time, sent_at, total_time
