# The compiled l7/telemetry/line_writing.py, put into each module that writes lines.

cdef extern from *:
    """
    #if defined(__SSE2__)
    #include <emmintrin.h>
    #endif

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

    /* Copies eight octets that all stand for themselves, which are from `lowest` (0x20 or 0x21) to 0x7e and no quote or
       backslash; returns whether they do. The borrow of a lower octet may make a good one look bad, which costs time only. */
    static CYTHON_INLINE int l7_copied_8(char *to, const unsigned char *from, int lowest) {
        const uint64_t ones = 0x0101010101010101ULL;
        uint64_t word, quote, slash, high;
        memcpy(&word, from, 8);
        quote = word ^ (ones * '"');
        slash = word ^ (ones * '\\\\');
        high = word ^ (ones * 0x7f);
        if (((word - ones * (unsigned)lowest) | word | (quote - ones) | (slash - ones) | (high - ones)) & (ones * 0x80)) return 0;
        memcpy(to, from, 8);
        return 1;
    }

    #if defined(__SSE2__)
    static CYTHON_INLINE int l7_copied_16(char *to, const unsigned char *from, int lowest) {
        __m128i octets = _mm_loadu_si128((const __m128i *)from);
        /* Signed: what is above 0x7f is below `lowest`, too. */
        __m128i bad = _mm_cmplt_epi8(octets, _mm_set1_epi8((char)lowest));
        bad = _mm_or_si128(bad, _mm_cmpeq_epi8(octets, _mm_set1_epi8(0x7f)));
        bad = _mm_or_si128(bad, _mm_cmpeq_epi8(octets, _mm_set1_epi8('"')));
        bad = _mm_or_si128(bad, _mm_cmpeq_epi8(octets, _mm_set1_epi8('\\\\')));
        _mm_storeu_si128((__m128i *)to, octets);
        return !_mm_movemask_epi8(bad);
    }
    #else
    static CYTHON_INLINE int l7_copied_16(char *to, const unsigned char *from, int lowest) {
        return l7_copied_8(to, from, lowest) && l7_copied_8(to + 8, from + 8, lowest);
    }
    #endif

    /* Copies `size` octets that all stand for themselves; returns whether they do. The last ones may be copied twice. */
    static CYTHON_INLINE int l7_copied(char *to, const unsigned char *from, Py_ssize_t size, int lowest) {
        Py_ssize_t at = 0;
        if (size < 8) return 0;
        if (size < 16) return l7_copied_8(to, from, lowest) && l7_copied_8(to + size - 8, from + size - 8, lowest);
        for (; at + 16 <= size; at += 16) {
            if (!l7_copied_16(to + at, from + at, lowest)) return 0;
        }
        return at == size || l7_copied_16(to + size - 16, from + size - 16, lowest);
    }

    static Py_ssize_t l7_put_escaped(PyObject *buffer, Py_ssize_t at, const unsigned char *from, Py_ssize_t size, int lowest) {
        const unsigned char *end = from + size;
        char *start = l7_room(buffer, at, size ? 4 * size : 1), *to = start;
        if (!to) return -1;
        if (!size) {
            *to = '-';
            return at + 1;
        }
        if (l7_copied(to, from, size, lowest)) return at + size;
        for (; from < end; from++) {
            if (*from >= lowest && *from < 0x7f && *from != '"' && *from != '\\\\') {
                *to++ = (char)*from;
            } else {
                *to++ = '\\\\';
                *to++ = 'x';
                *to++ = "0123456789ABCDEF"[*from >> 4];
                *to++ = "0123456789ABCDEF"[*from & 15];
            }
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
