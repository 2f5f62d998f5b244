# Types for the compiled l7/workers/transport/stream.py.

cimport cython

from l7.workers.runtime cimport switching
from l7.workers.transport.plain cimport PlainTransport

cdef class DeadlineSweeper:
    cdef public double interval
    cdef public set streams
    cdef public object hub, loop, free_descriptor
    cdef object _timer

    @cython.locals(now=double, due=list, stream=Stream)
    cpdef sweep(self)

cdef class Stream:
    cdef public object socket, handler, reader, watcher
    cdef public DeadlineSweeper sweeper
    cdef public PlainTransport transport
    cdef public double deadline, write_deadline, seen
    cdef public bint ready, watching, closed, half_closed, awaited
    cdef object _hub, _writer, _write_watcher
    cdef bint _expired, _write_expired

    cpdef watch(self)
    cdef _hold_pending(self)
    cpdef wait(self)
    cpdef wait_either(self, Stream other)
    cdef _wake_failed(self)
    cpdef bytes receive(self, Py_ssize_t size=*)
    cpdef take(self, Py_ssize_t size=*)
    cpdef bint has_bytes(self) except -1
    cpdef send(self, object data, double seconds)
    cpdef push(self, object data, double seconds)
    @cython.locals(sent=Py_ssize_t)
    cdef _send_now(self, object data)
    cpdef Py_ssize_t send_some(self, object data, bytes head=*, Py_ssize_t at=*) except -1
    cpdef wait_writable_or_readable(self, Stream source, double seconds)
    cpdef wait_writable(self, double seconds)
    cpdef expire(self, double now)
    cpdef finish_sending(self)
    cpdef reset(self)
    cpdef close(self)
