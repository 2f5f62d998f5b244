# The compiled l7/telemetry/line_writing.py, put into each module that writes lines.

cdef extern from *:
    """
    /* Where `need` bytes can be written at `at`; NULL with an exception where there is no memory. */
    static char *l7_room(PyObject *buffer, Py_ssize_t at, Py_ssize_t need) {
        Py_ssize_t size = PyByteArray_GET_SIZE(buffer);
    #ifdef L7_CHECK_BOUNDS
        if (!PyByteArray_Check(buffer) || at < 0 || at > size) {
            fprintf(stderr, "l7: byte %zd of a line in %zd\\n", at, PyByteArray_Check(buffer) ? size : 0);
            abort();
        }
    #endif
        if (size - at < need && PyByteArray_Resize(buffer, (at + need) + (at + need) / 2) < 0) return NULL;
        return PyByteArray_AS_STRING(buffer) + at;
    }

    CYTHON_UNUSED static Py_ssize_t l7_put(PyObject *buffer, Py_ssize_t at, PyObject *raw) {
        Py_ssize_t size = PyBytes_GET_SIZE(raw);
        char *to = l7_room(buffer, at, size);
        if (!to) return -1;
        memcpy(to, PyBytes_AS_STRING(raw), size);
        return at + size;
    }

    /* Eight octets at a time while each is from `lowest` (0x20 or 0x21) to 0x7e and no quote or backslash; where one may
       not be, one by one. The borrow of a lower octet may make a good one look bad, which costs a look and no more. */
    static Py_ssize_t l7_put_escaped(PyObject *buffer, Py_ssize_t at, const unsigned char *from, Py_ssize_t size, int lowest) {
        const uint64_t ones = 0x0101010101010101ULL;
        const unsigned char *end = from + size;
        char *start = l7_room(buffer, at, size ? 4 * size : 1), *to = start;
        uint64_t word, quote, slash, high;
        if (!to) return -1;
        if (!size) {
            *to = '-';
            return at + 1;
        }
        while (from < end) {
            if (end - from >= 8) {
                memcpy(&word, from, 8);
                quote = word ^ (ones * '"');
                slash = word ^ (ones * '\\\\');
                high = word ^ (ones * 0x7f);
                if (!(((word - ones * (unsigned)lowest) | word | (quote - ones) | (slash - ones) | (high - ones)) & (ones * 0x80))) {
                    memcpy(to, from, 8);
                    from += 8;
                    to += 8;
                    continue;
                }
            }
            do {
                if (*from >= lowest && *from < 0x7f && *from != '"' && *from != '\\\\') {
                    *to++ = (char)*from;
                } else {
                    *to++ = '\\\\';
                    *to++ = 'x';
                    *to++ = "0123456789ABCDEF"[*from >> 4];
                    *to++ = "0123456789ABCDEF"[*from & 15];
                }
            } while (++from < end && (end - from) & 7);
        }
        return at + (to - start);
    }

    CYTHON_UNUSED static Py_ssize_t l7_put_quoted(PyObject *buffer, Py_ssize_t at, PyObject *raw) {
        return l7_put_escaped(buffer, at, (const unsigned char *)PyBytes_AS_STRING(raw), PyBytes_GET_SIZE(raw), 0x20);
    }

    CYTHON_UNUSED static Py_ssize_t l7_put_bare(PyObject *buffer, Py_ssize_t at, PyObject *raw) {
        return l7_put_escaped(buffer, at, (const unsigned char *)PyBytes_AS_STRING(raw), PyBytes_GET_SIZE(raw), 0x21);
    }

    CYTHON_UNUSED static Py_ssize_t l7_put_text(PyObject *buffer, Py_ssize_t at, PyObject *text) {
        PyObject *raw;
        if (PyUnicode_IS_COMPACT_ASCII(text)) {
            return l7_put_escaped(buffer, at, (const unsigned char *)PyUnicode_DATA(text), PyUnicode_GET_LENGTH(text), 0x21);
        }
        raw = PyUnicode_AsEncodedString(text, "utf-8", "backslashreplace");
        if (!raw) return -1;
        at = l7_put_bare(buffer, at, raw);
        Py_DECREF(raw);
        return at;
    }

    CYTHON_UNUSED static Py_ssize_t l7_put_number(PyObject *buffer, Py_ssize_t at, PY_LONG_LONG number, int digits) {
        char written[40], *to;
        int place = 40, negative = number < 0;
        unsigned PY_LONG_LONG rest = negative ? 0 - (unsigned PY_LONG_LONG)number : (unsigned PY_LONG_LONG)number;
        if (digits > 20 || negative) digits = negative ? 0 : 20;
        do {
            written[--place] = (char)('0' + rest % 10);
            rest /= 10;
        } while (rest || 40 - place < digits);
        if (negative) written[--place] = '-';
        to = l7_room(buffer, at, 40 - place);
        if (!to) return -1;
        memcpy(to, written + place, 40 - place);
        return at + (40 - place);
    }
    """
    Py_ssize_t put "l7_put" (bytearray buffer, Py_ssize_t at, bytes raw) except -1
    Py_ssize_t put_quoted "l7_put_quoted" (bytearray buffer, Py_ssize_t at, bytes raw) except -1
    Py_ssize_t put_bare "l7_put_bare" (bytearray buffer, Py_ssize_t at, bytes raw) except -1
    Py_ssize_t put_text "l7_put_text" (bytearray buffer, Py_ssize_t at, str text) except -1
    Py_ssize_t put_number "l7_put_number" (bytearray buffer, Py_ssize_t at, long long number, int digits) except -1
