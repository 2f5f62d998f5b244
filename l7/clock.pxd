# The compiled l7/clock.py, put into each module that asks for the time: without an object for it.

cdef extern from *:
    """
    #include <time.h>

    CYTHON_UNUSED static double l7_monotonic(void) {
        struct timespec now;
        clock_gettime(CLOCK_MONOTONIC, &now);
        return (double)now.tv_sec + (double)now.tv_nsec * 1e-9;
    }

    CYTHON_UNUSED static PY_LONG_LONG l7_monotonic_ns(void) {
        struct timespec now;
        clock_gettime(CLOCK_MONOTONIC, &now);
        return (PY_LONG_LONG)now.tv_sec * 1000000000 + now.tv_nsec;
    }
    """
    double monotonic "l7_monotonic" ()
    long long monotonic_ns "l7_monotonic_ns" ()
