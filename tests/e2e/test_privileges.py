"""Root binds, then nobody is root any more: master, workers and what they leave behind."""

from __future__ import annotations

import os
import signal
import stat
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from l7.config.codings import CODINGS
from tests.harness.accounts import NOBODY, free_privileged_port, privileged_ports, root_only
from tests.harness.client import TIMEOUT, get
from tests.harness.l7process import ROOT, L7Process
from tests.harness.origin import Origin, Reply, routes

ALONE = "privileged-opener: off\n"
"""What is in a configuration where nobody stays root."""


def identity(pid: int) -> dict[str, list[int]]:
    """Real, effective, saved and file system ids, and the groups."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    fields = dict(line.split(":", 1) for line in lines)
    return {name: [int(word) for word in fields[name].split()] for name in ("Uid", "Gid", "Groups")}


def run_to_the_end(*words: str, before: str = "") -> subprocess.CompletedProcess[str]:
    """Run the command line in a process that first executes ``before``."""
    # Everything is imported before: whom the process becomes may not be able to read the interpreter.
    imports = "import importlib.metadata, sys, os, l7.commands.dispatch, l7.master.build\n"
    imports += "from l7.cli import command_line, main"
    script = f"{imports}\n{before}\nsys.exit(main(command_line({list(words)!r})))"
    return subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, timeout=TIMEOUT, cwd=ROOT, check=False
    )


def l7_reload(control: Path) -> subprocess.CompletedProcess[str]:
    """`l7 reload`, to its end."""
    words = [sys.executable, "-m", "l7", "reload", "--control", str(control)]
    return subprocess.run(words, capture_output=True, text=True, timeout=TIMEOUT, cwd=ROOT, check=False)


@root_only
@privileged_ports
def test_everybody_is_nobody_after_a_privileged_port_is_bound(public):
    host, port = free_privileged_port()
    with Origin(routes) as app:
        config = f"{ALONE}port: {port}\nbind: ['{host}']\nbackends: {{'*': {{servers: ['{app.address}']}}}}\n"
        with L7Process(config, inherit=False, run_as=None, directory=public, workers=2) as proxy:
            assert get((host, port)).status == 200
            for pid in [proxy.pid, *proxy.workers()]:
                ids = identity(pid)
                assert ids["Uid"] == [NOBODY.pw_uid] * 4
                assert ids["Gid"] == [NOBODY.pw_gid] * 4
                assert ids["Groups"] == [NOBODY.pw_gid]
            proxy.hup()
            proxy.wait_for_event("reload.done", generation=2)
            proxy.write_config(config.replace(f"port: {port}", f"port: {port - 1}"))
            proxy.hup()
            proxy.wait_for_event(rf"port: {port} -> {port - 1}.*restart")
            proxy.wait_for_event("reload.refused", generation=2)
            assert get((host, port)).status == 200


@root_only
def test_who_cannot_read_the_installation_compresses_and_reads_pages_all_the_same(public):
    """What only a reload asks for was imported before."""
    with Origin(lambda request: Reply(body=b"text " * 1000, headers=[(b"Content-Type", b"text/plain")])) as app:
        config = f"backends: {{'*': {{servers: ['{app.address}']}}}}\n"
        with L7Process(config, run_as=None, directory=public) as proxy:
            for generation, coding in enumerate(CODINGS, 2):
                proxy.write_config(f"compress: [{coding}]\n{config}")
                proxy.hup()
                proxy.wait_for_event("reload.done", generation=generation)
                answer = get(proxy.address, headers=[("Accept-Encoding", coding)])
                assert (answer.status, answer.header(b"content-encoding")) == (200, coding.encode())
            (public / "404.html").write_bytes(b"\xef\xbb\xbfNo such place.")
            refused = f"{{'x.test': {{servers: ['{app.address}']}}}}\nerror-pages: {{404: {public}/404.html}}"
            proxy.write_config(f"backends: {refused}\n")
            proxy.hup()
            proxy.wait_for_event("reload.done", generation=generation + 1)
            assert get(proxy.address).body == b"No such place."


@root_only
def test_run_as_takes_a_group_and_numbers(public):
    with L7Process("backends: {a: {servers: []}}", run_as="65534:12345", directory=public) as proxy:
        for pid in [proxy.pid, *proxy.workers()]:
            assert identity(pid)["Uid"] == [65534] * 4
            assert identity(pid)["Gid"] == [12345] * 4


@root_only
def test_a_change_of_run_as_is_refused_by_name(public):
    config = "backends: {a: {servers: []}}\n"
    with L7Process(config, run_as=None, directory=public) as proxy:
        proxy.write_config(f"{config}run-as: daemon\n")
        proxy.hup()
        proxy.wait_for_event("run-as: null -> daemon.*restart")
        proxy.wait_for_event("reload.refused", generation=1)


@root_only
@pytest.mark.parametrize("as_images_have_it", ["/dev/stdout", "/dev/stderr", "/proc/self/fd/1", "/dev/fd/1"])
def test_a_log_that_is_a_link_to_a_standard_descriptor(public, as_images_have_it):
    # nginx's own image has such links; its master opens them as root, before its workers become another account.
    log = public / "access.log"
    log.symlink_to(as_images_have_it)
    with Origin(routes) as app:
        config = f"backends: {{'*': {{servers: ['{app.address}']}}}}\naccess-log: {log}\n"
        with L7Process(config, run_as=None, directory=public) as proxy:
            wait = proxy.wait_for_event if as_images_have_it == "/dev/stderr" else proxy.wait_for_output
            assert get(proxy.address, "/first").status == 200
            wait("GET /first ")
            proxy.hup()
            proxy.wait_for_event("reload: nothing changed")
            proxy.wait_for_event("reload.done")
            assert get(proxy.address, "/second").status == 200
            wait("GET /second ")
            assert os.readlink(log) == as_images_have_it


@root_only
def test_a_log_that_is_a_link_to_a_standard_descriptor_in_roots_own_directory(public):
    (public / "own").mkdir(mode=0o700)
    (public / "own" / "access.log").symlink_to("/dev/stdout")
    with Origin(routes) as app:
        config = (
            f"backends: {{'*': {{servers: ['{app.address}']}}}}\naccess-log: {public}/own/access.log\ncanary-time: 0s\n"
        )
        with L7Process(config, run_as=None, directory=public) as proxy:
            assert get(proxy.address, "/first").status == 200
            proxy.wait_for_output("GET /first ")
            proxy.hup()
            proxy.wait_for_event("reload.done")
            assert get(proxy.address, "/second").status == 200
            proxy.wait_for_output("GET /second ")
    (public / "own" / "access.log").unlink()
    (public / "own").rmdir()


@root_only
def test_a_log_behind_a_link_is_opened_by_whom_it_became(public):
    target, link = public / "target.log", public / "access.log"
    target.touch()
    target.chmod(0o600)
    link.symlink_to(target)
    ended = run_to_the_end("--port", "0", "--access-log", str(link), "a=127.0.0.1:9")
    assert (ended.returncode, ended.stdout) == (1, "")
    assert "access.log: permission denied" in ended.stderr
    assert target.stat().st_uid == 0
    os.chown(target, NOBODY.pw_uid, -1)
    with L7Process(f"backends: {{a: {{servers: []}}}}\naccess-log: {link}\n", run_as=None, directory=public) as proxy:
        get(proxy.address, host="a")
        proxy.wait_for(lambda: target.read_text(), "the first line")


@root_only
def test_a_log_that_logrotate_makes_for_another_account(public):
    # nginx's master is root and gives the new file to its workers; who is nobody by then can only say so.
    log, renamed, control = public / "access.log", public / "access.log.1", public / "l7.control"
    config = f"{ALONE}backends: {{a: {{servers: []}}}}\naccess-log: {log}\ncontrol: {control}\ncanary-time: 0s\n"
    said = rf"{log} cannot be opened anew by nobody \(permission denied\): lines go on into"

    def request(path: str) -> None:
        assert get(proxy.address, path, host="a").status == 503

    with L7Process(config, run_as=None, directory=public) as proxy:
        request("/first")
        proxy.wait_for(lambda: "/first" in log.read_text(), "the first line")
        log.rename(renamed)
        log.touch(mode=0o640)  # `create 640 root adm`
        done = l7_reload(control)
        assert done.returncode == 0
        assert "nothing changed" not in done.stdout
        assert f"warning: access-log: {log} cannot be opened anew by nobody" in done.stderr
        proxy.wait_for_event(rf"warning .*{said} {renamed}; let logrotate `create 640 nobody` or `copytruncate`")
        assert not any("nothing changed" in line for line in proxy.events)
        request("/second")
        proxy.wait_for(lambda: "/second" in renamed.read_text(), "a line where it was said to be")
        renamed.unlink()  # compressed
        for _ in range(2):
            before = len(proxy.events)
            proxy.hup()
            proxy.wait_for_event(f"{said} a file that was removed, where nobody can read them", start=before)
            proxy.wait_for_event("reload.done", start=before)
            request("/lost")
        before = len(proxy.events)
        os.chown(log, NOBODY.pw_uid, -1)
        proxy.wait_for_event("log.reopened", start=before, log=log)
        request("/third")
        proxy.wait_for(lambda: "/third" in log.read_text(), "a line in the new file")


@root_only
def test_a_log_that_cannot_be_made_again_is_warned_of(public):
    log = public / "access.log"
    config = f"{ALONE}backends: {{a: {{servers: []}}}}\naccess-log: {log}\npid-file: {public}/l7.pid\ncanary-time: 0s\n"
    with L7Process(config, run_as=None, directory=public) as proxy:
        log.rename(public / "access.log.1")
        proxy.hup()
        proxy.wait_for_event(f"warning .*cannot be opened anew by nobody .*: lines go on into {log}.1;")
        proxy.wait_for_event("reload.done")
        (public / "access.log.1").unlink()
        # A worker that is started now, and the next l7, have nothing but what is held.
        os.kill(proxy.workers()[0], signal.SIGKILL)
        proxy.wait_for_event("worker.exited", reason="killed by SIGKILL")
        proxy.wait_for(lambda: get(proxy.address, host="a").status == 503, "another worker")


@root_only
def test_log_and_pid_file_and_socket_belong_to_whom_it_became(public):
    log, pid_file, path = public / "access.log", public / "l7.pid", public / "l7.sock"
    with Origin(routes) as app:
        config = (
            f"backends: {{'*': {{servers: ['{app.address}']}}}}\n"
            f"access-log: {log}\npid-file: {pid_file}\nbind: ['unix:{path}']\n"
        )
        with L7Process(config, inherit=False, run_as=None, directory=public) as proxy:
            assert get(str(path)).status == 200
            proxy.wait_for(lambda: log.read_text(), "the first line")
            assert log.stat().st_uid == NOBODY.pw_uid
            assert pid_file.read_text() == f"{proxy.pid}\n"
            assert path.stat().st_uid == NOBODY.pw_uid
            assert stat.S_IMODE(path.stat().st_mode) == 0o666
    # The directory is root's: the file cannot be removed by nobody, but it names nobody any more.
    assert not pid_file.exists() or pid_file.read_text() == ""


@root_only
def test_the_pid_file_and_the_socket_are_removed_where_that_is_possible(tmp_path):
    pid_file, path = tmp_path / "l7.pid", tmp_path / "l7.sock"
    config = f"backends: {{a: {{servers: []}}}}\npid-file: {pid_file}\nbind: ['unix:{path}']\n"
    with L7Process(config, inherit=False, directory=tmp_path) as proxy:
        assert pid_file.read_text() == f"{proxy.pid}\n"
        again = run_to_the_end("--pid-file", str(pid_file), "--port", "0", "--run-as", "root", "a=127.0.0.1:9")
        assert again.returncode == 1
        assert f"already running as process {proxy.pid}" in again.stderr
        assert pid_file.read_text() == f"{proxy.pid}\n"
        other = run_to_the_end("--bind", f"unix:{path}", "--run-as", "root", "a=127.0.0.1:9", before=_NO_RETRIES)
        assert other.returncode == 1
        assert str(path) in other.stderr
    assert not pid_file.exists()
    assert not path.exists()


_NO_RETRIES = "import l7.master.resources.listeners; l7.master.resources.listeners.TRIES = 2"


def test_stale_files_of_a_killed_master_are_replaced(tmp_path):
    pid_file, path = tmp_path / "l7.pid", tmp_path / "l7.sock"
    config = f"backends: {{a: {{servers: []}}}}\npid-file: {pid_file}\nbind: ['unix:{path}']\n"
    first = L7Process(config, inherit=False, directory=tmp_path)
    first.signal(signal.SIGKILL)
    first.wait()
    first.assert_nothing_left()
    assert pid_file.read_text() == f"{first.pid}\n"
    assert path.exists()
    with L7Process(config, inherit=False, directory=tmp_path) as second:
        assert pid_file.read_text() == f"{second.pid}\n"
        assert get(str(path), host="a").status == 503


@root_only
@pytest.mark.parametrize(
    ("run_as", "words"), [("no-such-user", "no user is called"), ("nobody:no-such-group", "no group is called")]
)
def test_who_does_not_exist_is_an_error_in_words(run_as, words):
    ended = run_to_the_end("--port", "0", "--run-as", run_as, "a=127.0.0.1:9")
    assert ended.returncode == 1
    assert words in ended.stderr
    assert "Traceback" not in ended.stderr


@root_only
@privileged_ports
def test_a_privileged_port_without_root_says_what_to_do():
    host, port = free_privileged_port()
    ended = run_to_the_end(
        "--port",
        str(port),
        "--bind",
        host,
        "a=127.0.0.1:9",
        before="os.setgroups([]); os.setgid(65534); os.setuid(65534)",
    )
    assert ended.returncode == 1
    assert f"port {port}: permission denied; run as root or give CAP_NET_BIND_SERVICE" in ended.stderr
    assert "Traceback" not in ended.stderr


@root_only
def test_only_root_may_become_somebody_else():
    ended = run_to_the_end(
        "--port", "0", "--run-as", "daemon", "a=127.0.0.1:9", before="os.setgid(65534); os.setuid(65534)"
    )
    assert ended.returncode == 1
    assert "only root may become daemon" in ended.stderr


def test_it_leaves_nothing_of_the_master_to_its_workers(l7, origin):
    proxy = l7(f"backends: {{'*': {{servers: ['{origin().address}']}}}}", workers=3)
    proxy.hup()
    proxy.wait_for_event("reload.done")
    proxy.wait_for(lambda: len(proxy.workers()) == 3, "the old workers' end")
    for pid in proxy.workers():
        links = [os.readlink(f"/proc/{pid}/fd/{number}") for number in os.listdir(f"/proc/{pid}/fd")]
        sockets = [link for link in links if link.startswith("socket:")]
        assert len(sockets) == 4, f"a listener, a channel and the pair that spans go through, not {links}"
        assert psutil.Process(pid).ppid() == proxy.pid
