# Types for the compiled l7/http/authority.py.

cimport cython

from l7.http cimport octets

cdef int _COLON, _DOT
cdef long long _HIGHEST_PORT

@cython.locals(end=Py_ssize_t, size=Py_ssize_t, port="long long")
cpdef str host_of(bytes authority)
