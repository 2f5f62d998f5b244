# Types for the compiled l7/rules/body_limit.py.

from l7.rules.context cimport RuleContext
from l7.rules.rule cimport AdmissionRule

cdef class BodyLimitRule(AdmissionRule):
    cdef object _limit
    cdef long long _most

    cpdef admit(self, RuleContext context)
    cpdef bint admits_at_once(self, RuleContext context) except -1
