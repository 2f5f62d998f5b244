"""Certificates by ACME, of a real authority (pebble) and of one that does what it should not."""

from __future__ import annotations

import fcntl
import json
import os
import re
import shutil
import ssl
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest
import trustme

from l7.acme.storage import folder_of
from l7.config.sections.tls import Acme
from tests.harness.accounts import NOBODY, root_only
from tests.harness.authority import Answer, FakeAuthority
from tests.harness.client import TIMEOUT, get
from tests.harness.l7process import PROGRAM, ROOT, STATUS, WORKER, L7Process
from tests.harness.lifecycle import reload, stop_successor, upgrade
from tests.harness.pebble import Pebble, needs_pebble
from tests.harness.tls import TlsClient, chain_of, issue

CONFIG = """
listeners:
  - {{address: '{challenges}', redirect-to-https: true}}
  - {{address: '127.0.0.1:0', tls: true}}
tls: {{acme: {{email: me@example.com, directory: '{directory}', ca: {ca}, storage: {storage}{more}}}}}
canary-time: 0s
backends: {{{backends}}}
"""
WITHOUT_ACME = (sys.executable, "-c", "import sys; sys.modules['acme'] = None; from l7.__main__ import main; main()")
ORDERS, ACCOUNTS = "POST /order-plz", "POST /sign-me-up"
"""What pebble logs of orders and of new accounts."""
PATIENCE = 2 * TIMEOUT
"""An order takes some seconds on a busy machine."""


@pytest.fixture
def acme(l7, origin, tmp_path) -> Callable[..., L7Process]:
    """Starts l7 with ACME: ``acme(authority, "a.test")``."""
    server = origin()

    def start(authority: Pebble | FakeAuthority, *hosts: str, more: str = "", extra: str = "", **options) -> L7Process:
        options = {"argv": ["--control", STATUS], "inherit": False, "leaks": False, **options}
        return l7(config_of(authority, server.address, *hosts, storage=tmp_path / "acme", more=more) + extra, **options)

    start.server = server
    return start


def config_of(authority: Any, server: str, *hosts: str, storage: Path, more: str = "") -> str:
    challenges = f"127.0.0.1:{authority.http_port}" if isinstance(authority, Pebble) else "127.0.0.2:0"
    return CONFIG.format(
        challenges=challenges, directory=authority.directory, ca=authority.ca, more=more,
        storage=storage, backends=", ".join(f"'{host}': {{servers: ['{server}']}}" for host in hosts),
    )  # fmt: skip


def shown(proxy: L7Process, name: str, context: ssl.SSLContext | None = None) -> TlsClient:
    """A client of the listener with TLS; without a context it believes whoever answers."""
    if context is None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return TlsClient(("127.0.0.1", proxy.ports()[1]), name=name, context=context)


def stored(tmp_path: Path, name: str) -> Path:
    (found,) = (tmp_path / "acme").glob(f"*/{name}")
    return found


@pytest.fixture
def pebble() -> Iterator[Pebble]:
    with Pebble("a.test", "b.test") as authority:
        yield authority


@needs_pebble
def test_a_certificate_is_obtained_and_shown_without_a_reload(acme, pebble, tmp_path):
    proxy = acme(
        pebble,
        "a.test",
        "*",
        extra="users: {me: secret}\n",
        workers=2,
        argv=["--control", STATUS, "--admin", f"unix:{tmp_path}/admin.sock"],
    )
    proxy.wait_for_event("acme.self-signed", host="a.test")
    proxy.wait_for_event("acme.obtained", PATIENCE, host="a.test")
    with shown(proxy, "a.test", pebble.trusting()) as client:
        assert client.names == {"a.test"}
        client.send(b"GET / HTTP/1.1\r\nHost: a.test\r\n\r\n")
        assert client.read_response().status == 401, "challenges are answered without a login, nothing else is"
    figures = get(f"{tmp_path}/admin.sock", "/metrics").body.decode()
    (ends,) = re.findall(r'^l7_tls_certificate_not_after_seconds\{names="a\.test"\} (\S+)$', figures, re.MULTILINE)
    assert float(ends) > time.time() + 30 * 86400, "the self-signed one lives for a week"
    (entry,) = proxy.status()["certificates"]
    assert entry["names"] == ["a.test"]
    assert "Pebble" in entry["issuer"]
    assert all("generation 1" in title for title in proxy.titles() if title.startswith(WORKER))
    for name in ("a.test.pem", "a.test.json", "_account.json"):
        assert stored(tmp_path, name).stat().st_mode & 0o777 == 0o600, name
    pem = stored(tmp_path, "a.test.pem").read_text()
    assert pem.count("BEGIN CERTIFICATE") == 2
    assert "BEGIN PRIVATE KEY" in pem


