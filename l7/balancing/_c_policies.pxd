# Types for the compiled l7/balancing/policies.py.

cimport cython

from l7.balancing._c_members cimport Member as CMember

cdef class Policy:
    cpdef CMember pick(self, object tried, unsigned long long key=*)

cdef class RoundRobin(Policy):
    cdef list _turns
    cdef Py_ssize_t _next

    @cython.locals(turns=list, count=Py_ssize_t, turn=Py_ssize_t, silent=Py_ssize_t, member=CMember)
    cpdef CMember pick(self, object tried, unsigned long long key=*)

cdef class LeastRequests(Policy):
    cdef tuple _members
    cdef RoundRobin _turns

    @cython.locals(best=CMember, member=CMember, least=cython.longlong, load=cython.longlong)
    cpdef CMember pick(self, object tried, unsigned long long key=*)

cdef class TwoChoices(Policy):
    cdef list _turns
    cdef unsigned long long _state

    @cython.locals(first=CMember, second=CMember)
    cpdef CMember pick(self, object tried, unsigned long long key=*)
    @cython.locals(turns=list, count=Py_ssize_t)
    cdef CMember _draw(self, object tried, object other)

cdef class First(Policy):
    cdef tuple _members

    cpdef CMember pick(self, object tried, unsigned long long key=*)

cdef class Hash(Policy):
    cdef tuple _members
    cdef list _points, _owners
    cdef long long _total

    @cython.locals(member=CMember, load=cython.longlong, start=Py_ssize_t, step=Py_ssize_t, count=Py_ssize_t)
    cpdef CMember pick(self, object tried, unsigned long long key=*)
