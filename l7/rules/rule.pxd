# Types for the compiled l7/rules/rule.py.

from l7.http.messages cimport ResponseHead
from l7.rules.context cimport RuleContext

cdef class Rule:
    cdef public tuple path

cdef class AdmissionRule(Rule):
    cpdef admit(self, RuleContext context)
    cpdef bint admits_at_once(self, RuleContext context) except -1

cdef class AnswerRule(Rule):
    cpdef answer(self, RuleContext context)

cdef class RequestRule(Rule):
    cpdef on_request(self, RuleContext context)

cdef class ResponseRule(Rule):
    cpdef on_response(self, RuleContext context, ResponseHead response)
    cpdef on_own(self, object context, object answer)
