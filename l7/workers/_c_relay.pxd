# Types for the compiled l7/workers/relay.py.

cimport cython

from l7._c_exchange cimport Exchange as CExchange
from l7.http._c_messages cimport RequestHead as CRequestHead, ResponseHead as CResponseHead
from l7.http._c_framing cimport BodyReader as CBodyReader
from l7.http._c_forwarding cimport Hop as CHop
from l7.http._c_parser cimport ResponseParser as CResponseParser
from l7.workers._c_body cimport Pump as CPump, RequestBody as CRequestBody
from l7.workers._c_stream cimport Stream as CStream

cdef class Bounds:
    cdef public double connect, response, idle, write
    cdef public Py_ssize_t head, fields
    cdef public CResponseParser parser

    cdef CBodyReader reader(self, long long length, Py_ssize_t came)

cdef class Relay:
    cdef CExchange _exchange
    cdef CRequestHead _head
    cdef CRequestBody _body
    cdef CStream _client, _server
    cdef object _source
    cdef Bounds _bounds
    cdef bytes _buffer
    cdef CHop _hop
    cdef CPump _pump
    cdef double _sent_at
    cdef bint _broken
    cdef public bint answered, announced, reusable
    cdef public long long client_framing
    cdef public CResponseHead response

    cpdef CResponseHead request(self, bytes opening, object crew)
    cdef _send(self, bytes opening)
    @cython.locals(data=bytes, response=CResponseHead, server=CStream, size=Py_ssize_t, text="const char *")
    cdef CResponseHead _response_head(self)
    @cython.locals(server=CStream)
    cdef bytes _await_answer(self)
    cdef _pass_interim(self, CResponseHead response)
    @cython.locals(framing="long long", whole=bint, payload=bytes, pieces=list, response=CResponseHead, reader=CBodyReader)
    cpdef bint respond(self, bint keep) except -1
    cdef bytes _connection(self, bint keep)
    cdef _relay_body(self, CBodyReader reader)
    @cython.locals(server=CStream)
    @cython.locals(server=CStream, client=CStream)
    cdef _await_server(self, object gone)
    cdef _frame(self, CBodyReader reader, bytes payload, list pieces)
    cdef _to_client(self, bytes data)
    cdef _finish(self, CBodyReader reader, bint whole)
    cpdef stop(self)
