# Types for the compiled l7/workers/upstream/tunnel.py.

cimport cython

from l7 cimport clock
from l7.exchange cimport Exchange
from l7.workers.transport.stream cimport Stream
from l7.workers.upstream.websocket_frames cimport FrameBoundaryTracker

cdef class Tunnel:
    cdef double _idle, _stirred
    cdef Exchange _exchange
    cdef Stream _server
    cdef object _upward_done, _timer
    cdef dict _borders
    cdef set _sending, _finished
    cdef public Stream client
    cdef public bint leaving

    @cython.locals(exchange=Exchange, data=bytes)
    cdef _copy(self, Stream source, Stream sink, bytes first, bint downward)
    @cython.locals(border=FrameBoundaryTracker)
    cdef _pass_on(self, bytes data, Stream sink)
    cdef bytes _receive(self, Stream source)
