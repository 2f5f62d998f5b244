# Types for the compiled l7/workers/downstream/begun_request.py.

from l7.exchange cimport Exchange
from l7.http.messages cimport RequestHead
from l7.workers.transport.stream cimport Stream

cdef class BegunRequest:
    cdef public Exchange exchange
    cdef public RequestHead head
    cdef public Stream sent_on
    cdef public bint late
