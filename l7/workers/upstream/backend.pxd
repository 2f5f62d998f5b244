# Types for the compiled l7/workers/upstream/backend.py.

cimport cython

from l7.sharedmem.counters cimport CounterWriter
from l7.balancing.members cimport Member
from l7.balancing.policies cimport Policy
from l7.workers.limits cimport BackendProtocolLimits

cdef class BackendRuntime:
    cdef public str route
    cdef public CounterWriter writer
    cdef public BackendProtocolLimits bounds
    cdef public tuple available, last_resort
    cdef public list members
    cdef public bint plain, by_host
    cdef public double total
    cdef public long long again
    cdef public Py_ssize_t row, at, retries, limit
    cdef public Policy policy
    cdef public object backend, budget, selection, retry_queue
    cdef public dict waiting
    cdef object _arranged, _given, _passive, _rules, _servers, _context, _pools, _timed

    @cython.locals(member=Member)
    cpdef pick(self, object forwarded, object tried)
    cpdef release(self, Member member)
    cpdef answered(self, Member member, int status)
