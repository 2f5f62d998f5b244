# Types for the compiled l7/http/fields.py.

cimport cython

from l7.http cimport slices

cdef int _ORDINARY, _DROP, _KEPT, _FORWARDED, _END
cdef Py_ssize_t _LONGEST_RUN, _SURE

cdef class Field:
    cdef public int kind
    cdef public bint lasting
    cdef public bytes raw, value
    cdef public Field next
    cdef public Py_ssize_t lines, right

cdef class Table:
    cdef public dict fields, known, names
    cdef public object bounds, failure
    cdef public int prefix
    cdef public bint underscores
    cdef Field _start

    @cython.locals(before=Field, last=Field, field=Field, kind=int, count=Py_ssize_t, start=Py_ssize_t, begin=Py_ssize_t, previous=bytes)
    cpdef Py_ssize_t scan(self, bytes data, Py_ssize_t at, Py_ssize_t most, list kept, list values) except -2
    @cython.locals(end=Py_ssize_t, raw=bytes, field=Field)
    cdef Field _look_up(self, bytes data, Py_ssize_t at)
    @cython.locals(line=bytes, name=bytes, colon=bytes, value=bytes, kind=int, field=Field)
    cpdef Field read(self, bytes raw)
    @cython.locals(raw=bytes, joined=Field)
    cdef _follow(self, Field before, Field first, Field second)
    cpdef Field remember(self, Field field)
    cpdef int learn(self, bytes name) except -1
    cpdef bytes combine(self, int kind, bytes previous, bytes value)
