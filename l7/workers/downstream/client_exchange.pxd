# Types for the compiled l7/workers/downstream/client_exchange.py.

from l7.exchange cimport Exchange
from l7.http.forwarding cimport Hop
from l7.http.framing cimport BodyReader
from l7.http.messages cimport RequestHead, ResponseHead
from l7.workers.transport.stream cimport Stream

cdef class ClientExchange:
    cdef public Hop hop
    cdef public bint trusted
    cdef public Py_ssize_t held
    cdef public long long came

    cpdef bint has_body(self, RequestHead head) except -1
    cpdef read_body(self, Exchange exchange, RequestHead head)
    cpdef buffer_body(self, RequestHead head, double total)
    cpdef bint has_left(self) except -1
    cpdef fault(self)
    cpdef await_server(self, Stream server, object gone)
    cpdef watch(self, object waiter, double until)
    cpdef unwatch(self)
    cpdef send_interim(self, ResponseHead response)
    cpdef bint takes_chunks(self, RequestHead head) except -1
    cpdef start_response(
        self, RequestHead head, ResponseHead response, bytes payload, BodyReader reader, Py_ssize_t at=*
    )
    cpdef write(self, bytes payload, BodyReader reader)
    cpdef pipe_from(self, Stream server)
    cpdef Py_ssize_t room(self, Py_ssize_t bound) except? -1
    cpdef drain(self, Stream server=*)
    cpdef flush(self)
    cpdef write_from(self, object pipe, Py_ssize_t bound)
    cpdef Py_ssize_t answer(self, object response, RequestHead head, bint keep=*) except -1
    cpdef switch_protocols(self, ResponseHead response)
    cpdef abort(self)
