"""The right ones come in, the wrong ones learn nothing, nobody waits for anybody else's bcrypt."""

from __future__ import annotations

import base64
import hmac
import threading
from collections.abc import Callable, Iterator

import bcrypt
import gevent
import gevent.util
import pytest
from gevent.event import Event

from l7.config.model import SecretStr
from l7.config.values.scalars import NEVER
from l7.rules.login import claimed_login, parse_basic
from l7.workers.rules import credentials
from l7.workers.rules.credentials import REMEMBERED_FOR, Authenticator, Authenticators


def hashed(password: str, cost: int = 4, prefix: bytes = b"2b") -> str:
    return bcrypt.hashpw(password.encode(), bcrypt.gensalt(cost)).replace(b"2b", prefix, 1).decode()


def basic(login: str, password: str, scheme: str = "Basic ") -> bytes:
    return scheme.encode() + base64.b64encode(f"{login}:{password}".encode())


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


class Work:
    """Counts what is computed: the work of bcrypt by powers of two, comparisons by one; bcrypt waits at the gate."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.calls = self.expense = self.comparisons = 0
        self.running = self.most = 0
        self._lock = threading.Lock()
        self.gate = threading.Event()
        self.gate.set()
        self._checkpw, self._compare = bcrypt.checkpw, hmac.compare_digest
        monkeypatch.setattr("l7.workers.rules.credentials.bcrypt.checkpw", self.checkpw)
        monkeypatch.setattr("l7.workers.rules.credentials.hmac.compare_digest", self.compare)

    def checkpw(self, password: bytes, against: bytes) -> bool:
        with self._lock:
            self.running += 1
            self.most = max(self.most, self.running)
            self.calls += 1
            self.expense += 2 ** int(against[4:6])
        assert self.gate.wait(10)
        result = self._checkpw(password, against)
        with self._lock:
            self.running -= 1
        return result

    def compare(self, one: bytes, other: bytes) -> bool:
        self.comparisons += 1
        return self._compare(one, other)

    def of(self, subject: Authenticator, header: bytes) -> tuple[int, int]:
        self.expense = self.comparisons = 0
        subject.check(header)
        return self.expense, self.comparisons


@pytest.fixture
def work(monkeypatch: pytest.MonkeyPatch) -> Work:
    return Work(monkeypatch)


@pytest.fixture(autouse=True)
def bounded() -> Iterator[None]:
    with gevent.Timeout(30):
        yield


def settle(condition: Callable[[], bool]) -> None:
    """Let greenlets run until it is so; the time that a test may take bounds it."""
    while not condition():
        gevent.sleep(0)


USERS = {"admin": "admin", "someone": "my:pass wörd", "empty": ""}


@pytest.mark.parametrize("login", USERS)
def test_plain_passwords(login: str) -> None:
    subject = Authenticator(USERS)
    for _ in range(2):
        assert subject.check(basic(login, USERS[login])) == login.encode()
        assert subject.check(basic(login, USERS[login] + "x")) is None
        assert subject.check(basic(login + "x", USERS[login])) is None
        assert subject.check(basic(login, USERS[login], "bAsIc   ")) == login.encode()


@pytest.mark.parametrize("prefix", [b"2a", b"2b", b"2y"])
def test_bcrypt_hashes(prefix: bytes) -> None:
    subject = Authenticator({"admin": hashed("secret", prefix=prefix)})
    for _ in range(2):
        assert subject.check(basic("admin", "secret")) == b"admin"
        assert subject.check(basic("admin", "Secret")) is None
        assert subject.check(basic("nobody", "secret")) is None


@pytest.mark.parametrize(
    "header",
    [
        None,
        b"",
        b"Basic",
        b"Basic ",
        b"Basic:YWRtaW46YWRtaW4=",
        b"Bearer YWRtaW46YWRtaW4=",
        b"BasicYWRtaW46YWRtaW4=",
        b"Basic\tYWRtaW46YWRtaW4=",
        b"Basic YWRtaW46YWRtaW4",
        b"Basic YWRtaW46YWRtaW4==",
        b"Basic YWRtaW46YWRtaW4= ",
        b"Basic YWRt\naW46YWRtaW4=",
        b"Basic YWRt!aW46YWRtaW4=",
        b"Basic YWRtaW46YWRtaW5=",
        b"Basic YWRtaW4=",
        b"Basic \xff\xff",
        b"YWRtaW46YWRtaW4=",
    ],
)
def test_only_well_formed_credentials_count(header: bytes | None) -> None:
    assert Authenticator({"admin": "admin"}).check(header) is None
    assert claimed_login(header) == b""


def test_the_first_colon_separates() -> None:
    assert parse_basic(basic("a", "b:c")) == (b"a", b"b:c")
    assert parse_basic(basic("", "")) == (b"", b"")
    assert claimed_login(basic("a", "wrong")) == b"a"


def test_no_login_at_all() -> None:
    assert Authenticator({}).check(basic("", "")) is None


@pytest.mark.parametrize("password", ["x" * 73, "x" * 5000, "secret\0", "secret\0more", ""])
def test_passwords_that_bcrypt_cannot_tell_apart_are_wrong(password: str, work: Work) -> None:
    subject = Authenticator({"admin": hashed("secret"), "long": hashed("x" * 72)})
    for login in ("admin", "long"):
        assert work.of(subject, basic(login, password)) == (16, 1)
        assert subject.check(basic(login, password)) is None
    assert subject.check(basic("long", "x" * 72)) == b"long"


def test_every_refusal_costs_the_same(work: Work) -> None:
    mixed = Authenticator({"cheap": hashed("a"), "dear": hashed("b", 7), "plain": "c", "redacted": NEVER})
    costs = {login: work.of(mixed, basic(login, "wrong")) for login in ("cheap", "dear", "plain", "redacted", "nobody")}
    assert set(costs.values()) == {(2**7, 1)}, costs
    plain = Authenticator({"plain": "c"})
    assert work.of(plain, basic("plain", "wrong")) == work.of(plain, basic("nobody", "wrong")) == (0, 1)


def test_a_right_hash_is_computed_once(work: Work) -> None:
    clock = Clock()
    subject = Authenticator({"admin": hashed("secret")}, clock=clock)
    for _ in range(200):
        assert subject.check(basic("admin", "secret")) == b"admin"
    assert subject.check(basic("admin", "secret", "BASIC ")) == b"admin"
    assert (work.calls, work.comparisons) == (1, 2)
    clock.now = REMEMBERED_FOR + 1
    assert subject.check(basic("admin", "secret")) == b"admin"
    assert work.calls == 2


def test_wrong_ones_are_not_remembered(work: Work) -> None:
    subject = Authenticator({"admin": hashed("secret")})
    for number in range(20):
        assert subject.check(basic("admin", f"wrong-{number % 10}")) is None
    assert work.calls == 20
    assert not subject._known
    assert not subject.threads.flights
    assert not subject.threads.waiting


def test_what_is_remembered_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(credentials, "REMEMBERED", 10)
    subject = Authenticator({f"user{number}": "x" for number in range(30)})
    for number in range(30):
        assert subject.check(basic(f"user{number}", "x"))
    assert len(subject._known) == 10
    assert subject.check(basic("user0", "x")) == b"user0"


def test_many_at_once_are_checked_once(work: Work) -> None:
    subject = Authenticator({"admin": hashed("secret")})
    work.gate.clear()
    jobs = [gevent.spawn(subject.check, basic("admin", "secret")) for _ in range(50)]
    jobs += [gevent.spawn(subject.check, basic("admin", "wrong")) for _ in range(50)]
    settle(lambda: all(forwarded.started for forwarded in jobs) and len(subject.threads.flights) == 2)
    gevent.idle()
    work.gate.set()
    gevent.joinall(jobs, raise_error=True)
    assert [forwarded.value for forwarded in jobs] == [b"admin"] * 50 + [None] * 50
    assert work.calls == 2
    assert not subject.threads.flights


def test_a_check_survives_the_one_who_asked_first(work: Work) -> None:
    subject = Authenticator({"admin": hashed("secret")})
    work.gate.clear()
    first, second = (gevent.spawn(subject.check, basic("admin", "secret")) for _ in range(2))
    settle(lambda: bool(subject.threads.flights))
    first.kill()
    work.gate.set()
    assert second.get() == b"admin"
    assert work.calls == 1


def test_a_flood_takes_few_threads_and_bounded_places(work: Work) -> None:
    subject = Authenticator({"admin": hashed("secret"), "plain": "x", "known": hashed("y"), "second": hashed("z")})
    assert subject.check(basic("known", "y")) == b"known"
    work.most = 0
    work.gate.clear()
    flood = [gevent.spawn(subject.check, basic("admin", f"wrong-{number}")) for number in range(500)]
    settle(lambda: sum(forwarded.ready() for forwarded in flood) == 500 - credentials.WAITING_FOR_LOGIN)
    assert len(subject.threads.flights) == credentials.WAITING_FOR_LOGIN
    assert subject.check(basic("known", "y")) == b"known"
    assert subject.check(basic("plain", "x")) == b"plain"
    other = gevent.spawn(subject.check, basic("second", "z"))
    settle(lambda: len(subject.threads.flights) == credentials.WAITING_FOR_LOGIN + 1)
    flood += [gevent.spawn(subject.check, basic(f"login-{number}", "wrong")) for number in range(500)]
    settle(lambda: sum(forwarded.ready() for forwarded in flood) == 1000 - (credentials.WAITING - 1))
    assert len(subject.threads.flights) == credentials.WAITING
    work.gate.set()
    assert other.get() == b"second"
    gevent.joinall(flood, raise_error=True)
    assert {forwarded.value for forwarded in flood} == {None}
    assert work.most <= credentials.THREADS
    assert not subject.threads.flights
    assert not subject.threads.waiting
    assert subject.check(basic("admin", "secret")) == b"admin"


def test_routes_with_logins_of_their_own_share_their_threads(work: Work) -> None:
    made = Authenticators()
    users = [{"admin": SecretStr(hashed(f"secret-{number}"))} for number in range(4)]
    subjects = [made.of(one) for one in users]
    assert made.of(dict(users[0])) is subjects[0]
    assert len({id(subject) for subject in subjects}) == 4
    work.gate.clear()
    flood = [gevent.spawn(subject.check, basic("admin", f"wrong-{n}")) for n in range(40) for subject in subjects]
    flood += [gevent.spawn(subject.check, basic(f"a-{n}", "wrong")) for n in range(40) for subject in subjects]
    threads = subjects[0].threads
    settle(lambda: len(threads.flights) == credentials.WAITING)
    settle(lambda: sum(job.ready() for job in flood) == len(flood) - credentials.WAITING)
    assert threads.waiting[b"admin"] == credentials.WAITING_FOR_LOGIN
    work.gate.set()
    gevent.joinall(flood, raise_error=True)
    assert work.most <= credentials.THREADS
    right = [subject.check(basic("admin", f"secret-{number}")) for number, subject in enumerate(subjects)]
    assert right == [b"admin"] * 4
    assert subjects[0].check(basic("admin", "secret-1")) is None
    assert not threads.flights and not threads.waiting


def test_the_loop_turns_while_a_hash_is_computed(work: Work) -> None:
    subject = Authenticator({"admin": hashed("secret")})
    work.gate.clear()
    forwarded = gevent.spawn(subject.check, basic("admin", "secret"))
    turned = Event()
    gevent.spawn(turned.set)
    assert turned.wait(10)
    assert not forwarded.ready()
    work.gate.set()
    assert forwarded.get() == b"admin"


def test_nothing_shows_a_password(work: Work) -> None:
    plain, secret = "plain" * 2, "hash" * 2  # put together here: stacks show the lines of this test
    subject = Authenticator({"admin": plain, "other": hashed(secret)})
    work.gate.clear()
    header = basic("other", secret)
    forwarded = gevent.spawn(lambda: subject.check(header))
    settle(lambda: bool(subject.threads.flights))
    shown = repr(subject) + "".join(gevent.util.format_run_info())
    shown += "".join(repr(flight) for flight in subject.threads.flights.values())
    assert "_PasswordCheck" in shown
    for hidden in (plain, secret, "$2b$", header.decode()[6:]):
        assert hidden not in shown
    work.gate.set()
    assert forwarded.get() == b"other"