@needs_pebble
def test_workers_that_come_later_show_it_too(acme, pebble):
    proxy = acme(pebble, "a.test")
    proxy.wait_for_event("acme.obtained", PATIENCE, host="a.test")
    (worker,) = proxy.workers()
    os.kill(worker, 9)
    proxy.wait_for(lambda: proxy.workers() and proxy.workers() != [worker], "another worker")
    with shown(proxy, "a.test", pebble.trusting()):
        pass
    reload(proxy)
    with shown(proxy, "a.test", pebble.trusting()):
        pass
    assert pebble.count(ORDERS) == 1


@needs_pebble
def test_it_is_renewed_under_load_without_one_failed_handshake(acme, origin):
    with Pebble("a.test", lives=16) as pebble:
        proxy = acme(pebble, "a.test", workers=2)
        proxy.wait_for_event("acme.obtained", PATIENCE, host="a.test")
        failures: list[BaseException] = []
        counts = [0, 0]
        over = threading.Event()

        def load(number: int) -> None:
            while not over.is_set() and not failures:
                try:
                    with shown(proxy, "a.test") as client:
                        client.send(b"GET / HTTP/1.1\r\nHost: a.test\r\nConnection: close\r\n\r\n")
                        assert client.read_response().status == 200
                    counts[number] += 1
                except BaseException as failure:  # it is the test's own: raised again below
                    failures.append(failure)

        threads = [threading.Thread(target=load, args=(number,)) for number in range(2)]
        for thread in threads:
            thread.start()
        try:
            with shown(proxy, "a.test", pebble.trusting()) as client:
                serials = {client.certificate["serialNumber"]}
            start = len(proxy.events)
            proxy.wait_for_event("acme.obtained", PATIENCE, start, host="a.test")
            with shown(proxy, "a.test", pebble.trusting()) as client:
                serials.add(client.certificate["serialNumber"])
        finally:
            over.set()
            for thread in threads:
                thread.join(TIMEOUT)
        if failures:
            raise failures[0]
        assert len(serials) == 2
        assert min(counts) > 10
        assert not any("acme.failed" in line for line in proxy.events)


@needs_pebble
def test_a_restart_uses_what_is_stored(acme, pebble):
    first = acme(pebble, "a.test")
    first.wait_for_event("acme.obtained", PATIENCE, host="a.test")
    first.stop()
    second = acme(pebble, "a.test", "b.test")
    with shown(second, "a.test", pebble.trusting()):
        pass
    second.wait_for_event("acme.obtained", PATIENCE, host="b.test")
    assert not any("acme.self-signed" in line and "host=a.test" in line for line in second.events)
    assert pebble.count(ORDERS) == 2, "one a host"
    assert pebble.count(ACCOUNTS) == 1, "the account is used again"


@needs_pebble
def test_an_authority_that_has_forgotten_the_account_gives_another_one(acme, pebble, tmp_path):
    first = acme(pebble, "a.test")
    first.wait_for_event("acme.obtained", PATIENCE, host="a.test")
    first.stop()
    before = stored(tmp_path, "_account.json").read_text()
    pebble.stop()
    pebble.start()
    second = acme(pebble, "a.test", "b.test")
    second.wait_for_event("acme.obtained", PATIENCE, host="b.test")
    assert stored(tmp_path, "_account.json").read_text() != before


