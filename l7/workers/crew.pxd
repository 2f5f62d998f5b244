# Types for the compiled l7/workers/crew.py.

cdef class Crew:
    cdef object _hub
    cdef list _parked
    cdef public int working

    cpdef start(self, object job)
    cpdef begin(self, object job)
