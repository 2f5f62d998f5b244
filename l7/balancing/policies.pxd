# Types for the compiled l7/balancing/policies.py.

cimport cython

from l7.balancing.members cimport Member

cdef class Policy:
    cpdef Member pick(self, object tried, unsigned long long key=*)

cdef class RoundRobin(Policy):
    cdef list _turns
    cdef Py_ssize_t _next

    @cython.locals(turns=list, count=Py_ssize_t, turn=Py_ssize_t, silent=Py_ssize_t, member=Member)
    cpdef Member pick(self, object tried, unsigned long long key=*)

cdef class LeastRequests(Policy):
    cdef tuple _members
    cdef RoundRobin _turns

    @cython.locals(best=Member, member=Member, least=cython.longlong, load=cython.longlong)
    cpdef Member pick(self, object tried, unsigned long long key=*)

cdef class TwoChoices(Policy):
    cdef list _turns
    cdef unsigned long long _state

    @cython.locals(first=Member, second=Member)
    cpdef Member pick(self, object tried, unsigned long long key=*)
    @cython.locals(turns=list, count=Py_ssize_t)
    cdef Member _draw(self, object tried, object other)

cdef class First(Policy):
    cdef tuple _members

    cpdef Member pick(self, object tried, unsigned long long key=*)

cdef class Hash(Policy):
    cdef tuple _members
    cdef list _points, _owners
    cdef long long _total

    @cython.locals(member=Member, load=cython.longlong, start=Py_ssize_t, step=Py_ssize_t, count=Py_ssize_t)
    cpdef Member pick(self, object tried, unsigned long long key=*)
