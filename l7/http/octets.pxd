# The compiled l7/http/octets.py, put into each module that looks at octets.

cdef extern from *:
    """
    #if defined(__SSE2__)
    #include <emmintrin.h>
    #endif

    enum { L7_NAME = 1, L7_TEXT = 2, L7_TARGET = 4, L7_HOST = 8, L7_PATH = 16 };

    /* The classes of each octet: the sets that octets.py matches by, which a test compares with these. */
    static const unsigned char l7_classes[256] = {
         0,  0,  0,  0,  0,  0,  0,  0,  0,  2,  0,  0,  0,  0,  0,  0,  0,  0,  0,  0,  0,  0,  0,  0,  0,  0,  0,  0,  0,  0,  0,  0,
         2, 23,  2,  3, 23,  7, 23, 23, 22, 22, 23, 23, 22, 31, 31, 22, 31, 31, 31, 31, 31, 31, 31, 31, 31, 31, 22,  6,  6, 22,  6,  6,
        22, 23, 23, 23, 23, 23, 23, 23, 23, 23, 23, 23, 23, 23, 23, 23, 23, 23, 23, 23, 23, 23, 23, 23, 23, 23, 23,  6,  2,  6,  7, 22,
         7, 31, 31, 31, 31, 31, 31, 31, 31, 31, 31, 31, 31, 31, 31, 31, 31, 31, 31, 31, 31, 31, 31, 31, 31, 31, 31,  6,  7,  6, 23,  0,
         2,  2,  2,  2,  2,  2,  2,  2,  2,  2,  2,  2,  2,  2,  2,  2,  2,  2,  2,  2,  2,  2,  2,  2,  2,  2,  2,  2,  2,  2,  2,  2,
         2,  2,  2,  2,  2,  2,  2,  2,  2,  2,  2,  2,  2,  2,  2,  2,  2,  2,  2,  2,  2,  2,  2,  2,  2,  2,  2,  2,  2,  2,  2,  2,
         2,  2,  2,  2,  2,  2,  2,  2,  2,  2,  2,  2,  2,  2,  2,  2,  2,  2,  2,  2,  2,  2,  2,  2,  2,  2,  2,  2,  2,  2,  2,  2,
         2,  2,  2,  2,  2,  2,  2,  2,  2,  2,  2,  2,  2,  2,  2,  2,  2,  2,  2,  2,  2,  2,  2,  2,  2,  2,  2,  2,  2,  2,  2,  2,
    };

    #ifdef L7_CHECK_BOUNDS
    #define L7_CHECK(data, at) l7_check(data, at)
    CYTHON_UNUSED static void l7_check(PyObject *data, Py_ssize_t at) {
        if (!PyBytes_Check(data) || at < 0 || at > PyBytes_GET_SIZE(data)) {
            fprintf(stderr, "l7: octet %zd of %zd\\n", at, PyBytes_Check(data) ? PyBytes_GET_SIZE(data) : 0);
            abort();
        }
    }
    #else
    #define L7_CHECK(data, at)
    #endif
    #define L7_AT(data, at) ((const unsigned char *)PyBytes_AS_STRING(data) + (at))

    CYTHON_UNUSED static CYTHON_INLINE int l7_octet(PyObject *data, Py_ssize_t at) {
        L7_CHECK(data, at);
        return *L7_AT(data, at);
    }

    CYTHON_UNUSED static CYTHON_INLINE Py_ssize_t l7_class_end(PyObject *data, Py_ssize_t at, int wanted) {
        L7_CHECK(data, at);
        while (l7_classes[*L7_AT(data, at)] & wanted) at++;
        return at;
    }

    /* Sixteen octets at a time, where the processor can (SSE2, which each of x86-64 has), else eight, while all are 0x20
       or above and none is DEL: where one may not be, the table says. */
    #if defined(__SSE2__)
    #define L7_AT_ONCE 16
    /* The place of the first octet of sixteen below 0x20 or DEL; 16 without one. */
    static CYTHON_INLINE int l7_first_control(const unsigned char *from) {
        __m128i octets = _mm_loadu_si128((const __m128i *)from);
        __m128i low = _mm_cmpeq_epi8(_mm_min_epu8(octets, _mm_set1_epi8(0x1f)), octets);
        int found = _mm_movemask_epi8(_mm_or_si128(low, _mm_cmpeq_epi8(octets, _mm_set1_epi8(0x7f))));
        return found ? __builtin_ctz((unsigned)found) : L7_AT_ONCE;
    }
    #else
    #define L7_AT_ONCE 8
    /* The borrow of a lower octet may make a good one look bad, which costs a look at the table and changes nothing. */
    static CYTHON_INLINE int l7_first_control(const unsigned char *from) {
        const uint64_t ones = 0x0101010101010101ULL;
        uint64_t word, other;
        memcpy(&word, from, 8);
        other = word ^ (ones * 0x7f);
        word = (((word - ones * 0x20) & ~word) | ((other - ones) & ~other)) & (ones * 0x80);
    #if defined(__BYTE_ORDER__) && __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
        return word ? __builtin_ctzll(word) >> 3 : L7_AT_ONCE;
    #else
        return word ? 0 : L7_AT_ONCE;
    #endif
    }
    #endif

    CYTHON_UNUSED static CYTHON_INLINE Py_ssize_t l7_text_end(PyObject *data, Py_ssize_t at) {
        Py_ssize_t end = PyBytes_GET_SIZE(data) - L7_AT_ONCE;
        L7_CHECK(data, at);
        for (;;) {
            while (at <= end) {
                int good = l7_first_control(L7_AT(data, at));
                at += good;
                if (good < L7_AT_ONCE) break;
            }
            do {
                if (!(l7_classes[*L7_AT(data, at)] & L7_TEXT)) return at;
                at++;
            } while (at > end);
        }
    }

    #if defined(__SSE2__)
    /* The place of the first octet of sixteen that is no letter, digit or hyphen; 16 without one. */
    static CYTHON_INLINE int l7_first_rare(const unsigned char *from) {
        __m128i octets = _mm_loadu_si128((const __m128i *)from);
        __m128i letters = _mm_sub_epi8(_mm_or_si128(octets, _mm_set1_epi8(0x20)), _mm_set1_epi8('a'));
        __m128i digits = _mm_sub_epi8(octets, _mm_set1_epi8('0'));
        letters = _mm_cmpeq_epi8(_mm_min_epu8(letters, _mm_set1_epi8(25)), letters);
        digits = _mm_cmpeq_epi8(_mm_min_epu8(digits, _mm_set1_epi8(9)), digits);
        digits = _mm_or_si128(digits, _mm_cmpeq_epi8(octets, _mm_set1_epi8('-')));
        return __builtin_ctz(~(unsigned)_mm_movemask_epi8(_mm_or_si128(letters, digits)));
    }
    #endif

    /* Names are letters, digits and hyphens but for a few: of what is none of these the table says whether it goes on. */
    CYTHON_UNUSED static CYTHON_INLINE Py_ssize_t l7_name_end(PyObject *data, Py_ssize_t at) {
    #if defined(__SSE2__)
        Py_ssize_t end = PyBytes_GET_SIZE(data) - 16;
        int good = 16;
        L7_CHECK(data, at);
        while (good == 16 && at <= end) at += good = l7_first_rare(L7_AT(data, at));
    #endif
        return l7_class_end(data, at, L7_NAME);
    }

    /* What follows the last octet is zero, which is in no class. */
    CYTHON_UNUSED static CYTHON_INLINE int l7_plain_path(PyObject *data) {
        const unsigned char *at = L7_AT(data, 0);
        L7_CHECK(data, 0);
        for (; l7_classes[*at] & L7_PATH; at++) {
            if (*at == '/' && (at[1] == '/' || at[1] == '.')) return 0;
        }
        return *at == '?' || at == L7_AT(data, PyBytes_GET_SIZE(data));
    }

    /* What follows the last octet is zero, and no CR. */
    CYTHON_UNUSED static CYTHON_INLINE int l7_ends_line(PyObject *data, Py_ssize_t at) {
        L7_CHECK(data, at);
        return L7_AT(data, at)[0] == '\\r' && L7_AT(data, at)[1] == '\\n';
    }

    CYTHON_UNUSED static CYTHON_INLINE int l7_starts(PyObject *data, Py_ssize_t at, PyObject *piece) {
        Py_ssize_t size = PyBytes_GET_SIZE(piece);
        L7_CHECK(data, at);
        return PyBytes_GET_SIZE(data) - at >= size && memcmp(L7_AT(data, at), L7_AT(piece, 0), size) == 0;
    }

    /* A tchar with the bit of lower case set is a letter or hyphen of `name` only if it was that in one of its cases. */
    CYTHON_UNUSED static CYTHON_INLINE int l7_named(PyObject *data, Py_ssize_t at, PyObject *name) {
        Py_ssize_t size = PyBytes_GET_SIZE(name), i;
        const unsigned char *there = L7_AT(data, at), *wanted = L7_AT(name, 0);
        L7_CHECK(data, at);
        if (PyBytes_GET_SIZE(data) - at < size) return 0;
        for (i = 0; i < size; i++) {
            if ((there[i] | 0x20) != wanted[i]) return 0;
        }
        return 1;
    }

    CYTHON_UNUSED static CYTHON_INLINE int l7_digit(unsigned char octet) {
        return octet >= '0' && octet <= '9' ? octet - '0' : (octet | 0x20) >= 'a' && (octet | 0x20) <= 'f' ? (octet | 0x20) - 'a' + 10 : 16;
    }

    CYTHON_UNUSED static PY_LONG_LONG l7_number(PyObject *value, int base, int most) {
        const unsigned char *at = L7_AT(value, 0), *end = at + PyBytes_GET_SIZE(value);
        PY_LONG_LONG number = 0;
        int digit, digits = 0;
        if (at == end) return -1;
        for (; at < end; at++) {
            digit = l7_digit(*at);
            digits += digits || digit;
            if (digit >= base || digits > most) return -1;
            number = number * base + digit;
        }
        return number;
    }
    #define l7_decimal(value) l7_number(value, 10, 18)
    #define l7_hexadecimal(value) l7_number(value, 16, 15)

    CYTHON_UNUSED static Py_ssize_t l7_size_line_end(PyObject *data, Py_ssize_t at) {
        const unsigned char *line = L7_AT(data, at);
        int digits = 0;
        L7_CHECK(data, at);
        if (line[0] == '0') return -1;
        while (digits < 16 && l7_digit(line[digits]) < 16) digits++;
        if (!digits || digits > 15 || line[digits] != 13 || line[digits + 1] != 10) return -1;
        return at + digits + 2;
    }

    CYTHON_UNUSED static PY_LONG_LONG l7_hexadecimal_at(PyObject *data, Py_ssize_t at) {
        const unsigned char *line = L7_AT(data, at);
        PY_LONG_LONG number = 0;
        int digit, digits = 0;
        L7_CHECK(data, at);
        while (digits++ < 15 && (digit = l7_digit(*line++)) < 16) number = number * 16 + digit;
        return number;
    }

    CYTHON_UNUSED static PyObject *l7_size_line(PY_LONG_LONG size) {
        char line[18];
        int at = 18;
        line[--at] = '\\n';
        line[--at] = '\\r';
        do {
            line[--at] = "0123456789abcdef"[size & 15];
        } while (size >>= 4);
        return PyBytes_FromStringAndSize(line + at, 18 - at);
    }

    CYTHON_UNUSED static CYTHON_INLINE PyObject *l7_cut(PyObject *data, Py_ssize_t start, Py_ssize_t end) {
    #ifdef L7_CHECK_BOUNDS
        if (!PyBytes_Check(data) || start < 0 || end < start || end > PyBytes_GET_SIZE(data)) {
            fprintf(stderr, "l7: slice %zd:%zd of %zd bytes\\n", start, end, PyBytes_Check(data) ? PyBytes_GET_SIZE(data) : 0);
            abort();
        }
    #endif
        return PyBytes_FromStringAndSize(PyBytes_AS_STRING(data) + start, end - start);
    }

    CYTHON_UNUSED static PyObject *l7_joined(PyObject *pieces) {
        Py_ssize_t count = PyList_GET_SIZE(pieces), size = 0, i;
        PyObject *whole;
        char *to;
        for (i = 0; i < count; i++) {
            PyObject *piece = PyList_GET_ITEM(pieces, i);
            if (!PyBytes_Check(piece)) {
                PyErr_Format(PyExc_TypeError, "%R is no piece of bytes", piece);
                return NULL;
            }
            size += PyBytes_GET_SIZE(piece);
        }
        whole = PyBytes_FromStringAndSize(NULL, size);
        if (!whole) return NULL;
        to = PyBytes_AS_STRING(whole);
        for (i = 0; i < count; i++) {
            PyObject *piece = PyList_GET_ITEM(pieces, i);
            memcpy(to, PyBytes_AS_STRING(piece), PyBytes_GET_SIZE(piece));
            to += PyBytes_GET_SIZE(piece);
        }
        return whole;
    }

    /* No octet of a line is LF, and what follows the last one is zero, which begins no name. */
    CYTHON_UNUSED static Py_ssize_t l7_line_among(PyObject *data, Py_ssize_t at, PyObject *initials) {
        const unsigned char *from = L7_AT(data, 0), *wanted = L7_AT(initials, 0);
        Py_ssize_t size = PyBytes_GET_SIZE(data);
        L7_CHECK(data, at);
        L7_CHECK(initials, 256);
        if (wanted[from[at] | 0x20]) return at;
    #if defined(__SSE2__)
        for (; at <= size - 16; at += 16) {
            __m128i octets = _mm_loadu_si128((const __m128i *)(from + at));
            unsigned ends = (unsigned)_mm_movemask_epi8(_mm_cmpeq_epi8(octets, _mm_set1_epi8('\\n')));
            for (; ends; ends &= ends - 1) {
                Py_ssize_t line = at + __builtin_ctz(ends) + 1;
                if (wanted[from[line] | 0x20]) return line;
            }
        }
    #endif
        while (at < size) {
            if (from[at++] == '\\n' && wanted[from[at] | 0x20]) return at;
        }
        return size;
    }

    CYTHON_UNUSED static CYTHON_INLINE int l7_is_named(PyObject *data, Py_ssize_t at, PyObject *name, int twins) {
        const unsigned char *there = L7_AT(data, at), *wanted = L7_AT(name, 0);
        Py_ssize_t size = PyBytes_GET_SIZE(name), i;
        if (PyBytes_GET_SIZE(data) - at <= size || there[size] != ':') return 0;
        for (i = 0; i < size; i++) {
            int octet = there[i] | 0x20;
            if (octet != wanted[i] && !(twins && there[i] == '_' && wanted[i] == '-')) return 0;
        }
        return 1;
    }

    CYTHON_UNUSED static Py_ssize_t l7_line_named(PyObject *data, Py_ssize_t at, PyObject *initials, PyObject *names, int twins) {
        Py_ssize_t size = PyBytes_GET_SIZE(data), count = PyList_GET_SIZE(names), i;
        while ((at = l7_line_among(data, at, initials)) < size) {
            const char *end;
            for (i = 0; i < count; i++) {
                if (l7_is_named(data, at, PyList_GET_ITEM(names, i), twins)) return at;
            }
            end = memchr(L7_AT(data, at), '\\n', size - at);
            if (!end) return size;
            at = end + 1 - PyBytes_AS_STRING(data);
        }
        return size;
    }

    /* The digits end before `end`, of at most 20; returns where they begin. */
    CYTHON_UNUSED static char *l7_digits_before(char *end, PY_LONG_LONG number) {
        do {
            *--end = (char)('0' + number % 10);
        } while (number /= 10);
        return end;
    }

    CYTHON_UNUSED static PyObject *l7_digits(PY_LONG_LONG number) {
        char digits[20], *from = l7_digits_before(digits + 20, number);
        return PyBytes_FromStringAndSize(from, digits + 20 - from);
    }

    CYTHON_UNUSED static PyObject *l7_numbered(PyObject *before, PY_LONG_LONG first, PyObject *between, PY_LONG_LONG second) {
        char digits[40], *one = l7_digits_before(digits + 20, first), *two = l7_digits_before(digits + 40, second), *to;
        Py_ssize_t sizes[4] = {PyBytes_GET_SIZE(before), digits + 20 - one, PyBytes_GET_SIZE(between), digits + 40 - two};
        PyObject *whole = PyBytes_FromStringAndSize(NULL, sizes[0] + sizes[1] + sizes[2] + sizes[3]);
        if (!whole) return NULL;
        to = PyBytes_AS_STRING(whole);
        memcpy(to, L7_AT(before, 0), sizes[0]);
        memcpy(to += sizes[0], one, sizes[1]);
        memcpy(to += sizes[1], L7_AT(between, 0), sizes[2]);
        memcpy(to + sizes[2], two, sizes[3]);
        return whole;
    }

    CYTHON_UNUSED static PyObject *l7_stripped(PyObject *data, Py_ssize_t start, Py_ssize_t end) {
        while (start < end && (*L7_AT(data, start) == ' ' || *L7_AT(data, start) == '\\t')) start++;
        while (start < end && (*L7_AT(data, end - 1) == ' ' || *L7_AT(data, end - 1) == '\\t')) end--;
        return l7_cut(data, start, end);
    }
    #define l7_target_end(data, at) l7_class_end(data, at, L7_TARGET)
    #define l7_host_end(data, at) l7_class_end(data, at, L7_HOST)
    """
    int octet "l7_octet" (bytes data, Py_ssize_t at)
    Py_ssize_t name_end "l7_name_end" (bytes data, Py_ssize_t at)
    Py_ssize_t text_end "l7_text_end" (bytes data, Py_ssize_t at)
    Py_ssize_t target_end "l7_target_end" (bytes data, Py_ssize_t at)
    Py_ssize_t host_end "l7_host_end" (bytes data, Py_ssize_t at)
    bint plain_path "l7_plain_path" (bytes data)
    bint ends_line "l7_ends_line" (bytes data, Py_ssize_t at)
    bint starts "l7_starts" (bytes data, Py_ssize_t at, bytes piece)
    bint named "l7_named" (bytes data, Py_ssize_t at, bytes name)
    long long decimal "l7_decimal" (bytes value)
    long long hexadecimal "l7_hexadecimal" (bytes value)
    Py_ssize_t size_line_end "l7_size_line_end" (bytes data, Py_ssize_t at)
    long long hexadecimal_at "l7_hexadecimal_at" (bytes data, Py_ssize_t at)
    bytes size_line "l7_size_line" (long long size)
    bytes cut "l7_cut" (bytes data, Py_ssize_t start, Py_ssize_t end)
    bytes joined "l7_joined" (list pieces)
    Py_ssize_t line_among "l7_line_among" (bytes data, Py_ssize_t at, bytes initials)
    Py_ssize_t line_named "l7_line_named" (bytes data, Py_ssize_t at, bytes initials, list names, bint twins)
    bytes digits "l7_digits" (long long number)
    bytes numbered "l7_numbered" (bytes before, long long first, bytes between, long long second)
    bytes stripped "l7_stripped" (bytes data, Py_ssize_t start, Py_ssize_t end)
