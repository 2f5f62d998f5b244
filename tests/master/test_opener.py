"""Whom the privileged opener answers, and what it opens: asked directly, as whoever has taken over the master could."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from l7.master.resources.privileged_opener import LARGE
from tests.harness.accounts import root_only
from tests.harness.l7process import ROOT

pytestmark = root_only

BEGIN = """
import os, socket, sys
from l7.config.reading.loading import load
from l7.errors import StartError
from l7.master.opener.process import StartSettings, run
from l7.master.resources.privileged_opener import OpenerRefused, PrivilegedOpener
from l7.master.resources.privileges import identify

def refusal(ask, *words, **options):
    try:
        ask(*words, **options)
    except OpenerRefused as refused:
        return refused.strerror
    return "it is opened"

def children():
    return [int(pid) for pid in open(f"/proc/self/task/{os.getpid()}/children").read().split()]

opener = PrivilegedOpener(run, StartSettings.of)
"""
START = """
opener.start(load(sys.argv[1:], {}), identify("nobody"))
"""
END = """
opener.stop()
try:
    os.waitpid(-1, 0)
except ChildProcessError:
    print("whole")
"""


def run(script: str, *words: str, start: str = START) -> None:
    command = [sys.executable, "-c", BEGIN + start + script + END, *words]
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, timeout=60, check=False)
    assert done.stdout == "whole\n", done.stderr


@pytest.fixture
def config(tmp_path: Path) -> Path:
    path = tmp_path / "l7.yml"
    named = f"port: 443\nbind: 127.0.0.1\nadmin: 127.0.0.2:444\naccess-log: {tmp_path}/log\n"
    path.write_text(f"{named}backends: {{a: {{servers: []}}}}\n")
    return path


@pytest.mark.parametrize(("hosts", "kept"), [(LARGE - 1, False), (LARGE, True)])
def test_what_was_forked_early_serves_where_the_configuration_is_large(hosts, kept):
    run(
        f"""
opener.fork_early()
(early,) = children()
opener.start(load([f"h{{number}}=127.0.0.1:1" for number in range({hosts})], {{}}), identify("nobody"))
assert children() == [opener.pid]
assert (opener.pid == early) is {kept}
assert "is not the access log" in refusal(opener.open_log, "/other")
opener.dismiss()
assert children() == [opener.pid]
""",
        start="",
    )


def test_what_was_forked_early_ends_where_it_is_not_wanted():
    run(
        """
opener.fork_early()
assert len(children()) == 1 and opener.pid is None
opener.dismiss()
assert not children()
""",
        start="",
    )


def test_nothing_outside_of_what_is_named_is_opened(config):
    run(
        """
folder = os.path.dirname(sys.argv[2])
outside = f"{folder}/other"
for path in (outside, "/etc/shadow", sys.argv[2], f"{folder}/log/../other"):
    assert f"{os.path.abspath(path)} is not the access log of {sys.argv[2]}" == refusal(opener.open_log, path), path
assert not os.path.exists(outside)
for host, port in (("127.0.0.1", 442), ("127.0.0.1", 444), ("127.0.0.2", 443), ("*", 443), ("0.0.0.0", 443)):
    words = refusal(opener.bind, host, port, dual=True)
    assert f"{host} port {port} is no address of" in words, words
for host, port in (("127.0.0.1", 443), ("127.0.0.2", 444)):
    try:
        opener.bind(host, port, dual=True).close()
    except OSError as error:
        assert error.errno == 98, error
opener.try_log(f"{folder}/log")
assert not os.path.exists(f"{folder}/log")
os.close(opener.open_log(f"{folder}/log"))
assert os.stat(f"{folder}/log").st_uid == identify("nobody").uid
# What the file names as it is now counts, and what is no valid file names nothing.
open(sys.argv[2], "w").write(f"access-log: {outside}")
os.close(opener.open_log(outside))
assert "is not the access log" in refusal(opener.open_log, f"{folder}/log")
open(sys.argv[2], "w").write(f"access-log: {outside}\\nport: none")
assert "is not valid" in refusal(opener.open_log, outside)
assert "port: none" not in refusal(opener.open_log, outside)
""",
        "--config",
        str(config),
    )


def test_flags_count_whatever_another_account_writes_into_the_file(config, tmp_path):
    os.chown(config, 1, 1)
    run(
        """
