# Types for the compiled l7/workers/upstream/websocket_frames.py.

cimport cython

from l7.http cimport octets

cdef class FrameBoundaryTracker:
    cdef bytes _head
    cdef long long _left
    cdef public bint closed

    @cython.locals(place="long long", size=Py_ssize_t, length=Py_ssize_t)
    cpdef feed(self, bytes data)

cdef Py_ssize_t _head_length(bytes data, Py_ssize_t place) except -1
@cython.locals(short=Py_ssize_t)
cdef long long _payload_length(bytes data, Py_ssize_t place) except -1
