# The compiled l7/workers/transport/socket_calls.py, put into each module that receives or sends.

cdef extern from *:
    """
    /* accept4 is an extension, which Python.h asks for. */
    #include <arpa/inet.h>
    #include <errno.h>
    #include <netinet/in.h>
    #include <sys/socket.h>
    #include <sys/uio.h>
    #include <sys/syscall.h>
    #include <unistd.h>

    /* In a process with threads the C library makes a point of cancellation of each call, which nobody here asks for. */
    #if defined(SYS_recvfrom) && defined(SYS_sendto)
    #define l7_recv(descriptor, to, size) syscall(SYS_recvfrom, descriptor, to, size, 0, NULL, NULL)
    #define l7_sendto(descriptor, from, size) syscall(SYS_sendto, descriptor, from, size, MSG_NOSIGNAL, NULL, 0)
    #else
    #define l7_recv(descriptor, to, size) recv(descriptor, to, size, 0)
    #define l7_sendto(descriptor, from, size) send(descriptor, from, size, MSG_NOSIGNAL)
    #endif

    /* inet_ntop does it by sprintf, at twenty times the cost. */
    CYTHON_UNUSED static void l7_write_ipv4(char *to, const unsigned char *octets) {
        int part;
        for (part = 0; part < 4; part++) {
            if (octets[part] > 99) *to++ = (char)('0' + octets[part] / 100);
            if (octets[part] > 9) *to++ = (char)('0' + octets[part] / 10 % 10);
            *to++ = (char)('0' + octets[part] % 10);
            *to++ = part < 3 ? '.' : 0;
        }
    }

    CYTHON_UNUSED static PyObject *l7_accept(PyObject *listener) {
        union {
            struct sockaddr any;
            struct sockaddr_in four;
            struct sockaddr_in6 six;
            struct sockaddr_storage room;
        } peer;
        char text[INET6_ADDRSTRLEN] = "";
        socklen_t size = sizeof peer;
        int descriptor = PyObject_AsFileDescriptor(listener);
        PyObject *found;
        if (descriptor < 0) return NULL;
        descriptor = accept4(descriptor, &peer.any, &size, SOCK_CLOEXEC | SOCK_NONBLOCK);
        if (descriptor < 0) return PyErr_SetFromErrno(PyExc_OSError);
        if (peer.any.sa_family == AF_INET) l7_write_ipv4(text, (const unsigned char *)&peer.four.sin_addr);
        else if (peer.any.sa_family == AF_INET6) inet_ntop(AF_INET6, &peer.six.sin6_addr, text, sizeof text);
        found = Py_BuildValue("is", descriptor, text);
        if (!found) close(descriptor);
        return found;
    }

    /* Bytes in one receive that are much: then the next one brings as much, mostly, and is not copied. */
    #define L7_MUCH 32768

    CYTHON_UNUSED static PyObject *l7_receive(int descriptor, Py_ssize_t size) {
        static char buffer[81920];
        static int much = 0;
        PyObject *data;
        Py_ssize_t got;
        if (size > (Py_ssize_t)sizeof buffer) size = sizeof buffer;
        if (!much || size <= L7_MUCH) {
            got = l7_recv(descriptor, buffer, (size_t)size);
            much = got > L7_MUCH;
            return got < 0 ? PyErr_SetFromErrno(PyExc_OSError) : PyBytes_FromStringAndSize(buffer, got);
        }
        data = PyBytes_FromStringAndSize(NULL, size);
        if (!data) return NULL;
        got = l7_recv(descriptor, PyBytes_AS_STRING(data), (size_t)size);
        much = got > L7_MUCH;
        if (got < 0) {
            PyErr_SetFromErrno(PyExc_OSError);
            Py_DECREF(data);
            return NULL;
        }
        if (got < size) _PyBytes_Resize(&data, got);
        return data;
    }

    CYTHON_UNUSED static Py_ssize_t l7_send(int descriptor, PyObject *data) {
        Py_buffer view;
        Py_ssize_t sent;
        if (PyObject_GetBuffer(data, &view, PyBUF_SIMPLE) < 0) return -1;
        sent = l7_sendto(descriptor, view.buf, (size_t)view.len);
        PyBuffer_Release(&view);
        if (sent < 0) PyErr_SetFromErrno(PyExc_OSError);
        return sent;
    }

    CYTHON_UNUSED static Py_ssize_t l7_send_both(int descriptor, PyObject *head, PyObject *data, Py_ssize_t at) {
        struct iovec pieces[2];
        struct msghdr message;
        Py_ssize_t sent;
        memset(&message, 0, sizeof message);
        pieces[0].iov_base = PyBytes_AS_STRING(head);
        pieces[0].iov_len = (size_t)PyBytes_GET_SIZE(head);
        pieces[1].iov_base = PyBytes_AS_STRING(data) + at;
        pieces[1].iov_len = (size_t)(PyBytes_GET_SIZE(data) - at);
        message.msg_iov = pieces;
        message.msg_iovlen = 2;
        sent = sendmsg(descriptor, &message, MSG_NOSIGNAL);
        if (sent < 0) PyErr_SetFromErrno(PyExc_OSError);
        return sent;
    }

    #define L7_PIECES 16

    CYTHON_UNUSED static Py_ssize_t l7_send_pieces(int descriptor, PyObject *pieces) {
        struct iovec places[L7_PIECES];
        struct msghdr message;
        Py_ssize_t sent, count = PyList_GET_SIZE(pieces), place;
        if (count > L7_PIECES) count = L7_PIECES;
        memset(&message, 0, sizeof message);
        for (place = 0; place < count; place++) {
            PyObject *piece = PyList_GET_ITEM(pieces, place);
            places[place].iov_base = PyBytes_AS_STRING(piece);
            places[place].iov_len = (size_t)PyBytes_GET_SIZE(piece);
        }
        message.msg_iov = places;
        message.msg_iovlen = (size_t)count;
        sent = sendmsg(descriptor, &message, MSG_NOSIGNAL);
        if (sent < 0) PyErr_SetFromErrno(PyExc_OSError);
        return sent;
    }
    """
    tuple accept "l7_accept" (object listener)
    bytes receive "l7_receive" (int descriptor, Py_ssize_t size)
    Py_ssize_t send "l7_send" (int descriptor, object data) except -1
    Py_ssize_t send_both "l7_send_both" (int descriptor, bytes head, bytes data, Py_ssize_t at) except -1
    Py_ssize_t send_pieces "l7_send_pieces" (int descriptor, list pieces) except -1
