# Types for the compiled l7/workers/downstream/accept_balancer.py.

cimport cython

from l7.sharedmem cimport integers

cdef Py_ssize_t _ACCEPTING, _ADOPTED, _CONNECTIONS, _PLACES

cdef class AcceptBalancer:
    cdef object _scoreboard
    cdef object _cells
    cdef list _peers
    cdef Py_ssize_t _slot
    cdef long long _looked

    cpdef holds(self, Py_ssize_t count)
    cpdef adopts(self)
    @cython.locals(now="long long")
    cpdef bint others_accept(self) except -1
    @cython.locals(peers=list, total=double)
    cpdef bint exceeded(self, Py_ssize_t count) except -1
