# Types for the compiled l7/balancing/hashring.py.

cimport cython

from l7.balancing._c_members cimport Member as CMember

cdef class Hash:
    cdef tuple _members
    cdef list _points, _owners
    cdef long long _total

    @cython.locals(member=CMember, load=cython.longlong, start=Py_ssize_t, step=Py_ssize_t, count=Py_ssize_t)
    cpdef pick(self, object tried, unsigned long long key=*)
