# Types for the compiled l7/rules/rate_limit.py.

cimport cython

from l7.http cimport octets
from l7.http.messages cimport RequestHead
from l7.rules.context cimport RuleContext

cdef int _LOWER

cdef class BucketKey:
    cdef bytes _identity, _name
    cdef bint _everybody
    cdef int _first

    @cython.locals(value=bytes, client=str)
    cpdef long long of(self, RuleContext context) except? -1
    @cython.locals(run=bytes, value=bytes, one=bytes, at=Py_ssize_t, end=Py_ssize_t, colon=Py_ssize_t, size=Py_ssize_t)
    cpdef bytes value(self, RequestHead head)
