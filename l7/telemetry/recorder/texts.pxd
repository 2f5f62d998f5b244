# The compiled l7/telemetry/recorder/texts.py, put into the module that writes records.

cdef extern from *:
    """
    /* Where `size` bytes can be written at `at` of a writable view of bytes; NULL with an exception where they cannot. */
    static char *l7_within(PyObject *memory, Py_ssize_t at, Py_ssize_t size) {
        if (PyMemoryView_Check(memory)) {
            Py_buffer *buffer = PyMemoryView_GET_BUFFER(memory);
            if (!buffer->readonly && buffer->itemsize == 1 && buffer->ndim == 1 && (!buffer->strides || *buffer->strides == 1)
                && at >= 0 && size >= 0 && at <= buffer->len && size <= buffer->len - at) return (char *)buffer->buf + at;
        }
        PyErr_SetString(PyExc_IndexError, "text out of range");
        return NULL;
    }

    CYTHON_UNUSED static CYTHON_INLINE void l7_fence(void) {
        __atomic_thread_fence(__ATOMIC_RELEASE);
    }

    CYTHON_UNUSED static Py_ssize_t l7_put_within(PyObject *memory, Py_ssize_t at, Py_ssize_t room, const char *from, Py_ssize_t size) {
        char *to;
        if (size > room) size = room;
        to = l7_within(memory, at, size);
        if (!to) return -1;
        memcpy(to, from, size);
        return size;
    }

    CYTHON_UNUSED static Py_ssize_t l7_record_put(PyObject *memory, Py_ssize_t at, Py_ssize_t room, PyObject *raw) {
        return l7_put_within(memory, at, room, PyBytes_AS_STRING(raw), PyBytes_GET_SIZE(raw));
    }

    CYTHON_UNUSED static Py_ssize_t l7_record_put_text(PyObject *memory, Py_ssize_t at, Py_ssize_t room, PyObject *text) {
        PyObject *raw;
        Py_ssize_t size;
        if (PyUnicode_IS_COMPACT_ASCII(text)) {
            return l7_put_within(memory, at, room, (const char *)PyUnicode_DATA(text), PyUnicode_GET_LENGTH(text));
        }
        raw = PyUnicode_AsEncodedString(text, "utf-8", "backslashreplace");
        if (!raw) return -1;
        size = l7_record_put(memory, at, room, raw);
        Py_DECREF(raw);
        return size;
    }

    CYTHON_UNUSED static int l7_record_copy(PyObject *memory, Py_ssize_t at, Py_ssize_t begin, Py_ssize_t size) {
        char *to = l7_within(memory, at, size), *from = l7_within(memory, begin, size);
        if (!to || !from) return -1;
        memmove(to, from, size);
        return 0;
    }

    CYTHON_UNUSED static CYTHON_INLINE long long l7_microseconds(double seconds) {
        return seconds > -9e12 && seconds < 9e12 ? (long long)(seconds * 1e6) : -1;
    }

    typedef struct { char *at, *end; } L7Room;

    static void l7_add_some(L7Room *room, const unsigned char *from, Py_ssize_t size) {
        Py_ssize_t left = room->end - room->at;
        if (size > left) size = left;
        memcpy(room->at, from, size);
        room->at += size;
    }

    #define L7_HIDE(room) l7_add_some(room, (const unsigned char *)"\\xe2\\x80\\xa6", 3)

    static int l7_is_method(unsigned char octet) {
        return (octet >= 'A' && octet <= 'Z') || (octet >= 'a' && octet <= 'z') || (octet >= '0' && octet <= '9')
            || (octet && strchr("!#$%&'*+.^_`|~-", octet));
    }

    /* The place of the version that ends a line, with the space before it; the end of the line where there is none. */
    static const unsigned char *l7_version_in(const unsigned char *from, const unsigned char *end) {
        Py_ssize_t digits;
        for (digits = 1; digits <= 3 && end - from >= 6 + digits; digits++) {
            const unsigned char *at = end - digits;
            if (*at != '.' && (*at < '0' || *at > '9')) break;
            if (memcmp(at - 6, " HTTP/", 6) == 0) return at - 6;
        }
        return end;
    }

    static void l7_add_query(L7Room *room, const unsigned char *from, const unsigned char *end) {
        for (;;) {
            const unsigned char *next = memchr(from, '&', end - from), *equals;
            if (!next) next = end;
            equals = memchr(from, '=', next - from);
            if (equals) {
                l7_add_some(room, from, equals + 1 - from);
                if (equals + 1 < next) L7_HIDE(room);
            } else if (from < next) {
                L7_HIDE(room);
            }
            if (next == end) return;
            l7_add_some(room, next, 1);
            from = next + 1;
        }
    }

    /* The path without a login. */
    static void l7_add_path(L7Room *room, const unsigned char *from, const unsigned char *end) {
        const unsigned char *host = from, *slash, *at;
        if (from < end && *from != '/') {
            for (at = from; at + 3 <= end; at++) {
                if (memcmp(at, "://", 3) == 0) { host = at + 3; break; }
            }
            slash = memchr(host, '/', end - host);
            for (at = slash ? slash : end; at-- > host;) {
                if (*at == '@') {
                    l7_add_some(room, from, host - from);
                    L7_HIDE(room);
                    from = at;
                    break;
                }
            }
        }
        l7_add_some(room, from, end - from);
    }

    CYTHON_UNUSED static Py_ssize_t l7_record_put_line(PyObject *memory, Py_ssize_t at, Py_ssize_t room, PyObject *line, int queries) {
        const unsigned char *from = (const unsigned char *)PyBytes_AS_STRING(line), *end = from + PyBytes_GET_SIZE(line);
        const unsigned char *target = from, *version, *mark;
        char *to = l7_within(memory, at, room);
        L7Room into;
        if (!to) return -1;
        while (target < end && l7_is_method(*target)) target++;
        if (target == from || target == end || *target != ' ') return 0;
        target++;
        version = l7_version_in(from, end);
        into.at = to;
        into.end = to + room;
        l7_add_some(&into, from, target - from);
        if (version < target) {
            l7_add_some(&into, target, end - target);
            return into.at - to;
        }
        mark = memchr(target, '?', version - target);
        l7_add_path(&into, target, mark ? mark : version);
        if (mark) {
            l7_add_some(&into, mark, 1);
            if (queries) l7_add_some(&into, mark + 1, version - mark - 1);
            else l7_add_query(&into, mark + 1, version);
        }
        l7_add_some(&into, version, end - version);
        return into.at - to;
    }
    """
    void fence "l7_fence" ()
    long long microseconds "l7_microseconds" (double seconds)
    Py_ssize_t put "l7_record_put" (object memory, Py_ssize_t at, Py_ssize_t room, bytes raw) except -1
    Py_ssize_t put_text "l7_record_put_text" (object memory, Py_ssize_t at, Py_ssize_t room, str text) except -1
    int copy "l7_record_copy" (object memory, Py_ssize_t at, Py_ssize_t begin, Py_ssize_t size) except -1
    Py_ssize_t put_line "l7_record_put_line" (object memory, Py_ssize_t at, Py_ssize_t room, bytes line, int queries) except -1
