# Types for the compiled l7/balancing/policies.py.

cimport cython

from l7.balancing._c_members cimport Member as CMember

cdef class RoundRobin:
    cdef list _turns
    cdef Py_ssize_t _next

    @cython.locals(turns=list, count=Py_ssize_t, turn=Py_ssize_t, silent=Py_ssize_t, member=CMember)
    cpdef pick(self, object tried, unsigned long long key=*)

cdef class LeastRequests:
    cdef tuple _members
    cdef RoundRobin _turns

    @cython.locals(best=CMember, member=CMember, least=cython.longlong, load=cython.longlong)
    cpdef pick(self, object tried, unsigned long long key=*)

cdef class TwoChoices:
    cdef list _turns
    cdef unsigned long long _state

    @cython.locals(first=CMember, second=CMember)
    cpdef pick(self, object tried, unsigned long long key=*)
    @cython.locals(turns=list, count=Py_ssize_t)
    cdef _draw(self, object tried, object other)

cdef class First:
    cdef tuple _members

    cpdef pick(self, object tried, unsigned long long key=*)
