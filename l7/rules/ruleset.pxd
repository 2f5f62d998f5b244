# Types for the compiled l7/rules/ruleset.py.

cimport cython

from l7.http.messages cimport ResponseHead
from l7.rules.context cimport RuleContext
from l7.rules.rule cimport AnswerRule, Rule

cdef class RuleSet:
    cdef public tuple rules
    cdef tuple _admission, _request, _response
    cdef public AnswerRule answer
    cdef public object compression
    cdef public object pages
    cdef public bint logs_in

    @cython.locals(rule=Rule)
    cpdef bint begins(self, RuleContext context) except -1
    @cython.locals(rule=Rule)
    cpdef admit(self, RuleContext context)
    @cython.locals(rule=Rule)
    cpdef on_request(self, RuleContext context)
    @cython.locals(rule=Rule)
    cpdef on_response(self, RuleContext context, ResponseHead response)
    @cython.locals(rule=Rule)
    cpdef own(self, object context, object answer)
