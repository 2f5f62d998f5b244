# Types for the compiled l7/http/authority.py.

cimport cython

@cython.locals(known=dict)
cpdef str host_of(bytes authority)
