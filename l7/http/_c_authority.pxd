# Types for the compiled l7/http/authority.py.

cdef dict _known

cpdef str host_of(bytes authority)
