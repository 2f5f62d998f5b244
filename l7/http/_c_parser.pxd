# Types for the compiled l7/http/parser.py.

cimport cython

from l7.http._c_messages cimport RequestHead as CRequestHead, ResponseHead as CResponseHead
from l7.http._c_fields cimport Table as CTable

cdef CTable _REQUEST, _RESPONSE

cdef class RequestParser:
    cdef public Py_ssize_t headers, target

    @cython.locals(lines=list, request=CRequestHead, values=list)
    cpdef CRequestHead parse(self, bytes head)

    @cython.locals(method=bytes, target=bytes, major=bytes, minor=bytes, path=bytes, authority=bytes)
    cpdef CRequestHead request_line(self, bytes line)

cdef class ResponseParser:
    cdef public Py_ssize_t headers

    @cython.locals(lines=list, response=CResponseHead, values=list, minor=int)
    cpdef CResponseHead parse(self, bytes head, bytes method)

cdef _take_host(CRequestHead request, bytes value)
cdef _frame_request(CRequestHead request, bytes length, bytes coding)
cdef _take_connection(CRequestHead request, bytes value, list values)
cdef list _without(list lines, list options)

@cython.locals(status=int)
cdef _frame_response(CResponseHead response, bytes length, bytes coding, int minor, bytes method)
