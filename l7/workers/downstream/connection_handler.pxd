# Types for the compiled l7/workers/downstream/connection_handler.py.

cimport cython

from l7.http.forwarding cimport Hop
from l7.workers.proxy cimport Proxy
from l7.workers.downstream.connection cimport ClientConnection
from l7.workers.downstream.accept_balancer cimport AcceptBalancer
from l7.workers.transport cimport socket_calls
from l7.workers.transport.stream cimport DeadlineSweeper, Stream

cdef int _IPV4, _UNIX

cdef class ActiveListener:
    cdef public object bound, sock, config, contexts, senders
    cdef public int family, port, https_port
    cdef public bytes authority
    cdef public bint watching, begins_otherwise
    cdef object _hops, _watcher
    cdef ConnectionHandler _server

    @cython.locals(hop=Hop)
    cdef Hop hop(self, str client)
    cdef Hop _new_hop(self, str client)
    @cython.locals(hop=Hop)
    cpdef Hop told_hop(self, str client, int port)
    cpdef watch(self)
    cpdef pause(self)
    cpdef close(self)
    @cython.locals(peer=str)
    cpdef bint accept(self) except -1

cdef class ConnectionHandler:
    cdef public Proxy proxy
    cdef public object handover_queue, handshakes, on_drained, proxy_headers
    cdef public set connections
    cdef public list listeners
    cdef public bint stopped
    cdef DeadlineSweeper _sweeper
    cdef AcceptBalancer _balancer
    cdef Py_ssize_t _most
    cdef object _report, _timer, _turn, _room
    cdef bint _told, _backs_off, _paused, _crowded

    cpdef accepted(self, object sock, str peer, ActiveListener listener)
    cpdef ClientConnection begin(self, Stream stream, Hop hop)
    cpdef take(self, ActiveListener listener)
    @cython.locals(count=Py_ssize_t)
    cpdef bint yields(self) except -1
    cpdef gone(self, ClientConnection connection)
    cdef _resume(self)
    @cython.locals(listener=ActiveListener)
    cdef _watch(self)

cpdef str client_address(str peer, int family)
