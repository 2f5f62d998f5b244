# Types for the compiled l7/workers/upstream.py.

cimport cython

from l7.balancing._c_lane cimport Lane as CLane
from l7.balancing._c_members cimport Member as CMember
from l7.balancing._c_policies cimport Policy as CPolicy
from l7.workers._c_relay cimport Bounds as CBounds

cdef class Upstream:
    cdef public str route
    cdef public CLane lane
    cdef public CBounds bounds
    cdef public tuple available
    cdef public list members
    cdef public bint plain
    cdef public double total
    cdef public long long again
    cdef public Py_ssize_t row, at, retries, limit
    cdef public CPolicy policy
    cdef public object backend, budget, selection
    cdef public dict waiting
    cdef object _arranged, _given, _passive, _rules, _servers, _shared, _sweeper, _timed

    @cython.locals(member=CMember)
    cpdef pick(self, object job, object tried)
    cpdef release(self, CMember member)
    cpdef answered(self, CMember member, int status)
