# Types for the compiled l7/workers/upstream/request_deadline.py.

from l7.workers.downstream.client_exchange cimport ClientExchange
from l7.workers.transport.stream cimport Stream

cdef class RequestDeadline:
    cdef public double until
    cdef public bint over

    cpdef begin_attempt(self)
    cpdef connected(self, Stream server)
    cpdef await_client(self)
    cpdef bint blames_server(self) except -1
    cpdef stop(self)

cdef class TotalDeadline(RequestDeadline):
    cdef ClientExchange _client
    cdef Stream _server
    cdef object _client_fault, _timer
    cdef double _asked, _least, _seconds
    cdef bint _delivers, _too_little

    cpdef begin_attempt(self)
    cpdef connected(self, Stream server)
    cpdef await_client(self)
    cpdef bint blames_server(self) except -1
    cpdef stop(self)
