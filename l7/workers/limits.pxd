# Types for the compiled l7/workers/limits.py.

from l7.http.framing cimport BodyReader
from l7.http.parser cimport ResponseParser

cdef class ClientProtocolLimits:
    cdef public Py_ssize_t head, fields, buffers
    cdef public object body, discarded
    cdef public double head_seconds, body_seconds, idle_seconds, write_seconds, half_closed_seconds

cdef class BackendProtocolLimits:
    cdef public double connect, response, body, tunnel
    cdef public Py_ssize_t head, fields, request_buffer, response_buffer
    cdef public ResponseParser parser

    cdef BodyReader reader(self, long long length, Py_ssize_t came)
