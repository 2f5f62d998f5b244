# Types for the compiled l7/workers/upstream/relay.py.

cimport cython

from l7 cimport clock
from l7.http cimport octets
from l7.exchange cimport Exchange
from l7.http.messages cimport RequestHead, ResponseHead
from l7.http.framing cimport BodyReader
from l7.workers.downstream.body cimport BodyPump, RequestBody
from l7.workers.downstream.client_exchange cimport ClientExchange
from l7.workers.limits cimport BackendProtocolLimits
from l7.workers.transport.stream cimport Stream

cdef long long CHUNKED, UNTIL_CLOSE
cdef Py_ssize_t APART

cdef class Relay:
    cdef Exchange _exchange
    cdef RequestHead _head
    cdef RequestBody _body
    cdef ClientExchange _client
    cdef Stream _server
    cdef BackendProtocolLimits _bounds
    cdef bytes _buffer
    cdef Py_ssize_t _at
    cdef BodyPump _pump
    cdef bint _begun, _broken
    cdef public bint answered, announced, late, reusable
    cdef public ResponseHead response

    @cython.locals(sent=Py_ssize_t)
    cpdef bint send_at_once(self, bytes opening) except -1
    @cython.locals(body=RequestBody, response=ResponseHead)
    cpdef ResponseHead request(self, bytes opening, object greenlets)
    cdef _send(self, bytes opening)
    @cython.locals(data=bytes, response=ResponseHead, server=Stream, size=Py_ssize_t)
    cdef ResponseHead _response_head(self)
    @cython.locals(size=Py_ssize_t)
    cdef _keep(self, bytes data, ResponseHead response)
    @cython.locals(server=Stream)
    cdef bytes _await_answer(self)
    cdef _pass_interim(self, ResponseHead response)
    @cython.locals(
        whole=bint, payload=bytes, at=Py_ssize_t, size=Py_ssize_t, response=ResponseHead, reader=BodyReader,
        exchange=Exchange
    )
    cpdef respond(self)
    cpdef respond_through(self, ClientExchange client)
    cdef _relay_body(self, BodyReader reader)
    @cython.locals(payload=bytes)
    cdef _pass_on(self, bytes data, BodyReader reader)
    cdef _finish(self, BodyReader reader, bint whole)
    cpdef stop(self)
