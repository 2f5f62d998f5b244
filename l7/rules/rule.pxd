# Types for the compiled l7/rules/rule.py.
#
# A rule that does what two kinds do has one table of methods: what is called of it is found by its place there.

from l7.http.messages cimport ResponseHead
from l7.rules.context cimport RuleContext

cdef class Rule:
    cdef public tuple path

    cpdef admit(self, RuleContext context)
    cpdef bint admits_at_once(self, RuleContext context) except -1
    cpdef answer(self, RuleContext context)
    cpdef on_request(self, RuleContext context)
    cpdef on_response(self, RuleContext context, ResponseHead response)
    cpdef on_own(self, object context, object answer)

cdef class AdmissionRule(Rule):
    pass

cdef class AnswerRule(Rule):
    pass

cdef class RequestRule(Rule):
    pass

cdef class ResponseRule(Rule):
    pass
