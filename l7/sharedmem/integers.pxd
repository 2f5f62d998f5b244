# The compiled l7/sharedmem/integers.py, put into each module that reads or writes cells.
#
# Cython's own views (``long long[::1]``) do the same, and put 900 KB of C into each module that knows of one.

cdef extern from *:
    """
    static int l7_holds_integers(PyObject *memory) {
        Py_buffer *buffer;
        if (!PyMemoryView_Check(memory)) return 0;
        buffer = PyMemoryView_GET_BUFFER(memory);
        return !buffer->readonly && buffer->ndim == 1 && buffer->itemsize == 8 && buffer->format
            && strcmp(buffer->format, "q") == 0 && PyBuffer_IsContiguous(buffer, 'C');
    }

    CYTHON_UNUSED static PyObject *l7_view(PyObject *memory) {
        if (!l7_holds_integers(memory)) {
            PyErr_SetString(PyExc_TypeError, "a writable memoryview of 64-bit integers is needed");
            return NULL;
        }
        return PyMemoryView_FromObject(memory);
    }

    static CYTHON_INLINE PY_LONG_LONG *l7_cell(PyObject *cells, Py_ssize_t at) {
    #ifdef L7_CHECK_BOUNDS
        if (!l7_holds_integers(cells)) {
            fprintf(stderr, "l7: cells in what holds no 64-bit integers\\n");
            abort();
        }
    #endif
        if (PyMemoryView_Check(cells)) {
            Py_buffer *buffer = PyMemoryView_GET_BUFFER(cells);
            if ((size_t)at < (size_t)buffer->len / 8) return (PY_LONG_LONG *)buffer->buf + at;
        }
        PyErr_SetString(PyExc_IndexError, "integer out of range");
        return NULL;
    }

    static CYTHON_INLINE PY_LONG_LONG l7_load(PyObject *cells, Py_ssize_t at) {
        PY_LONG_LONG *cell = l7_cell(cells, at);
        return cell ? __atomic_load_n(cell, __ATOMIC_RELAXED) : -1;
    }

    static CYTHON_INLINE int l7_store(PyObject *cells, Py_ssize_t at, PY_LONG_LONG value) {
        PY_LONG_LONG *cell = l7_cell(cells, at);
        if (!cell) return -1;
        __atomic_store_n(cell, value, __ATOMIC_RELAXED);
        return 0;
    }

    static CYTHON_INLINE int l7_add(PyObject *cells, Py_ssize_t at, PY_LONG_LONG amount) {
        PY_LONG_LONG *cell = l7_cell(cells, at);
        if (!cell) return -1;
        __atomic_store_n(cell, __atomic_load_n(cell, __ATOMIC_RELAXED) + amount, __ATOMIC_RELAXED);
        return 0;
    }

    static CYTHON_INLINE PY_LONG_LONG l7_load_ordered(PyObject *cells, Py_ssize_t at) {
        PY_LONG_LONG *cell = l7_cell(cells, at);
        return cell ? __atomic_load_n(cell, __ATOMIC_SEQ_CST) : -1;
    }

    static CYTHON_INLINE int l7_compare_exchange(
        PyObject *cells, Py_ssize_t at, PY_LONG_LONG expected, PY_LONG_LONG value
    ) {
        PY_LONG_LONG *cell = l7_cell(cells, at);
        if (!cell) return -1;
        return __atomic_compare_exchange_n(cell, &expected, value, 0, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST);
    }
    """
    object view "l7_view" (object memory)
    long long load "l7_load" (object cells, Py_ssize_t at) except? -1
    int store "l7_store" (object cells, Py_ssize_t at, long long value) except -1
    int add "l7_add" (object cells, Py_ssize_t at, long long amount) except -1
    long long load_ordered "l7_load_ordered" (object cells, Py_ssize_t at) except? -1
    bint compare_exchange "l7_compare_exchange" (object cells, Py_ssize_t at, long long expected, long long value) except -1
