# Types for the compiled l7/http/fields.py.

cimport cython

cdef int ORDINARY, DROP, KEPT, FORWARDED

cdef class Field:
    cdef public int kind
    cdef public bytes value

cdef class Table:
    cdef public dict fields, known, names
    cdef public object failure
    cdef public int prefix
    cdef public bint underscores

    @cython.locals(lines=list)
    cpdef list split(self, bytes head, Py_ssize_t most)
    @cython.locals(known=dict, kept=list, index=Py_ssize_t, line=bytes, field=Field, kind=int, previous=bytes)
    cpdef list scan(self, list lines, Py_ssize_t first, list values)
    @cython.locals(name=bytes, colon=bytes, value=bytes, kind=int, field=Field)
    cpdef Field read(self, bytes line)
    cpdef int learn(self, bytes name) except -1
    cpdef bytes combine(self, int kind, bytes previous, bytes value)
