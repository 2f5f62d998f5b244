# Types for the compiled l7/rules/access.py.

from l7.networks cimport NetworkSet
from l7.rules.context cimport RuleContext
from l7.rules.rule cimport AdmissionRule

cdef class ClientRule(AdmissionRule):
    cdef NetworkSet _networks

cdef class DenyRule(ClientRule):
    cpdef admit(self, RuleContext context)
    cpdef bint admits_at_once(self, RuleContext context) except -1

cdef class AllowRule(ClientRule):
    cpdef admit(self, RuleContext context)
    cpdef bint admits_at_once(self, RuleContext context) except -1
