"""The cells of a server's row and of a backend's row in the shared memory (`l7.sharedmem.memory`), by number.

A row has `ROW` cells in every lane; a lane has one writer. What is known of a server or a backend is the sum over the
lanes, or for a moment in time the latest one. The first cells are gauges: they are zeroed when a lane's writer is
gone, all others only ever grow. Moments are ``time.monotonic_ns``, which is the same in all processes.
"""

from __future__ import annotations

RowKey = tuple[str, ...]
"""Which backend or server a row is of: ``(route,)``, ``(route, address)`` or ``(route, address, "192.0.2.1:80")``."""

ROW = 40
"""Cells in a row: five cache lines."""
GAUGES = 8
"""So many cells at the beginning of a row say what is now, not what has been."""

# --- row 0 of each lane: the lane itself ----------------------------------------------------------------------------

CHANGES = 8
"""How often the lane's writer has changed something that decides who may be picked."""
BEAT = 0
"""When the writer last showed that it lives; a gauge."""
CHANGED = 16
"""The rows that this was about, the latest `REMEMBERED` of them in turn; row 0 stands for all."""
REMEMBERED = 16
WRITERS = 9
"""In lane 0 only: how many lanes have ever been used; there is nothing in those above."""

# --- a server, in the lanes of workers ------------------------------------------------------------------------------

IN_FLIGHT = 0
"""Requests that it has now."""
STREAK = 1
"""Failures since the machine-wide count of good answers was `STREAK_AT`."""
STREAK_AT = 2
EJECTED_AT = 3
"""When it was ejected last."""
EJECTED_UNTIL = 4
EJECTED_TIMES = 5
"""How often it was ejected in a row, up to that one."""
EJECTED_WHY = 6
"""See `l7.balancing.ejection.words`."""
EJECTED_GOOD = 7
"""The machine-wide count of good answers when it was ejected: one more, and it has proven itself."""

REQUESTS = 8
"""Requests that it was given, each try counted."""
GOOD = 9
"""Requests that it answered whole, and with a status below 500."""
CONNECTS = 10
"""Connections that were opened to it."""
FAILED_CONNECT = 11
"""Connections that were refused or could not be made."""
FAILED_TIMEOUT = 12
"""Connections and responses that did not come in time."""
FAILED_RESPONSE = 13
"""Connections that were lost before the end of a response, and responses that were none."""
ANSWERED_5XX = 14
"""Responses with a status of 500 or more."""
RETRIES = 15
"""Requests that were tried again after it had failed."""
LAST_ERROR = 30
"""What it did when it failed last, or what we lacked for a connection to it; see `l7.balancing.ejection.words`."""
LAST_ERROR_AT = 31

# --- a server, in the lane of the monitor process --------------------------------------------------------------------

HEALTH = 16
"""0 not known, `UP` or `DOWN`: what active checks say."""
HEALTH_SINCE = 17
HEALTH_WHY = 18
RISES = 19
FALLS = 20

UP = 1
DOWN = 2

# --- a server, in the lane of the master ----------------------------------------------------------------------------

ADMIN = 21
"""0 ready, `DRAIN` or `MAINT`: what an administrator wants."""
ADMIN_SINCE = 22
ADMIN_WEIGHT = 23
"""The weight that an administrator wants, plus 1; 0 for that of the configuration."""
EJECTIONS = 24
"""How often it was ejected, in the lanes of workers."""

DRAIN = 1
MAINT = 2

# --- a server, in the lanes of workers and of the monitor process ----------------------------------------------------

UNREACHED_AT = 25
"""When a connection could not be made, for the first time since `REACHED_AT`; in the lanes of workers."""
REACHED_AT = 26
"""When a connection was made again after that: by a worker, or as the monitor process knocked."""
KNOCKED_AT = 27
"""When the monitor process last knocked in vain."""

# --- a backend, in the lanes of workers -----------------------------------------------------------------------------

QUEUED = 1
"""Requests that wait; `IN_FLIGHT` is for a backend what it is for a server."""
OLDEST = 2
"""Since when the first of those waits that can take a place at any server; 0 when none does."""
LOOKED = 3
"""When the worker last looked for a place for those that wait."""
RETRYING = 4
"""Requests that wait for a server that takes connections."""
RETRYING_OLDEST = 5
"""When the first of those failed for the first time; 0 when none waits."""
RETRYING_LOOKED = 6
"""When the worker last looked whether one of them can go on."""

STATUS = 8
"""Requests by the first digit of the status they were answered with: six cells, the first for those without one."""
DURATION = 14
"""Requests by their duration: a cell for each of `BOUNDS` and one for all that were longer; not cumulative."""
BOUNDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0, 60.0)
DURATION_SUM = 26
"""Microseconds that all of them took together."""
RECEIVED = 27
"""Bytes of request bodies."""
SENT = 28
"""Bytes of response bodies."""
RETRIED = 29
"""Tries beyond the first of each request."""
NOT_RETRIED = 30
"""Requests that the retry budget did not allow another try."""
OVERFLOWED = 31
"""Requests that were refused because the queue was full, or that waited too long in it."""
RETRIED_FREE = 32
"""Those of `RETRIED` that the retry budget does not count: a connection was refused."""
RETRY_WAITS = 33
"""Requests that had to wait for a server that takes connections."""
CUT = 34
"""Requests that l7 ended itself because it, or a worker, had to end."""

# --- a cell that says why ---------------------------------------------------------------------------------------------

_DETAIL_AT, _DETAIL = 8, 0xFFFFFF
_COUNT_AT, _COUNT = 32, 0x7FFFFFFF


def pack(kind: int, detail: int = 0, count: int = 0) -> int:
    """What happened, with a detail (a status, an error number) and how often in a row, as one cell has room for it."""
    return kind | (detail & _DETAIL) << _DETAIL_AT | min(count, _COUNT) << _COUNT_AT


def unpack(cell: int) -> tuple[int, int, int]:
    """What `pack` was given."""
    return cell & 0xFF, cell >> _DETAIL_AT & _DETAIL, cell >> _COUNT_AT & _COUNT
