# Types for the compiled l7/networks.py.

cimport cython

cdef int _ZERO, _NINE, _DOT, _DOTS, _OCTET

cdef class NetworkSet:
    cdef list _borders, _first, _last
    cdef bint _unix
    cdef public tuple entries

    cpdef bint holds(self, str client) except -1
    @cython.locals(border="long long", low=Py_ssize_t, high=Py_ssize_t, middle=Py_ssize_t)
    cpdef bint has(self, str client, long long number) except -1
    cdef bint _holds_other(self, str client) except -1

cdef class Trusted(NetworkSet):
    pass

@cython.locals(number="long long", letter=Py_UCS4, code=int, part=int, digits=int, dots=int)
cpdef long long ipv4_number(str client) except -2