path = sys.argv[2]
assert "belongs to account 1" in refusal(opener.read_as_root)
assert "belongs to account 1" in refusal(opener.bind, "127.0.0.1", 443, dual=True)
os.close(opener.open_log(sys.argv[4]))
""",
        "--config",
        str(config),
        "--access-log",
        str(tmp_path / "given"),
    )


def test_the_master_and_the_next_one_are_answered_and_nobody_else(config):
    run(
        """
def asked_by_a_child(ask):
    pid = os.fork()
    if pid == 0:
        os._exit("is not the master" in refusal(ask))
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0

def of_a_child_of_a_child():
    answered = asked_by_a_child(opener.read_as_root)
    if not answered:
        raise OpenerRefused(1, "is not the master")

assert not asked_by_a_child(opener.read_as_root)
assert opener.expect_successor()[0] == opener.pid
assert not asked_by_a_child(of_a_child_of_a_child)
assert asked_by_a_child(opener.read_as_root)
assert not asked_by_a_child(opener.read_as_root)
assert opener.read_as_root().startswith(b"port: 443")
""",
        "--config",
        str(config),
    )


def test_who_asks_for_no_such_thing_is_told(config):
    run(
        """
from l7.ipc.opening import Opened, send
asked = socket.socket(fileno=os.dup(opener.expect_successor()[1]))
ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
send(asked, Opened(), theirs.fileno())
assert b"Opened is no request" in ours.recv(1000)
for data in (b"x", b"{}", b'{"kind": "open-log", "path": 1}'):
    socket.send_fds(asked, [data], [theirs.fileno()])
    assert b"not-opened" in ours.recv(1000)
asked.send(b"x")
asked.close()
assert opener.read_as_root().startswith(b"port: 443")
assert opener.status() == {"pid": opener.pid, "state": "running"}
""",
        "--config",
        str(config),
    )


def test_the_storage_of_acme_is_read_and_written_and_nothing_beside_it(config):
    config.write_text(
        f"tls: {{acme: {{email: me@example.com, storage: {config.parent}/acme, directory: 'https://ca.example/dir'}}}}\n"
        "backends: {a: {servers: [b]}}\n"
    )
    run(
        """
from l7.acme.storage import folder_of
from l7.config.sections.tls import Acme
from l7.ipc.opening import OpenStorageLock, OpenStored, WriteStored

folder = os.path.dirname(sys.argv[2])
def at(storage, directory="https://ca.example/dir"):
    return folder_of(Acme.model_validate({"email": "a@b", "storage": storage, "directory": directory}))

own = at(f"{folder}/acme")
opener._ask(WriteStored(f"{own}/a.test.pem", "secret"))
assert os.stat(f"{own}/a.test.pem").st_mode & 0o777 == 0o600
descriptor = opener._open(OpenStored(f"{own}/a.test.pem"))
assert os.read(descriptor, 99) == b"secret"
os.close(descriptor)
os.close(opener._open(OpenStorageLock(f"{own}/_lock")))
others = ("/etc/passwd", f"{own}/../a.pem", f"{own}/a/b.pem", f"{own}/a.key", f"{folder}/a.pem", sys.argv[2],
          at(f"{folder}/other") + "/a.pem", at(f"{folder}/acme", "https://ca.example/else") + "/a.pem")
for path in others:
    for message in (OpenStored(path), WriteStored(path, "x"), OpenStorageLock(path)):
        words = refusal(opener._ask, message)
        assert f"{path} is no file of `tls.acme` of {sys.argv[2]}" == words, words
# What another account could change is not written to, and links of its own are not followed.
os.chown(own, 1, 1)
for message in (OpenStored(f"{own}/a.test.pem"), WriteStored(f"{own}/a.test.pem", "x")):
    assert "belongs to account 1" in refusal(opener._ask, message)
os.chown(own, 0, 0)
os.rename(own, f"{own}.away")
os.symlink(f"{own}.away", own)
os.lchown(own, 1, 1)
assert "belongs to account 1" in refusal(opener._ask, WriteStored(f"{own}/a.test.pem", "x"))
assert open(f"{own}/a.test.pem").read() == "secret"
""",
        "--config",
        str(config),
    )
