# Types for the compiled l7/workers/transport/plain.py.

from l7.workers.transport cimport socket_calls

cdef class PlainTransport:
    cdef public object socket
    cdef int _descriptor
    cdef bint _acknowledges
    cdef public Py_ssize_t pending
    cdef public bint can_splice, can_detach, truncated

    cpdef bytes recv(self, Py_ssize_t size)
    cpdef Py_ssize_t send(self, object data) except -1
    cpdef Py_ssize_t send_both(self, bytes head, bytes data, Py_ssize_t at) except -1
    cpdef bint peek(self) except -1
    cpdef acknowledge(self)
    cpdef shutdown(self)
    cpdef close(self)

cdef class RelayTransport(PlainTransport):
    cpdef bytes recv(self, Py_ssize_t size)
    cpdef shutdown(self)
