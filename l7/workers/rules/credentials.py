"""Checks logins: HTTP basic authentication (RFC 7617) against logins with plain passwords or bcrypt hashes.

What a wrong login costs does not tell whether the login exists: every refusal compares one digest and, when any user
has a bcrypt hash, does as much bcrypt work as the most expensive hash asks for. bcrypt runs in threads of its own, few
and of low priority, so that a flood of wrong passwords slows down neither the loop nor those whose logins are known.
What was right is remembered for an hour by a keyed hash whose key only this process knows; what was wrong never is.

Passwords stay out of every ``repr`` and of the arguments of greenlets and threads, which diagnostics print.
"""

from __future__ import annotations

import hashlib
import hmac
import os
import re
from collections.abc import Mapping

import bcrypt
import gevent
from gevent.threadpool import ThreadPool

from l7.clock import Clock, monotonic
from l7.config.model import SecretStr
from l7.rules.login import parse_basic
from l7.workers.bounded_cache import BoundedCache

REMEMBERED = 10_000
"""Logins with their passwords, as keyed hashes, that were right."""
REMEMBERED_FOR = 3600.0
"""Seconds."""
THREADS = 2
"""bcrypt checks that run at once, in one worker."""
WAITING = 64
"""bcrypt checks that run or wait; a login beyond them is refused."""
WAITING_FOR_LOGIN = 16
"""The same for one login: a client that tries passwords for one does not take all places."""

_NICENESS = 5
_LONGEST = 72  # bytes that bcrypt looks at; a longer password is wrong rather than cut
_HASH = re.compile(rb"\$2[aby]\$(0[4-9]|[12]\d|3[01])\$[./A-Za-z0-9]{53}")


class Authenticator:
    """The logins of one generation. Passwords are compared as UTF-8.

    A login whose password is the redacted placeholder, or looks like a bcrypt hash and is none, can never come in.
    """

    __slots__ = (
        "_clock", "_digests", "_expense", "_known", "_marks", "_unknown", "_users", "threads",
    )  # fmt: skip

    def __init__(
        self, users: Mapping[str, str], threads: PasswordCheckPool | None = None, *, clock: Clock = monotonic
    ) -> None:
        self.threads = PasswordCheckPool() if threads is None else threads
        """Where bcrypt runs; may be those of other logins, too."""
        self._clock = clock
        # Templates that hold a random key each: what they make is worth nothing outside of this process.
        self._digests = hashlib.blake2b(key=os.urandom(32), digest_size=32)
        self._marks = hashlib.blake2b(key=os.urandom(32), digest_size=16)
        self._unknown = _Secret(os.urandom(32))
        self._users = {login.encode(): self._make_secret(password.encode()) for login, password in users.items()}
        self._expense = max((secret.cost for secret in self._users.values()), default=0)
        self._known: BoundedCache[bytes, tuple[bytes, float]] = BoundedCache(REMEMBERED)

    def __repr__(self) -> str:
        return f"<Authenticator of {len(self._users)} logins>"

    def remembered(self, authorization: bytes) -> bytes | None:
        """Give the login of an Authorization value that was found right a while ago; None for others. Never waits."""
        return self._recall(self._mark(authorization), self._clock())

    def check(self, authorization: bytes | None) -> bytes | None:
        """Give the login of an Authorization value, or ``None``. May let other greenlets run (bcrypt)."""
        if authorization is None:
            return None
        mark = self._mark(authorization)
        now = self._clock()
        known = self._recall(mark, now)
        if known is not None:
            return known
        pair = parse_basic(authorization)
        if pair is None:
            return None
        login, password = pair
        secret = self._users.get(login, self._unknown)
        right = hmac.compare_digest(self._digest(password), secret.digest)
        if not right and self._expense:
            right = self._check_hashed(login, password, secret, now)
        if not right:
            return None
        self._remember(mark, login)
        return login

    def _check_hashed(self, login: bytes, password: bytes, secret: _Secret, now: float) -> bool:
        """Do the bcrypt work for a login that has no matching plain password: once for all that wait for the same."""
        mark = self._mark(b"\0" + login + b":" + password)  # no header value begins like this
        if self._recall(mark, now) is not None:
            return True
        right = self.threads.run(mark, login, _PasswordCheck(password, secret, self._expense))
        if right:
            self._remember(mark, login)
        return right

    def _recall(self, mark: bytes, now: float) -> bytes | None:
        known = self._known.get(mark)
        return known[0] if known is not None and now < known[1] else None

    def _remember(self, mark: bytes, login: bytes) -> None:
        self._known[mark] = (login, self._clock() + REMEMBERED_FOR)

    def _make_secret(self, password: bytes) -> _Secret:
        if _HASH.fullmatch(password):
            return _Secret(os.urandom(32), password, int(password[4:6]))
        return _Secret(self._digest(password))

    def _digest(self, password: bytes) -> bytes:
        state = self._digests.copy()
        state.update(password)
        return state.digest()

    def _mark(self, text: bytes) -> bytes:
        state = self._marks.copy()
        state.update(text)
        return state.digest()


