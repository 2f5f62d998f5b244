# Types for the compiled l7/workers/server.py.

cimport cython

from l7.http.forwarding cimport Hop
from l7.workers.proxy cimport Proxy
from l7.workers.session cimport Session
from l7.workers.share cimport Share
from l7.workers.stream cimport Sweeper

cdef int _IPV4, _UNIX

cdef class Listener:
    cdef public object sock
    cdef public int family, port
    cdef public bytes authority
    cdef public bint watching
    cdef object _watcher
    cdef dict _hops
    cdef Server _server

    @cython.locals(hop=Hop)
    cdef Hop hop(self, str client)
    cpdef watch(self)
    cpdef pause(self)
    cpdef close(self)
    cpdef bint accept(self) except -1

cdef class Server:
    cdef public Proxy proxy
    cdef public object outbox, on_drained
    cdef public set sessions
    cdef public bint stopped
    cdef Sweeper _sweeper
    cdef Share _share
    cdef Py_ssize_t _most
    cdef object _report, _timer, _turn, _lending, _room
    cdef list _listeners
    cdef bint _told, _backs_off, _paused, _crowded
    cdef dict _authorities

    cpdef accepted(self, object sock, object peer, Listener listener)
    cdef Session _begin(self, object sock, Hop hop)
    cpdef take(self, Listener listener)
    @cython.locals(count=Py_ssize_t)
    cpdef bint yields(self) except -1
    cpdef gone(self, Session session)
    cdef _resume(self)
    @cython.locals(listener=Listener)
    cdef _watch(self)

cpdef str client_address(object peer, int family)
