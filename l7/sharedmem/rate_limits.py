"""How much each client has used of each rate limit: a table of one 64-bit word a client, written by all workers.

A word holds who it is of and when its bucket will be full again (GCRA: the *theoretical arrival time*), so one
compare-and-swap charges a request, finds out that the word has become another client's, and leaves nothing half done
where the process dies. A bucket that is full again is worth as much as none, so its word is free for another client.

The table is `SETS` sets of a cache line each: a header and `WAYS` words. A client belongs to one set, by a keyed hash.
Its word must be in there once only, or it would have two buckets: so who puts one in announces in the header which word
is to replace which, and whoever finds such an announcement carries it out before it makes another one. That takes no
lock, and nobody waits for a process that has died. ``docs/decisions/rate-limits.rst`` says why it is exact.

Hot: a request to a route with a limit is charged here. In pure Python, which has no compare-and-swap, a lock of the
file stands around it, which the system takes from a process that dies.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable

from l7 import clock
from l7.compiled import is_compiled
from l7.sharedmem import integers
from l7.sharedmem.mapping import SharedFile

SETS = 1 << 17
"""Sets of the table: 8 MiB, of which a page takes memory once a client has come to it."""
WAYS = 7
"""Clients in a set; with its header that is a cache line."""
NO_ROOM = 0
"""What `RateLimitTable.charge` returns where all words of a set are in use: the request was not counted."""

_SETS = SETS
_WAYS = WAYS
_NO_ROOM = NO_ROOM

# A word, 63 bits: who (a part of the hash, and the scale of the time), and the time, in a circle.
_TIME_BITS = 40
_TIME = (1 << 40) - 1
_SCALE_BITS = 4
_SCALE = 15
_SET_BITS = 17
_TAG = (1 << 19) - 1
_IDENTITY = (1 << 23) - 1
_LONGEST = 1 << 37
"""The longest time, in its unit, until a bucket is full: what seems to be longer is a time that has passed."""

# A header, 63 bits: the way that is to be written (0: no announcement), the identity to write there, the end of the
# word that is there now, a number that grows with each announcement.
_WAY = 7
_IDENTITY_AT = 3
_END_AT = 26
_END = (1 << 16) - 1
_COUNT_AT = 42
_COUNT = (1 << 21) - 1

_TRIES = 100
"""Times that others may come between before a request is let through: each time one of them was served."""
_UNITS = 1024
"""A request costs at least so many units of time, so that rounding makes a rate higher by a thousandth at most."""


class Bucket:
    """The tokens of one client: ``size`` of them, of which one comes back in ``seconds / requests``.

    Times are in units of ``2 ** (3 * scale)`` nanoseconds.

    :raises ValueError: it would take longer to fill than a word has room for.
    """

    __slots__ = ("cost", "longest", "scale", "size", "tolerance", "unit")

    def __init__(self, requests: int, seconds: float, size: int) -> None:
        nanoseconds = seconds * 1e9 / requests
        scale = 0
        while scale < _SCALE and nanoseconds >= _UNITS << 3 * (scale + 1):
            scale += 1
        self.size = size
        self.scale = scale
        self.unit = (1 << 3 * scale) / 1e9
        """Seconds."""
        self.cost = max(1, int(nanoseconds / (1 << 3 * scale)))
        """What a request costs."""
        self.tolerance = (size - 1) * self.cost
        """How far ahead of now a client may be and ask for one more."""
        self.longest = self.tolerance + self.cost
        if not 0 < self.longest < _LONGEST:
            raise ValueError(f"a bucket of {size} requests, of which {requests} come back in {seconds} s")

    def left(self, ahead: int) -> int:
        """How many tokens are left where a client is so far ahead of now."""
        return (self.longest - ahead) // self.cost


class RateLimitTable:
    """The words of all clients, in memory that every process forked later shares.

    :param ticks: nanoseconds that all processes count from the same moment; None for `l7.clock.monotonic_ns`.
    :raises OSError: there is no memory.
    """

    __slots__ = ("_cells", "_file", "_locked", "_ticks", "seed")

    def __init__(self, ticks: Callable[[], int] | None = None) -> None:
        self._file = SharedFile("l7-rate-limits")
        self._cells = integers.view(self._file.map(0, _SETS * (_WAYS + 1)))
        self._ticks = ticks
        self._locked = not is_compiled()
        self.seed = secrets.token_bytes(16)
        """What all keys begin with, so that no client can choose whose word is where."""

    def charge(self, key: int, bucket: Bucket) -> int:
        """Take one token out of the bucket of a client, where there is one.

        :param key: a hash of the client and of the rule.
        :returns: how far ahead of now the client is with it; where there was no token, which costs nothing, how long
            until there will be one, as a negative number; `NO_ROOM` where the table is full of others.
        """
        at = (key & (_SETS - 1)) * (_WAYS + 1)
        identity = ((key >> _SET_BITS & _TAG) or 1) << _SCALE_BITS | bucket.scale
        if not self._locked:
            return self._charge(at, identity, bucket)
        with self._file.locked(at):
            return self._charge(at, identity, bucket)

    def _charge(self, at: int, identity: int, bucket: Bucket) -> int:
        tries = _TRIES
        while tries:
            tries -= 1
            place = self._find(at, identity) or self._insert(at, identity)
            if not place:
                return _NO_ROOM
            word = integers.load_ordered(self._cells, place)
            if word >> _TIME_BITS != identity:
                continue
            now = self._now(bucket.scale)  # behind the word: nobody has written it later
            ahead = (word - now) & _TIME
            if ahead > bucket.longest:
                ahead = 0
            if ahead > bucket.tolerance:
                return bucket.tolerance - ahead
            ahead += bucket.cost
            if integers.compare_exchange(self._cells, place, word, identity << _TIME_BITS | (now + ahead) & _TIME):
                return ahead
        return _NO_ROOM

    def _now(self, scale: int) -> int:
        """The time in units of a scale, in its circle."""
        now = clock.monotonic_ns() if self._ticks is None else self._ticks()
        return now >> 3 * scale & _TIME

    def _find(self, at: int, identity: int) -> int:
        """Where in the set at ``at`` the word of a client is; 0 where it is not."""
        place = at + 1
        while place <= at + _WAYS:
            if integers.load(self._cells, place) >> _TIME_BITS == identity:
                return place
            place += 1
        return 0

    def _insert(self, at: int, identity: int) -> int:
        """Put in a word with a full bucket; returns where, and 0 where there is no room."""
        tries = _TRIES
        while tries:
            tries -= 1
            header = integers.load_ordered(self._cells, at)
            if header & _WAY:
                self._complete(at, header)
                continue
            place = self._find(at, identity)
            if place:
                return place
            place = self._find_free(at)
            if not place:
                return 0
            word = integers.load_ordered(self._cells, place)
            if not self._is_free(word):
                continue
            count = (header >> _COUNT_AT) + 1 & _COUNT
            announced = count << _COUNT_AT | (word & _END) << _END_AT | identity << _IDENTITY_AT | place - at
            if integers.compare_exchange(self._cells, at, header, announced):
                self._complete(at, announced)
        return 0

    def _find_free(self, at: int) -> int:
        """Where in a set a word is free; 0 where all are in use."""
        place = at + 1
        while place <= at + _WAYS:
            if self._is_free(integers.load(self._cells, place)):
                return place
            place += 1
        return 0

    def _is_free(self, word: int) -> bool:
        """Whether a word is of nobody, or of a client whose bucket is full again."""
        identity = word >> _TIME_BITS
        ahead = (word - self._now(identity & _SCALE)) & _TIME
        return not identity or ahead == 0 or ahead > _LONGEST

    def _complete(self, at: int, header: int) -> None:
        """Carry out what a header announces, or find that it was, or that the word has come into use again."""
        place = at + (header & _WAY)
        identity = header >> _IDENTITY_AT & _IDENTITY
        word = integers.load_ordered(self._cells, place)
        # What the announcer has seen, and no other: a word never has a value again, so where it has changed once,
        # nobody's exchange succeeds any more. The header behind it: the announcement stood while the word was read.
        if word & _END == header >> _END_AT & _END and integers.load_ordered(self._cells, at) == header:
            full = identity << _TIME_BITS | self._now(identity & _SCALE)
            integers.compare_exchange(self._cells, place, word, full)
        integers.compare_exchange(self._cells, at, header, header >> _COUNT_AT << _COUNT_AT)