@needs_pebble
def test_a_refused_host_is_tried_again_later_and_no_sooner_after_a_restart(acme, tmp_path):
    with Pebble("a.test", strangers=("bad.test",)) as pebble:
        first = acme(pebble, "bad.test", "a.test")
        event = first.wait_for_event(r"acme\.failed .*host=bad\.test failures=1 seconds=(\d+): (.*)", PATIENCE)
        assert 60 <= int(event[1]) <= 66
        assert "forbidden by policy" in event[2]
        first.wait_for_event("acme.obtained", PATIENCE, host="a.test")
        record = json.loads(stored(tmp_path, "bad.test.json").read_text())
        assert record["failures"] == 1
        assert record["not_before"] > time.time()
        first.stop()
        orders = pebble.count(ORDERS)
        second = acme(pebble, "bad.test", "a.test", "b.test")
        second.wait_for_event("acme.failed", PATIENCE, host="b.test")  # which no name server knows
        assert pebble.count(ORDERS) == orders + 1, "the refused host is left alone"
        with shown(second, "bad.test") as client:
            assert b"bad.test" in client.tls.getpeercert(binary_form=True), "a self-signed one is shown"


@needs_pebble
def test_an_unknown_token_goes_the_normal_way(acme, pebble):
    proxy = acme(pebble, "a.test")
    answer = get(("127.0.0.1", pebble.http_port), "/.well-known/acme-challenge/nobodys", host="a.test")
    assert answer.status == 200, "the server's"
    assert get(("127.0.0.1", pebble.http_port), "/other", host="a.test").status == 308
    proxy.wait_for_event("acme.obtained", PATIENCE, host="a.test")


@needs_pebble
def test_an_order_waits_while_another_l7_has_one_and_takes_what_that_has_got(acme, pebble, tmp_path):
    first = acme(pebble, "a.test")
    first.wait_for_event("acme.obtained", PATIENCE, host="a.test")
    first.stop()
    certificate, record = stored(tmp_path, "a.test.pem"), stored(tmp_path, "a.test.json")
    for path in (certificate, record):
        path.rename(tmp_path / path.name)
    with stored(tmp_path, "_lock").open("r+") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        second = acme(pebble, "a.test")
        second.wait_for_event("acme.self-signed", host="a.test")
        time_to_try = time.monotonic() + 2.5
        second.wait_for(lambda: time.monotonic() > time_to_try, "some tries to lock")
        assert pebble.count(ORDERS) == 1, "nothing is ordered while another one has the lock"
        for path in (record, certificate):
            shutil.copy(tmp_path / path.name, path)
    context = pebble.trusting()

    def is_shown() -> bool:
        try:
            shown(second, "a.test", context).close()
        except ssl.SSLError:
            return False
        return True

    second.wait_for(is_shown, "the certificate of the other one", PATIENCE)
    assert pebble.count(ORDERS) == 1


@needs_pebble
def test_two_l7_share_one_storage(acme, pebble, tmp_path, l7):
    first = acme(pebble, "a.test")
    beside = config_of(pebble, acme.server.address, "a.test", storage=tmp_path / "acme")
    beside = beside.replace(f"127.0.0.1:{pebble.http_port}", "127.0.0.2:0")
    first.wait_for_event("acme.obtained", PATIENCE, host="a.test")
    second = l7(beside, inherit=False, leaks=False)
    with shown(second, "a.test", pebble.trusting()):
        pass
    assert pebble.count(ORDERS) == 1


@needs_pebble
def test_an_order_that_was_cut_off_is_gone_on_with(acme, pebble, tmp_path):
    proxy = acme(pebble, "a.test")

    def is_about_to_be_issued() -> bool:
        return any('"order": "https' in path.read_text() for path in (tmp_path / "acme").glob("*/a.test.json"))

    proxy.wait_for(is_about_to_be_issued, "an order", PATIENCE)
    monitor = proxy.control()
    assert monitor is not None
    os.kill(monitor, 9)
    proxy.wait_for_event("acme.obtained", PATIENCE, host="a.test")
    assert pebble.count(ORDERS) == 1, "no second certificate was asked for"
    with shown(proxy, "a.test", pebble.trusting()):
        pass


@needs_pebble
def test_the_next_l7_of_an_upgrade_shows_what_is_stored(acme, pebble):
    proxy = acme(pebble, "a.test")
    proxy.wait_for_event("acme.obtained", PATIENCE, host="a.test")
    master = upgrade(proxy)
    try:
        with shown(proxy, "a.test", pebble.trusting()):
            pass
        assert pebble.count(ORDERS) == 1
    finally:
        stop_successor(proxy, master)


EAB = {"kid-1": "zWNDZM6eQGHWpSRTPal5eIUYFTu7EajVIoguysqZ9wG44nMEtx3MUAsUDkMTQ12W"}


