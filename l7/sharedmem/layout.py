"""The cells of a server's row and of a backend's row in the shared memory (`l7.sharedmem.memory`), by number.

A lane is the cells that one process writes; a row has `ROW` cells in every lane. `ROWS_A_PAGE` rows of one lane are a
page of memory, and the pages of all lanes for the same rows stand together as a tile: two processes write to no page in
common, and a process that has written to twenty thousand rows has taken 10 MB. The value of a cell is the sum over the
lanes, or for a point in time the latest one. The first cells are gauges: they are zeroed when the lane's writer has
ended; all others only grow. Times are ``time.monotonic_ns``, which is the same in all processes.
"""

from __future__ import annotations

RowKey = tuple[str, ...]
"""Which backend or server a row is of: ``(route,)``, ``(route, address)`` or ``(route, address, "192.0.2.1:80")``."""

ROW = 64
"""Cells of a row in one lane: eight cache lines."""
ROWS_A_PAGE = 8
"""Rows of one lane that are side by side: 4 KiB."""
LANE = ROWS_A_PAGE * ROW
"""Cells from a row in one lane to the same row in the next lane."""
LANES = 64
"""Lanes in one block of the memory."""
TILE = LANES * LANE
"""Cells of `ROWS_A_PAGE` rows in all lanes of a block."""
GAUGES = 8
"""Cells at the beginning of a row that are gauges, not counters."""


def place(row: int, cell: int = 0) -> int:
    """Where a cell of a row is in lane 0; lane n has it n * `LANE` cells behind."""
    return (row >> 3) * TILE + (row & 7) * ROW + cell


# --- row 0 of each lane: the lane itself ----------------------------------------------------------------------------

CHANGES = 8
"""How often the lane's writer has changed something that decides which servers may be picked."""
CHANGED = 16
"""The rows of the latest `REMEMBERED` changes, as a ring; row 0 stands for all."""
REMEMBERED = 16
WRITERS = 9
"""In lane 0 only: how many lanes have ever been used; those above are zero."""

# --- a server, in the lanes of workers ------------------------------------------------------------------------------

IN_FLIGHT = 0
"""Requests in flight."""
STREAK = 1
"""Failures since the sum of `GOOD` over all lanes was `STREAK_AT`."""
STREAK_AT = 2
EJECTED_AT = 3
"""When it was last ejected."""
EJECTED_UNTIL = 4
EJECTED_TIMES = 5
"""How often it was ejected in a row, including that one."""
EJECTED_WHY = 6
"""Why, for `l7.balancing.ejection.words`."""
EJECTED_GOOD = 7
"""The sum of `GOOD` when it was ejected: one more ends the probation."""

REQUESTS = 8
"""Requests sent to it, each attempt counted."""
GOOD = 9
"""Complete responses with a status below 500."""
CONNECTS = 10
"""Connections opened to it."""
FAILED_CONNECT = 11
"""Connections refused or failed."""
FAILED_TIMEOUT = 12
"""Connections and responses that timed out."""
FAILED_RESPONSE = 13
"""Connections lost before the end of a response, and invalid responses."""
ANSWERED_5XX = 14
"""Complete responses with a status of 500 or more."""
RETRIES = 15
"""Requests that were retried after it had failed them."""
LAST_ERROR = 30
"""Its last failure, or the resource that l7 lacked for a connection; for `l7.balancing.ejection.words`."""
LAST_ERROR_AT = 31
FIRST_BYTE_SUM = 32
"""The sum in microseconds of the times that `FIRST_BYTE` counts."""
FIRST_BYTE = 33
"""Answers by the time from the request sent to their first byte: a cell for each of `BOUNDS` and one for all longer."""

# --- a server, in the lane of the monitor process --------------------------------------------------------------------

HEALTH = 16
"""The state by active health checks: 0 (not known), `UP` or `DOWN`."""
HEALTH_SINCE = 17
HEALTH_WHY = 18
RISES = 19
FALLS = 20

UP = 1
DOWN = 2

# --- a server, in the lane of the master ----------------------------------------------------------------------------

ADMIN = 21
"""The administrator's override: 0 (ready), `DRAIN` or `MAINT`."""
ADMIN_SINCE = 22
ADMIN_WEIGHT = 23
"""The administrator's weight plus 1; 0 for that of the configuration."""
EJECTIONS = 24
"""How often it was ejected; in the lanes of workers, too."""

DRAIN = 1
MAINT = 2

# --- a server, in the lanes of workers and of the monitor process ----------------------------------------------------

UNREACHED_AT = 25
"""When a connection first failed since `REACHED_AT`; in the lanes of workers."""
REACHED_AT = 26
"""When a connection succeeded again after that: of a worker, or of a connect probe."""
KNOCKED_AT = 27
"""When a connect probe of the monitor process last failed."""

# --- a backend, in the lanes of workers -----------------------------------------------------------------------------

QUEUED = 1
"""Requests in the queue; `IN_FLIGHT` is for a backend what it is for a server."""
OLDEST = 2
"""Since when the first queued request waits that may go to any server; 0 when there is none."""
LOOKED = 3
"""When the worker last looked for a free server for its queue."""
RETRYING = 4
"""Requests in the retry queue: no server takes connections."""
RETRYING_OLDEST = 5
"""When the first of those first failed; 0 when the retry queue is empty."""
RETRYING_LOOKED = 6
"""When the worker last looked whether one of them can be retried."""

STATUS = 8
"""Requests by the first digit of their status: six cells, the first for requests without an answer."""
DURATION = 14
"""Requests by duration: a cell for each of `BOUNDS` and one for all longer ones; not cumulative."""
BOUNDS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0, 60.0)
DURATION_SUM = 29
"""The sum of the durations in microseconds."""
RECEIVED = 30
"""Bytes of request bodies."""
SENT = 31
"""Bytes of response bodies."""
RETRIED = 32
"""Attempts beyond the first of each request."""
NOT_RETRIED = 33
"""Requests that the retry budget did not allow another attempt."""
OVERFLOWED = 34
"""Requests refused because the queue was full or their time in it was over."""
RETRIED_FREE = 35
"""The part of `RETRIED` that the retry budget does not count: refused connections."""
RETRY_WAITS = 36
"""Requests that entered the retry queue."""
CUT = 37
"""Requests that l7 cut off because it, or a worker, had to stop."""
REFUSED = 38
"""Requests that a rule has refused: a cell for each of `RULES`."""
RULES = ("deny", "allow", "rate-limit", "users", "limits.body")
"""The rules that refuse requests, by their settings."""
RATE_OVERFLOWED = 43
"""Requests that passed a rate limit without being counted, as there was no room for their client."""
UNCOMPRESSED = 56
"""Bytes of response bodies that were compressed, as servers sent them."""
COMPRESSED = 57
"""Bytes that these became."""

# --- a cell that says why ---------------------------------------------------------------------------------------------

_DETAIL_AT, _DETAIL = 8, 0xFFFFFF
_COUNT_AT, _COUNT = 32, 0x7FFFFFFF


def pack(kind: int, detail: int = 0, count: int = 0) -> int:
    """Pack a reason, a detail (a status, an error number) and a count in a row into one cell."""
    return kind | (detail & _DETAIL) << _DETAIL_AT | min(count, _COUNT) << _COUNT_AT


def unpack(cell: int) -> tuple[int, int, int]:
    """The arguments of `pack`."""
    return cell & 0xFF, cell >> _DETAIL_AT & _DETAIL, cell >> _COUNT_AT & _COUNT
