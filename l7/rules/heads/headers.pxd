# Types for the compiled l7/rules/heads/headers.py.

cimport cython

from l7.http cimport octets
from l7.rules.context cimport RuleContext
from l7.rules.templates cimport Template, scheme_of

cdef int _SPACE, _HYPHEN, _UNDERSCORE, _LOWER

@cython.final
cdef class Line:
    cdef bint _secure
    cdef public bytes fixed, key, name
    cdef public Template value

    @cython.locals(value=bytes)
    cpdef bytes write(self, RuleContext context)

@cython.final
cdef class FieldChanges:
    cdef public list lines
    cdef public tuple removed
    cdef public object names
    cdef bint _strange, _twins
    cdef frozenset _gone
    cdef list _quick, _written
    cdef bytes _initials, _fixed

    @cython.locals(changed=list)
    cpdef list apply(self, list runs, RuleContext context)
    @cython.locals(other=Line, written=bytes)
    cdef _write(self, list changed, RuleContext context)
    @cython.locals(kept=list, run=bytes, size=Py_ssize_t, start=Py_ssize_t, at=Py_ssize_t)
    cdef list _kept(self, list runs)
    @cython.locals(size=Py_ssize_t, end=Py_ssize_t)
    cdef Py_ssize_t _going(self, bytes run, Py_ssize_t at) except -1
    cdef bytes _folded(self, bytes text)