@needs_pebble
def test_an_account_is_bound_to_one_at_the_authority_and_its_key_is_shown_nowhere(acme, tmp_path):
    with Pebble("a.test", accounts=EAB) as pebble:
        more = f", eab: {{key-id: kid-1, hmac: {EAB['kid-1']}}}"
        proxy = acme(pebble, "a.test", more=more, extra="log-level: debug\n")
        proxy.wait_for_event("acme.obtained", PATIENCE, host="a.test")
        proxy.usr1()
        proxy.wait_for_output("hmac: '\\*\\*\\*'")
        proxy.stop()
        account = json.loads(stored(tmp_path, "_account.json").read_text())["key"].split("\n")[1]
        said = "\n".join([*proxy.events, *proxy.output])
        assert EAB["kid-1"] not in said
        assert account not in said


@needs_pebble
def test_an_authority_that_wants_a_bound_account_is_told_of(acme):
    with Pebble("a.test", accounts=EAB) as pebble:
        proxy = acme(pebble, "a.test")
        proxy.wait_for_event(r"acme\.failed .*wants an account of its own: .*tls\.acme\.eab", PATIENCE)


@needs_pebble
@root_only
@pytest.mark.parametrize("mode", [0o755, 0o1777], ids=["root's directory", "one that everybody may write to"])
def test_keys_are_roots_where_there_is_an_opener(acme, pebble, public, mode):
    storage = public / "storage"
    storage.mkdir()
    storage.chmod(mode)
    config = config_of(pebble, acme.server.address, "a.test", storage=storage / "acme")
    path = public / "l7.yml"
    shutil.copy(pebble.ca, public / "issuers.pem")
    path.write_text(config.replace(pebble.ca, str(public / "issuers.pem")))
    try:
        with L7Process(argv=["--config", str(path)], inherit=False, run_as=None, directory=public) as proxy:
            proxy.wait_for_event("acme.obtained", PATIENCE, host="a.test")
            with shown(proxy, "a.test", pebble.trusting()):
                pass
            found = list(storage.rglob("*"))
            assert any(one.name == "a.test.pem" for one in found)
            for one in found:
                assert one.stat().st_uid == 0, one
                assert one.stat().st_mode & 0o077 == 0, one
            reload(proxy)
            with shown(proxy, "a.test", pebble.trusting()):
                pass
            assert pebble.count(ORDERS) == 1
    finally:
        shutil.rmtree(storage, ignore_errors=True)


@pytest.fixture
def fake() -> Iterator[FakeAuthority]:
    with FakeAuthority() as authority:
        yield authority


def test_a_limit_of_the_authority_holds_all_hosts_back_over_a_reload(acme, fake):
    problem = {"type": "urn:ietf:params:acme:error:rateLimited", "detail": "too many of them, retry after 2027"}
    fake.answers["/order"] = Answer(429, problem, {"Retry-After": "7200"})
    proxy = acme(fake, "a.test", "b.test")
    event = proxy.wait_for_event(r"acme\.failed .*failures=1 seconds=(\d+): .*too many of them, retry after 2027")
    assert 7200 <= int(event[1]) <= 7920
    start = len(proxy.events)
    reload(proxy)
    proxy.wait_for_event("acme.self-signed", start=start, host="b.test")
    time_to_try = time.monotonic() + 1.0
    proxy.wait_for(lambda: time.monotonic() > time_to_try, "time for another order")
    assert fake.asked.count("/order") == 1
    assert all(agent.startswith("l7/") for agent in fake.agents)


def leave_certificate(authority: FakeAuthority, tmp_path: Path) -> tuple[Path, bytes]:
    """Store one for a.test of which little is over, as another l7 has left it: the directory, and what is shown."""
    now = datetime.now(timezone.utc)
    leaf = issue("a.test", not_before=now - timedelta(days=1), not_after=now + timedelta(days=90))
    settings = {"email": "a@b", "directory": authority.directory, "storage": f"{tmp_path}/acme"}
    folder = Path(folder_of(Acme.model_validate(settings)))
    folder.mkdir(parents=True)
    (folder / "a.test.pem").write_bytes(chain_of(leaf) + leaf.private_key_pem.bytes())
    return folder, ssl.PEM_cert_to_DER_cert(chain_of(leaf).decode())


