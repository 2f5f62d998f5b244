# Types for the compiled l7/balancing/routing.py.

cimport cython

from l7.http cimport octets

cdef class Match:
    cdef public str key, host, path
    cdef public tuple also
    cdef public object payload, rules

cdef class _Paths:
    cdef list _lengths
    cdef dict _prefixes
    cdef Match _whole

    cpdef list around(self, bytes path)
    @cython.locals(rule=Match, length=Py_ssize_t)
    cdef Match match(self, bytes path)

cdef class Routes:
    cdef public tuple rules
    cdef _Paths _default
    cdef object _table
    cdef dict _both, _exact, _simple, _wildcards
    cdef Py_ssize_t _reach
    cdef bint _looks

    @cython.locals(rule=Match)
    cpdef Match match(self, str host, bytes path)
    @cython.locals(rule=Match, forms=list)
    cdef Match _match_readings(self, str host, bytes path)
    @cython.locals(found=Match)
    cdef Match _joined(self, Match rule, tuple also)
    @cython.locals(rule=Match, paths=_Paths)
    cdef Match _match_normal(self, str host, bytes path)
    @cython.locals(paths=_Paths)
    cpdef list enclosing(self, Match match)
    @cython.locals(rule=Match, paths=_Paths, dot=Py_ssize_t)
    cdef Match _match_wildcard(self, str host, bytes path)
