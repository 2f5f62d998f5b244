# Types for the compiled l7/workers/transport/tls.py.

cimport cython

from l7.workers.transport cimport socket_calls
from l7.workers.transport.plain cimport PlainTransport
from l7.workers.transport.tls_records cimport RecordReader

cdef class TlsTransport(PlainTransport):
    cdef public bint established
    cdef public bytes clear_text
    cdef public object ssl_object
    cdef public object _outgoing, _failure, _flusher, _tls, _unsent
    cdef public bint _began
    cdef public Py_ssize_t _owed
    cdef object _observer, _incoming
    cdef RecordReader _records
    cdef bytes _plain
    cdef bint _over, _shut
    cdef int _fd
    cdef Py_ssize_t _held

    @cython.locals(data=bytes)
    cpdef bytes recv(self, Py_ssize_t size)
    @cython.locals(shakes=bint)
    cpdef bint peek(self) except -1
    @cython.locals(data=bytes)
    cdef _pull(self)
    @cython.locals(records=RecordReader, place=Py_ssize_t, end=Py_ssize_t, pieces=list)
    cdef _decrypt(self, bytes data)
    cdef bytes _read(self, Py_ssize_t size=*)
    @cython.locals(size=Py_ssize_t)
    cpdef Py_ssize_t send(self, object data) except -1
    @cython.locals(sent=Py_ssize_t, size=Py_ssize_t, end=Py_ssize_t, place=Py_ssize_t, records=list)
    cdef Py_ssize_t _send_more(self, object data) except -1
    cdef bytes _encrypt(self, object data)
    @cython.locals(sent=Py_ssize_t, size=Py_ssize_t)
    cdef bint _send_records(self, list records) except -1
    cdef bint _flush(self) except -1
    @cython.locals(sent=Py_ssize_t)
    cdef bint _empty(self) except -1
    cpdef shutdown(self)
    cpdef close(self)