def test_what_was_obtained_is_shown_on_where_the_authority_is_another_one_now(acme, fake, tmp_path):
    _, certificate = leave_certificate(fake, tmp_path)
    proxy = acme(fake, "a.test")
    config = config_of(fake, acme.server.address, "a.test", storage=tmp_path / "acme")
    start = len(proxy.events)
    reload(proxy, config.replace(fake.directory, "https://127.0.0.1:1/dir"))
    proxy.wait_for_event(r"acme\.failed .*host=a\.test .*cannot be reached", start=start)
    with shown(proxy, "a.test") as client:
        assert client.tls.getpeercert(binary_form=True) == certificate
    assert not any("acme.self-signed" in line for line in proxy.events)


def test_the_renewal_information_of_the_authority_is_followed(acme, fake, tmp_path):
    folder, certificate = leave_certificate(fake, tmp_path)
    window = {"start": "2026-01-01T00:00:00Z", "end": "2026-01-02T00:00:00Z"}
    fake.answers["/renewal/"] = Answer(body={"suggestedWindow": window}, fields={"Retry-After": "7200"})
    fake.answers["/order"] = Answer(403, {"type": "urn:ietf:params:acme:error:unauthorized", "detail": "no"})
    proxy = acme(fake, "a.test")
    proxy.wait_for_event("acme.failed", host="a.test", failures=1)
    (asked,) = (path for path in fake.asked if path.startswith("/renewal/"))
    issuer, _, serial = asked.removeprefix("/renewal/").partition(".")
    assert issuer
    assert serial
    assert fake.asked.count("/order") == 2, "with what it replaces, and without where that is refused"
    record = json.loads((folder / "a.test.json").read_text())
    assert record["window"][0] <= record["renew_at"] <= record["window"][1]
    with shown(proxy, "a.test") as client:
        assert client.tls.getpeercert(binary_form=True) == certificate, "still"


HTML = "<html>It works!</html>"
NONSENSE = {
    "no JSON": Answer(body=HTML),
    "a list": Answer(body=[1]),
    "another object": Answer(body={"a": "b"}),
    "a text": Answer(body='"'),
    "numbers for URLs": Answer(body={"newNonce": 1, "newAccount": 2, "newOrder": 3}),
    "not found": Answer(404, HTML),
    "an error": Answer(500, HTML),
    "too much": Answer(body="x" * 2_000_000),
}


LATER = [
    ("/nonce", Answer(503, HTML)),
    ("/account", Answer(201, HTML)),
    ("/account", Answer(201, [1], {"Location": "x"})),
    ("/order", Answer(201, {"status": "pending"})),
    ("/order", Answer(201, {"status": "ready", "authorizations": [], "finalize": "https://127.0.0.1:1/"})),
    ("/order", Answer(201, {"status": 7, "authorizations": 8})),
    ("/order", Answer(409, HTML)),
]


def test_nonsense_is_told_of_and_does_no_harm(acme, fake, tmp_path):
    """In the directory, and later on. Each is that of an authority of its own, as nothing is tried again so soon."""
    proxy = acme(fake, "a.test")
    proxy.wait_for_event("acme.failed", host="a.test", failures=1)
    config = config_of(fake, acme.server.address, "a.test", storage=tmp_path / "acme")
    usual = dict(fake.answers)
    for number, (path, answer) in enumerate([*(("/dir", answer) for answer in NONSENSE.values()), *LATER]):
        fake.answers = {**usual, path: answer}
        start = len(proxy.events)
        reload(proxy, config.replace(fake.directory, f"{fake.directory}/{number}"))
        proxy.wait_for_event("acme.failed", start=start, host="a.test", failures=1)
        with shown(proxy, "a.test") as client:
            client.send(b"GET / HTTP/1.1\r\nHost: a.test\r\n\r\n")
            assert client.read_response().status == 200
    assert not any("bug" in line or "Traceback" in line for line in proxy.events)


def test_a_directory_that_cannot_be_reached_or_trusted_is_told_of(acme, fake):
    fake.directory = "https://127.0.0.1:1/dir"
    proxy = acme(fake, "a.test", "b.test")
    proxy.wait_for_event(r"acme\.failed .*host=a\.test .*cannot be reached: connection refused")
    proxy.wait_for_event(r"acme\.failed .*host=b\.test ")


