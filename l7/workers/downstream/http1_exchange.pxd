# Types for the compiled l7/workers/downstream/http1_exchange.py.

cimport cython

from l7.exchange cimport Exchange
from l7.http.forwarding cimport Hop
from l7.http.framing cimport BodyReader
from l7.http.messages cimport RequestHead, ResponseHead
from l7.workers.downstream.body cimport RequestBody
from l7.workers.downstream.client_exchange cimport ClientExchange
from l7.workers.limits cimport ClientProtocolLimits
from l7.workers.downstream.request_handler cimport RequestHandler
from l7.workers.transport.stream cimport Stream

cdef long long ABSENT, CHUNKED, UNTIL_CLOSE

cdef class Http1Exchange(ClientExchange):
    cdef public Stream stream
    cdef public bint last, kept
    cdef RequestHandler _handler
    cdef bytes _buffer
    cdef RequestBody _body
    cdef long long _framing
    cdef bytearray _untaken
    cdef double _take_until

    cdef _attach(self, Stream stream, Hop hop, RequestHandler handler, bint trusted)
    cpdef bint has_body(self, RequestHead head) except -1
    @cython.locals(bounds=ClientProtocolLimits, body=RequestBody, data=bytes)
    cpdef read_body(self, Exchange exchange, RequestHead head)
    @cython.locals(body=RequestBody)
    cpdef buffer_body(self, RequestHead head, double total)
    cpdef unread(self, bytes data)
    cpdef bint has_left(self) except -1
    cdef bint _may_read_ahead(self) except -1
    cdef _read_ahead(self)
    @cython.locals(client=Stream)
    cpdef await_server(self, Stream server, object gone)
    @cython.locals(late=double, patience=double, until=double, now=double)
    cdef _await_for_half_closed(self, Stream server, object gone)
    cpdef bint read_while_waiting(self) except -1
    cpdef bint takes_chunks(self, RequestHead head) except -1
    @cython.locals(minor=int, hop=Hop, framing="long long", connection=bytes, pieces=list, date=bytes)
    cpdef start_response(
        self, RequestHead head, ResponseHead response, bytes payload, BodyReader reader, Py_ssize_t at=*
    )
    cdef bint _may_go_on(self) except -1
    cdef bint _has_sent_body(self) except -1
    @cython.locals(pieces=list)
    cpdef write(self, bytes payload, BodyReader reader)
    cdef _send(self, bytes data)
    @cython.locals(sent=Py_ssize_t)
    cdef _offer(self, bytes data)
    @cython.locals(sent=Py_ssize_t, size=Py_ssize_t)
    cdef _offer_both(self, bytes head, bytes data, Py_ssize_t at)
    cdef _note_held(self, Py_ssize_t more)
    cpdef Py_ssize_t room(self, Py_ssize_t bound) except? -1
    @cython.locals(untaken=bytearray, seconds=double, sent=Py_ssize_t)
    cpdef drain(self, Stream server=*)
