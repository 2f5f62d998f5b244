# Types for the compiled l7/rules/heads/header_rules.py.

cimport cython

from l7.http.messages cimport RequestHead, ResponseHead
from l7.rules.context cimport RuleContext
from l7.rules.heads.headers cimport FieldChanges
from l7.rules.rule cimport RequestRule, ResponseRule

cdef class RequestHeadersRule(RequestRule):
    cdef str _words
    cdef public FieldChanges changes

    @cython.locals(head=RequestHead)
    cpdef on_request(self, RuleContext context)

cdef class ResponseHeadersRule(ResponseRule):
    cdef frozenset _taken
    cdef str _words
    cdef public FieldChanges changes

    cpdef on_response(self, RuleContext context, ResponseHead response)
    cpdef on_own(self, object context, object answer)
