# The compiled l7/workers/transport/socket_calls.py, put into each module that receives or sends.

cdef extern from *:
    """
    #include <errno.h>
    #include <sys/socket.h>

    CYTHON_UNUSED static PyObject *l7_receive(int descriptor, Py_ssize_t size) {
        static char buffer[65536];
        Py_ssize_t got = recv(descriptor, buffer, size < (Py_ssize_t)sizeof buffer ? (size_t)size : sizeof buffer, 0);
        return got < 0 ? PyErr_SetFromErrno(PyExc_OSError) : PyBytes_FromStringAndSize(buffer, got);
    }

    CYTHON_UNUSED static Py_ssize_t l7_send(int descriptor, PyObject *data) {
        Py_buffer view;
        Py_ssize_t sent;
        if (PyObject_GetBuffer(data, &view, PyBUF_SIMPLE) < 0) return -1;
        sent = send(descriptor, view.buf, (size_t)view.len, MSG_NOSIGNAL);
        PyBuffer_Release(&view);
        if (sent < 0) PyErr_SetFromErrno(PyExc_OSError);
        return sent;
    }
    """
    bytes receive "l7_receive" (int descriptor, Py_ssize_t size)
    Py_ssize_t send "l7_send" (int descriptor, object data) except -1