class PasswordCheckPool:
    """Where bcrypt runs: few threads and a bounded number of places for all logins of a worker, whatever route asks."""

    __slots__ = ("_pool", "flights", "waiting")

    def __init__(self) -> None:
        self.flights: dict[bytes, gevent.Greenlet[[], bool]] = {}
        """The checks that run or wait, by the mark of login and password."""
        self.waiting: dict[bytes, int] = {}
        """How many of them are for one login."""
        self._pool: ThreadPool | None = None

    def run(self, mark: bytes, login: bytes, check: _PasswordCheck) -> bool:
        """Do a check, once for all that wait for the same ``mark``; False where there is no place for it."""
        flight = self.flights.get(mark)
        if flight is None:
            if len(self.flights) >= WAITING or self.waiting.get(login, 0) >= WAITING_FOR_LOGIN:
                return False
            flight = self._launch(mark, login, check)
        # A greenlet of its own: it goes on, for the others, when the one who asked first is killed.
        right: bool = flight.get()
        return right

    def _launch(self, mark: bytes, login: bytes, check: _PasswordCheck) -> gevent.Greenlet[[], bool]:
        def land(_: object) -> None:
            del self.flights[mark]
            left = self.waiting.pop(login) - 1
            if left:
                self.waiting[login] = left

        if self._pool is None:
            self._pool = ThreadPool(THREADS)
        flight = self.flights[mark] = gevent.spawn(self._pool.apply, check.run)
        self.waiting[login] = self.waiting.get(login, 0) + 1
        flight.rawlink(land)
        return flight


class _Secret:
    """What a password is compared with: a digest that nothing has for a hashed one, a hash and its cost, 0 for none."""

    __slots__ = ("cost", "digest", "hashed")

    def __init__(self, digest: bytes, hashed: bytes = b"", cost: int = 0) -> None:
        self.digest = digest
        self.hashed = hashed
        self.cost = cost


class _PasswordCheck:
    """One bcrypt check; a failure has cost as much as a hash of the cost ``expense``, also for an unknown login."""

    __slots__ = ("_expense", "_password", "_secret")

    def __init__(self, password: bytes, secret: _Secret, expense: int) -> None:
        self._password = password
        self._secret = secret
        self._expense = expense

    def run(self) -> bool:
        """Say whether the password is right; runs in a thread."""
        try:
            os.setpriority(os.PRIO_PROCESS, 0, _NICENESS)  # Linux: of this thread
        except OSError:
            pass
        cost = self._secret.cost
        if not cost or len(self._password) > _LONGEST or b"\0" in self._password:
            bcrypt.checkpw(b"", _dummy(self._expense))
            return False
        if bcrypt.checkpw(self._password, self._secret.hashed):
            return True
        # The work doubles with each step of the cost: c, then c, c + 1, ... up to below the expense add up to it.
        for step in range(cost, self._expense):
            bcrypt.checkpw(b"", _dummy(step))
        return False


def _dummy(cost: int) -> bytes:
    """Make a hash that costs what it says and that no password has."""
    return b"$2b$%02d$" % cost + b"." * 53


class Authenticators:
    """What checks the logins of all routes: one for the same logins, so that these are remembered once.

    All of them share their threads: many routes with logins of their own take no more than one.
    """

    def __init__(self) -> None:
        self._threads = PasswordCheckPool()
        self._made: dict[tuple[tuple[str, str], ...], Authenticator] = {}

    def of(self, users: Mapping[str, SecretStr]) -> Authenticator:
        """What checks these logins."""
        plain = {login: secret.get_secret_value() for login, secret in users.items()}
        key = tuple(sorted(plain.items()))
        if key not in self._made:
            self._made[key] = Authenticator(plain, self._threads)
        return self._made[key]
