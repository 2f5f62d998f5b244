# Types for the compiled l7/rules/templates.py.

cimport cython

from l7.http cimport octets
from l7.rules.context cimport RuleContext

cdef int _TAB

@cython.final
cdef class Template:
    cdef list _filled, _pieces
    cdef public tuple variables
    cdef public bytes constant

    @cython.locals(values=list, value=bytes)
    cpdef bytes expand(self, RuleContext context)

cpdef bytes scheme_of(RuleContext context)
@cython.locals(client=str)
cpdef bytes _client(RuleContext context)
@cython.locals(host=str)
cpdef bytes _host(RuleContext context)
cpdef bytes _target(RuleContext context)
@cython.locals(request_id=str)
cpdef bytes _request_id(RuleContext context)