def test_an_authority_whose_certificate_is_of_another_issuer_is_told_of(acme, fake, tmp_path):
    fake.ca = str(tmp_path / "others.pem")
    trustme.CA().cert_pem.write_to_path(fake.ca)
    acme(fake, "a.test").wait_for_event(r"acme\.failed .*not to be trusted: .*tls\.acme\.ca")


def command(*words: str, program: tuple[str, ...] = PROGRAM) -> subprocess.CompletedProcess[str]:
    environ = {name: value for name, value in os.environ.items() if not name.startswith("L7_C")}
    words = (*program, *words)
    return subprocess.run(words, capture_output=True, text=True, timeout=TIMEOUT, cwd=ROOT, env=environ, check=False)


@pytest.mark.parametrize("words", [(), ("check",)])
def test_without_its_package_it_is_refused_with_the_name_of_the_extra(words, tmp_path):
    storage = ["--tls-acme-storage", str(tmp_path), "-p", "0", "--bind", "127.0.0.1"]
    done = command(*words, "--acme", "me@example.com", *storage, "a.test=127.0.0.1:9", program=WITHOUT_ACME)
    assert "pip install 'l7[acme]'" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("config", "words"),
    [
        ("port: 80", "c.yml:2: port: with acme this is where challenges come"),
        ("listeners: ['127.0.0.1:0']", "challenges come to port 80, where l7 does not listen"),
    ],
)
def test_what_cannot_work_is_told_by_check(config, words, tmp_path):
    path = tmp_path / "c.yml"
    acme = f"tls: {{acme: {{email: me@example.com, storage: {tmp_path}}}}}"
    path.write_text(f"{acme}\n{config}\nbackends: {{a.test: {{servers: [b]}}}}\n")
    assert words in command("check", "-c", str(path)).stderr


def test_there_has_to_be_a_host():
    done = command("check", "--acme", "me@example.com", "*=127.0.0.1:9", "10.0.0.1=127.0.0.1:9")
    assert done.returncode == 2
    assert "there is no host that a certificate can be obtained for" in done.stderr


def test_a_storage_that_cannot_be_written_is_refused_at_the_start(tmp_path):
    (tmp_path / "file").write_text("x")
    done = command(
        "--acme", "me@example.com", "--tls-acme-storage", str(tmp_path / "file" / "acme"), "--access-log", "off",
        "-c", write(tmp_path, "listeners: [{address: '127.0.0.1:0', tls: true}]\nbackends: {a.test: {servers: [b]}}\n"),
        *(["--run-as", "root"] if os.geteuid() == 0 else []),
    )  # fmt: skip
    assert done.returncode == 1
    assert "tls.acme.storage: " in done.stderr
    assert "not a directory" in done.stderr


def test_a_storage_that_cannot_be_written_refuses_a_reload(acme, fake, tmp_path):
    proxy = acme(fake, "a.test")
    with shown(proxy, "a.test") as client:
        before = client.tls.getpeercert(binary_form=True)
    (tmp_path / "file").write_text("x")
    proxy.write_config(config_of(fake, acme.server.address, "a.test", storage=tmp_path / "file" / "acme"))
    proxy.hup()
    proxy.wait_for_event("tls.acme.storage: .* cannot write there: not a directory")
    proxy.wait_for_event("reload.refused")
    with shown(proxy, "a.test") as client:
        assert client.tls.getpeercert(binary_form=True) == before


@root_only
def test_keys_of_nobody_are_refused(tmp_path):
    text = "listeners: [{address: '127.0.0.1:0', tls: true}]\nbackends: {a.test: {servers: [b]}}\n"
    done = command(
        "--acme", "me@example.com", "--tls-acme-storage", str(tmp_path / "acme"), "--access-log", "off",
        "-c", write(tmp_path, text), "--run-as", NOBODY.pw_name, "--privileged-opener", "off",
    )  # fmt: skip
    assert done.returncode == 1
    assert "private keys would belong to nobody" in done.stderr
    assert not (tmp_path / "acme").exists()


def write(tmp_path: Path, text: str) -> str:
    path = tmp_path / "l7.yml"
    path.write_text(text)
    return str(path)
