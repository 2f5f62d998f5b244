# Types for the compiled l7/workers/runtime/greenlet_pool.py.

from l7.workers.runtime cimport switching

cdef class GreenletPool:
    cdef object _hub, _spare
    cdef list _parked
    cdef public int working

    cpdef start(self, object task)
    cpdef begin(self, object task)
