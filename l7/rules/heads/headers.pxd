# Types for the compiled l7/rules/heads/headers.py.

cimport cython

from l7.http cimport octets

cdef int _COLON, _HYPHEN, _UNDERSCORE, _LOWER

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
    cpdef list apply(self, list runs, object context)
    cdef _write(self, list changed, object context)
    @cython.locals(kept=list, run=bytes, size=Py_ssize_t, start=Py_ssize_t, at=Py_ssize_t, end=Py_ssize_t)
    cdef list _kept(self, list runs)
    @cython.locals(name=bytes)
    cdef bint _goes(self, bytes run, Py_ssize_t at) except -1
    cdef bytes _folded(self, bytes text)
