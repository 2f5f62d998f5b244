"""Where things are in the recorder's memory: its header, the parts of a lane, the words of a record.

The memory is a file of 64-bit words. Behind one page for all (`VERSION`, and how many lanes were ever used) each
lane has the same room; a lane is written by the worker in one slot of the scoreboard, and after that one's end by the
next worker there. Only pages that were written to take memory. A lane has

- a header of one page (``H_...``);
- a table of texts that come from the configuration, each once: records name them by their place in it;
- the requests under way, `SLOT` words each;
- two rings: failed requests, and all of them.

A ring is ``capacity`` states, one for each cell of `CELL` words, and the cells behind these. A record takes the cells
that it needs, side by side; the state of the first one is twice the record's number, or odd while it is written, and
those of the others are zero. A reader copies the record and then looks whether the state is still the same.
"""

from __future__ import annotations

VERSION = 0x6C37_0002
"""The first word of the memory: the layout that it has."""
HEAD = 512
"""Words in front of the first lane: a page."""
LANES_USED = 1
"""The word with the number of lanes that were ever opened."""

# --- a lane ---------------------------------------------------------------------------------------------------------

H_PID = 0
"""The process that writes the lane, or wrote it last."""
H_WORKER = 1
"""Its place among the workers, from 1 on."""
H_GENERATION = 2
H_SLOTS = 3
"""How many slots of requests under way were ever used."""
H_TEXTS = 4
"""Bytes of the table of texts that are used."""
H_EPOCH = 5
"""How often the lane was begun anew."""
H_FAILURES = 8
"""Of the ring of failures: its capacity in cells, the cells that were ever written, the records that were."""
H_REQUESTS = 16
"""The same of the ring of all requests."""
CAPACITY, WRITTEN, COUNT = 0, 1, 2

TEXTS_AT = 512
TEXT_BYTES = 1 << 20
"""The room for texts of the configuration."""
LONGEST_TEXT = 300
UNDER_WAY_AT = TEXTS_AT + TEXT_BYTES // 8
CELL = 32
"""Words of a cell: 256 bytes, what a common record needs."""
CELL_BYTES = CELL * 8
MOST_CELLS = 6
"""Cells of the longest record."""
SLOT = CELL * MOST_CELLS
MOST_UNDER_WAY = 4096
"""Requests of one worker that are seen while they are under way; the first slot is none of them (`SCRATCH`)."""
SCRATCH = 0
"""The slot where the record of any other request is written at its end."""
MOST_FAILURES = 100_000
MOST_REQUESTS = 100_000
FAILURE_CELLS = 3
"""Cells that are reckoned with for a failure, and for any request."""
REQUEST_CELLS = 2
FAILURES_AT = UNDER_WAY_AT + MOST_UNDER_WAY * SLOT
REQUESTS_AT = FAILURES_AT + MOST_FAILURES * FAILURE_CELLS * (CELL + 1) + 32
LANE = (REQUESTS_AT + MOST_REQUESTS * REQUEST_CELLS * (CELL + 1) + HEAD) // HEAD * HEAD
"""Words from one lane to the next: whole pages."""

# --- a record -------------------------------------------------------------------------------------------------------

STATE = 0
"""In a slot of those under way: 0 for none, odd while it is begun, else twice the request's number. Its copy in a
ring has nothing there."""
SIZES = 1
"""Attempts that are kept (8 bits), all attempts (16), flags (16), the minor version of TLS and 1, 0 for none (4)."""
STARTED = 2
"""Microseconds since 1970."""
TOTAL = 3
"""Microseconds; -1 while it is under way. So are `QUEUE`, and the times of attempts."""
QUEUE = 4
RECEIVED = 5
SENT = 6
CONNECTION = 7
"""The number of the client's connection in its worker (40 bits), and of the request on that (23)."""
PLACE = 8
"""The texts of the route (23 bits) and of how it picks a server (23), the port of the listener (16)."""
WORKER = 9
"""Generation (32 bits), worker (16), status (15)."""
CODE = 10
"""The two letters of the termination code (16 bits), the text of the failure's name (32)."""
LENGTHS = 11
"""Bytes of client, host, request id (10 bits each), request line (16), reason (16)."""
NUMBER = 12
"""Counts the records that the lane has finished. In a slot that is free: the next free one, and 1."""
ATTEMPTS = 13
"""The first word of the attempts."""

MOST_ATTEMPTS = 8
"""Attempts that are kept: the last one is always among them."""
ATTEMPT = 4
"""Words of an attempt."""
A_SERVER = 0
"""The text of the server (23 bits), why it was it (8), servers that could be picked (8), and all (8)."""
A_BEGAN = 1
"""Microseconds since the request began (36 bits), and how long the request took to be sent (27): `SENT_UNIT`
microseconds each, 0 for less than `LEAST_SENDING`, `UNSENT` where it was not sent to its end."""
BEGAN_BITS = 36
SENT_UNIT = 64
LEAST_SENDING = 1024
"""Microseconds: only bodies that come slowly, or that a server takes slowly, take longer."""
UNSENT = (1 << 27) - 1
A_TIMES = 2
"""Microseconds that the connection took (32 bits), and the first byte of the answer (31); each and 1, 0 for none."""
A_ENDED = 3
"""Microseconds since the request began, and 1, of an attempt that failed (32 bits); the text of the failure (31)."""

TEXTS = ATTEMPTS + MOST_ATTEMPTS * ATTEMPT
"""The first word of a slot's texts: client, host, id, line, reason. In a ring they follow the last attempt."""
LONGEST_CLIENT, LONGEST_HOST, LONGEST_ID, LONGEST_REASON = 64, 200, 128, 240
LONGEST_LINE = 536
"""A method, a target of 512 bytes, and a version."""

# Flags of a record.
LINE_CUT = 1
"""The request line was longer."""
DIED = 2
"""The worker ended while the request was under way."""
CUT_REASON = 4

# Why a server was it: one of these,
POLICY, STICKY, LAST_RESORT = 0, 1, 2
# and any of these.
RETRY = 16
"""Another server has failed the request before."""
QUEUED = 32
"""The request has waited for it."""
BACKUP = 64
"""It is a backup server."""
AGAIN = 128
"""The same server once more: the kept connection was dead."""


def ring_cells(records: int, workers: int, most: int, cells: int) -> int:
    """The capacity of a lane's ring, so that all lanes together hold ``records``.

    Twice its share, because clients do not spread evenly over workers; but no more than there are.
    """
    share = -(-records // max(workers, 1))
    return min(records, most, max(2 * share, 16)) * cells
