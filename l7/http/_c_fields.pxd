# Types for the compiled l7/http/fields.py.

cimport cython

cdef class Table:
    cdef public dict fields, known
    cdef public object failure
    cdef public int prefix
    cdef public bint underscores

    @cython.locals(known=dict, kept=list, index=Py_ssize_t, line=bytes, name=bytes, colon=bytes, value=bytes, kind=int, previous=bytes)
    cpdef list scan(self, list lines, Py_ssize_t first, list values)
    cpdef int learn(self, bytes name) except -1
    cpdef bytes combine(self, int kind, bytes previous, bytes value)

@cython.locals(text=bytes)
cpdef check_text(list lines, object failure)

@cython.locals(lines=list)
cpdef list split(bytes head, Py_ssize_t most, object failure)
