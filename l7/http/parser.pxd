# Types for the compiled l7/http/parser.py.

cimport cython

from l7.http cimport octets
from l7.http.authority cimport host_of
from l7.http.messages cimport RequestHead, ResponseHead, StatusLine
from l7.http.fields cimport Table

cdef long long ABSENT, CHUNKED, UNTIL_CLOSE
cdef Table _REQUEST, _RESPONSE
cdef int _AUTHORIZATION, _CODING, _CONNECTION, _DATE, _EXPECT, _FORWARDED, _HOST, _KEEP_ALIVE, _LENGTH, _MAX_FORWARDS, _REFERER, _REQUEST_ID, _TE, _UPGRADE, _USER_AGENT, _VIA

cdef list _NOTHING
cdef bytes _GET, _POST, _ENDING
cdef int _OTHER, _SLASH, _ZERO
cdef Py_ssize_t _LONGEST_METHOD

cdef class Options:
    cdef public bint close, keep_alive, upgrade, te
    cdef public frozenset named

cdef Options _KEEP

cdef class RequestParser:
    cdef public Py_ssize_t headers, target
    cdef public bint utf8

    @cython.locals(end=Py_ssize_t, request=RequestHead, values=list)
    cpdef RequestHead take(self, bytes data)

    @cython.locals(start=Py_ssize_t, end=Py_ssize_t, method=bytes, request=RequestHead)
    cdef RequestHead _usual_line(self, bytes data)
    @cython.locals(parts=list, method=bytes, target=bytes, version=bytes, minor=int, path=bytes, authority=bytes, request=RequestHead)
    cpdef RequestHead request_line(self, bytes line)

cdef class ResponseParser:
    cdef StatusLine _last
    cdef public Py_ssize_t headers

    @cython.locals(end=Py_ssize_t, response=ResponseHead, values=list, line=StatusLine, options=Options, connection=bytes)
    cpdef ResponseHead take(self, bytes data, bytes method)

cdef dict _MINORS, _STATUS_LINES, _OPTIONS
@cython.locals(length="long long")
cdef long long _length_of(bytes value, object failure) except -1
cdef bytes _digits(bytes value, long long length)
@cython.locals(found=StatusLine)
cdef StatusLine _status_of(bytes raw)
cdef Options _options_of(bytes value)
cdef _take_host(RequestHead request, bytes value)
cdef _frame_request(RequestHead request, bytes length, bytes coding)
@cython.locals(options=Options)
cdef _take_connection(RequestHead request, bytes value, list values)
cdef list _without(list runs, frozenset named)

@cython.locals(status=int)
cdef _frame_response(ResponseHead response, bytes length, bytes coding, int minor, bytes method)
