# Types for the compiled l7/http/fields.py.

cimport cython

from l7.http cimport octets

cdef int _ORDINARY, _DROP, _KEPT, _FORWARDED, _COLON, _UNDERSCORE, _X, _LOWER, _SLOTS
cdef bytes _FORWARDED_PREFIX

@cython.final
cdef class Table:
    cdef public object bounds, failure
    cdef public int prefix
    cdef public bint underscores
    cdef list _names
    cdef bytes _kinds, _lengths, _slots, _chain

    @cython.locals(length=Py_ssize_t, first=int, number=Py_ssize_t)
    cdef int kind_of(self, bytes data, Py_ssize_t at, Py_ssize_t end) noexcept
    @cython.locals(kind=int, count=Py_ssize_t, start=Py_ssize_t, begin=Py_ssize_t, colon=Py_ssize_t, end=Py_ssize_t, scored=bint, value=bytes, previous=bytes)
    cpdef Py_ssize_t scan(self, bytes data, Py_ssize_t at, Py_ssize_t most, list kept, list values) except -2
    cdef Py_ssize_t _refuse(self, bytes data, Py_ssize_t at) except -2
    cpdef bytes combine(self, int kind, bytes previous, bytes value)

cdef Py_ssize_t _slot(Py_ssize_t length, int first) noexcept
cdef Py_ssize_t _behind_underscores(bytes data, Py_ssize_t at)
cdef int _kind_of_twin(bytes name) except -1
