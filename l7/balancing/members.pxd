# Types for the compiled l7/balancing/members.py.

from l7.sharedmem.counters cimport CounterWriter

cdef Py_ssize_t _ANSWERED_5XX, _CONNECTS, _GOOD, _IN_FLIGHT, _REQUESTS

cdef class Member:
    cdef public str label
    cdef public bytes authority
    cdef public CounterWriter writer
    cdef public Py_ssize_t row, parent, at
    cdef public long long weight, limit, share, effective_limit
    cdef public Py_ssize_t unanswered
    cdef public double asked
    cdef public bint backup, half_open, unreachable
    cdef public object pool, verdict

    cpdef long long load(self) except? -1
    cpdef begin(self)
    cpdef bint claim(self) except -1
    cdef _ask(self)
    cpdef bint is_silent(self) except -1
    cpdef end(self)
    cpdef connected(self)
    cpdef bint answered(self, int status) except -1
