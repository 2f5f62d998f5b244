# The compiled l7/http/slices.py, put into each module that cuts.
#
# A slice of a bytes object makes a slice object first; this copies, and looks at no bounds unless it is told to.

cdef extern from *:
    """
    static CYTHON_INLINE PyObject *l7_cut(PyObject *data, Py_ssize_t start, Py_ssize_t end) {
    #ifdef L7_CHECK_BOUNDS
        if (!PyBytes_Check(data) || start < 0 || end < start || end > PyBytes_GET_SIZE(data)) {
            fprintf(stderr, "l7: slice %zd:%zd of %zd bytes\\n", start, end, PyBytes_Check(data) ? PyBytes_GET_SIZE(data) : 0);
            abort();
        }
    #endif
        return PyBytes_FromStringAndSize(PyBytes_AS_STRING(data) + start, end - start);
    }
    """
    bytes cut "l7_cut" (bytes data, Py_ssize_t start, Py_ssize_t end)
