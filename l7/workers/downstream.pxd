# Types for the compiled l7/workers/downstream.py.


cdef class ClientBounds:
    cdef public Py_ssize_t head, fields
    cdef public object body
    cdef public double head_seconds, body_seconds, idle_seconds, write_seconds
