# Types for the compiled l7/rules/rate_limit.py.

cimport cython

from l7.http cimport octets
from l7.http.forwarding cimport Hop
from l7.http.messages cimport RequestHead, ResponseHead
from l7.rules.context cimport RuleContext
from l7.rules.rule cimport AdmissionRule
from l7.sharedmem.rate_limits cimport Bucket, RateLimitTable

cdef int _LOWER, _COLON
cdef long long _NO_ROOM

cdef class BucketKey:
    cdef bytes _identity, _name
    cdef bint _everybody
    cdef int _first

    @cython.locals(value=bytes, client=str, hop=Hop)
    cpdef long long of(self, RuleContext context) except? -1
    @cython.locals(owner=bytes)
    cdef long long _of_client(self, str client) except? -1
    @cython.locals(run=bytes, value=bytes, one=bytes, at=Py_ssize_t, end=Py_ssize_t, colon=Py_ssize_t, size=Py_ssize_t)
    cpdef bytes value(self, RequestHead head)

cdef class RateLimitRule(AdmissionRule):
    cdef object _limit, _limiter
    cdef str _route
    cdef bytes _policy
    cdef readonly BucketKey _key
    cdef readonly Bucket _bucket
    cdef RateLimitTable _table

    @cython.locals(wait="long long", seconds="long long")
    cpdef admit(self, RuleContext context)
    cpdef bint admits_at_once(self, RuleContext context) except -1
    cpdef on_response(self, RuleContext context, ResponseHead response)
    cpdef on_own(self, object context, object answer)
    @cython.locals(
        table=RateLimitTable, bucket=Bucket, ahead="long long", left="long long", wait="long long", exact=double,
        seconds="long long"
    )
    cdef long long _charge(self, RuleContext context) except? -1
    cdef bytes _quota(self, long long left, long long seconds)
