# The compiled l7/workers/runtime/switching.py, put into each module that switches.

cdef extern from *:
    """
    /* The C API of greenlet by its published numbers (greenlet.h), so that a build needs no header of it. */
    enum { L7_GREENLET_CURRENT = 4, L7_GREENLET_SWITCH = 6 };

    static void **l7_greenlet_api(void) {
        static void **api;
        if (!api) api = (void **)PyCapsule_Import("greenlet._C_API", 0);
        return api;
    }

    CYTHON_UNUSED static PyObject *l7_current(void) {
        void **api = l7_greenlet_api();
        return api ? ((PyObject *(*)(void))api[L7_GREENLET_CURRENT])() : NULL;
    }

    CYTHON_UNUSED static PyObject *l7_switch_with(PyObject *target, PyObject *arguments) {
        void **api = l7_greenlet_api();
        return api ? ((PyObject *(*)(PyObject *, PyObject *, PyObject *))api[L7_GREENLET_SWITCH])(target, arguments, NULL) : NULL;
    }

    CYTHON_UNUSED static PyObject *l7_switch(PyObject *target) {
        return l7_switch_with(target, NULL);
    }

    CYTHON_UNUSED static PyObject *l7_give(PyObject *target, PyObject *value) {
        PyObject *arguments = PyTuple_Pack(1, value), *given;
        if (!arguments) return NULL;
        given = l7_switch_with(target, arguments);
        Py_DECREF(arguments);
        return given;
    }
    """
    object current "l7_current" ()
    object switch "l7_switch" (object target)
    object give "l7_give" (object target, object value)
