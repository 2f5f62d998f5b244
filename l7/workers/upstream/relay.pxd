# Types for the compiled l7/workers/upstream/relay.py.

cimport cython

from l7.http cimport slices
from l7.exchange cimport Exchange
from l7.http.messages cimport RequestHead, ResponseHead
from l7.http.framing cimport BodyReader
from l7.http.forwarding cimport Hop
from l7.workers.downstream.body cimport BodyPump, RequestBody
from l7.workers.limits cimport BackendLimits
from l7.workers.transport.stream cimport Stream

cdef class Relay:
    cdef Exchange _exchange
    cdef RequestHead _head
    cdef RequestBody _body
    cdef Stream _client, _server
    cdef object _source
    cdef BackendLimits _bounds
    cdef bytes _buffer
    cdef Hop _hop
    cdef BodyPump _pump
    cdef double _sent_at
    cdef bint _broken
    cdef public bint answered, announced, reusable
    cdef public long long client_framing
    cdef public ResponseHead response

    cpdef ResponseHead request(self, bytes opening, object greenlets)
    cdef _send(self, bytes opening)
    @cython.locals(data=bytes, response=ResponseHead, server=Stream, size=Py_ssize_t)
    cdef ResponseHead _response_head(self)
    @cython.locals(server=Stream)
    cdef bytes _await_answer(self)
    cdef _pass_interim(self, ResponseHead response)
    @cython.locals(framing="long long", whole=bint, payload=bytes, pieces=list, response=ResponseHead, reader=BodyReader)
    cpdef bint respond(self, bint keep) except -1
    cdef bytes _connection(self, bint keep)
    cdef _relay_body(self, BodyReader reader)
    @cython.locals(server=Stream, client=Stream)
    cdef _await_server(self, object gone)
    @cython.locals(server=Stream, client=Stream, late=double, patience=double, until=double, now=double)
    cdef _await_for_half_closed(self, object gone)
    cdef _frame(self, BodyReader reader, bytes payload, list pieces)
    cdef _to_client(self, bytes data)
    cdef _finish(self, BodyReader reader, bint whole)
    cpdef stop(self)
