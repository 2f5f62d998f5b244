"""What l7 needs at run time is removed while it runs: a reload makes it anew, or says that it cannot."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import l7 as l7_package
from tests.harness.accounts import root_only
from tests.harness.client import TIMEOUT, Client, get
from tests.harness.l7process import ROOT, L7Process
from tests.harness.lifecycle import reload

CONFIG = "backends: {{'*': {{servers: ['{}']}}}}\ncanary-time: 0s\n"


def l7_status(control: Path) -> subprocess.CompletedProcess[str]:
    words = [sys.executable, "-m", "l7", "status", "--control", str(control)]
    return subprocess.run(words, capture_output=True, text=True, timeout=TIMEOUT, cwd=ROOT, check=False)


def connects(path: Path) -> bool:
    try:
        return get(str(path)).status == 200
    except OSError:
        return False


def answered(client: Client) -> bool:
    client.send(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
    return client.read_response().status == 200


def test_the_control_socket_and_the_pid_file_are_made_anew(l7, origin):
    # systemd-tmpfiles sweeps /tmp after ten days. nginx and HAProxy make neither anew.
    proxy = l7(CONFIG.format(origin().address) + "pid-file: run/l7.pid\n", before="import os; os.mkdir('run')")
    run = proxy.directory / "run"
    control = run / "l7.control"
    assert l7_status(control).returncode == 0
    shutil.rmtree(run)
    assert l7_status(control).returncode == 1
    reload(proxy)  # the directory is gone, too: it is said, and the reload is done
    proxy.wait_for_event(r"warning .*control: .*l7.control: no such file or directory")
    proxy.wait_for_event(r"warning .*pid-file: .*no such file or directory; it was removed, and \w+ cannot make it")
    run.mkdir()
    reload(proxy)
    assert (run / "l7.pid").read_text() == f"{proxy.pid}\n"
    assert f"pid {proxy.pid}" in l7_status(control).stdout
    before = len(proxy.events)
    reload(proxy)  # what is there stays as it is
    assert not any("gone" in line for line in proxy.events[before:])
    (run / "l7.pid").write_text("1\n")
    control.unlink()
    assert get(proxy.address).status == 200
    proxy.hup()
    proxy.wait_for_event("l7.control was gone", start=before)
    proxy.stop()
    assert not control.exists()
    assert not (run / "l7.pid").is_file() or (run / "l7.pid").read_text() == "1\n"


def test_a_control_socket_that_was_swept_is_found_again_after_an_upgrade(l7, origin):
    proxy = l7(CONFIG.format(origin().address) + "pid-file: l7.pid\n")
    control = proxy.directory / "l7.control"
    control.unlink()
    proxy.signal(signal.SIGUSR2)
    proxy.wait_for_event("has taken over")
    proxy.wait_for(lambda: proxy.process.poll() is not None, "the old one's end")
    successor = int((proxy.directory / "l7.pid").read_text())
    before = len(proxy.events)
    os.kill(successor, signal.SIGHUP)
    proxy.wait_for_event("reload.done", start=before)
    assert f"pid {successor}" in l7_status(control).stdout
    os.kill(successor, signal.SIGTERM)
    proxy.assert_nothing_left()
    assert not control.exists()


def test_unix_sockets_that_are_listened_on_are_made_anew(l7, origin, connect, tmp_path):
    path, admin = tmp_path / "l7.sock", tmp_path / "admin.sock"
    config = CONFIG.format(origin().address) + f"bind: ['unix:{path}']\nadmin: unix:{admin}\n"
    proxy = l7(config, inherit=False, workers=2)
    with connect(str(path)) as kept:
        assert answered(kept)
        path.unlink()
        admin.unlink()
        assert not connects(path)
        reload(proxy)
        proxy.wait_for_event(f"reload: bind: unix:{path}: its path was gone and is made anew")
        assert connects(path)
        proxy.wait_for(lambda: admin.exists() and get(str(admin), "/healthz").status == 200, "the admin endpoint")
        assert answered(kept)
        # One that cannot be served is undone, and so is the socket that was made for it.
        path.unlink()
        proxy.write_config(config.replace("servers", "serverz"))
        proxy.hup()
        proxy.wait_for_event("reload.refused")
        assert answered(kept)
        proxy.write_config(config)
        reload(proxy)
        assert connects(path)
        path.unlink()
        path.write_text("somebody else's")
        reload(proxy)
        proxy.wait_for_event(f"warning .*unix:{path}: there is something else .*cannot be made anew")
        assert answered(kept)
    proxy.stop()
    assert path.read_text() == "somebody else's"
    assert not admin.exists()


@root_only
def test_what_nobody_may_not_make_anew_stops_no_reload(public, origin):
    path, pid_file = public / "l7.sock", public / "l7.pid"
    config = CONFIG.format(origin().address) + f"bind: ['unix:{path}', 127.0.0.1]\npid-file: {pid_file}\nport: 0\n"
    with L7Process(config, run_as=None, inherit=False, directory=public) as proxy:
        address = ("127.0.0.1", int(proxy.wait_for_event(r"127\.0\.0\.1:(\d+)").group(1)))
        for one in (path, pid_file, public / "l7.control"):
            one.unlink()
        reload(proxy)
        for what in ("control: ", f"pid-file: {pid_file}: permission denied", f"bind: unix:{path}: permission denied"):
            proxy.wait_for_event(f"warning .*{what}")
        assert get(address).status == 200


def test_the_working_directory_is_removed(l7, origin):
    proxy = l7(
        CONFIG.format(origin().address) + "admin: off\n",
        argv=["--control", "l7.control"],
        before="import os; os.mkdir('gone'); os.chdir('gone')",
    )
    control = proxy.directory / "gone" / "l7.control"
    assert l7_status(control).returncode == 0
    shutil.rmtree(proxy.directory / "gone")
    reload(proxy)
    os.kill(proxy.workers()[0], signal.SIGKILL)
    proxy.wait_for_event("worker.exited", reason="killed by SIGKILL")
    proxy.usr1()
    proxy.wait_for_output(r"^\.\.\.$")
    (proxy.directory / "gone").mkdir()
    reload(proxy)  # a path is what it was at the start, whatever the working directory is by now
    assert l7_status(control).returncode == 0, proxy.transcript()
    assert get(proxy.address).status == 200


def test_a_file_named_from_a_working_directory_that_is_gone_is_said_to_be(l7, origin):
    text = CONFIG.format(origin().address)
    proxy = l7(
        argv=["-c", "config.yml"],
        before=f"import os; os.mkdir('gone'); os.chdir('gone'); open('config.yml', 'w').write({text!r})",
    )
    shutil.rmtree(proxy.directory / "gone")
    proxy.hup()
    proxy.wait_for_event("error .*config.yml: cannot be read")
    proxy.wait_for_event("error .*the working directory of l7 is gone: start it with full paths")
    assert get(proxy.address).status == 200


def test_the_package_is_half_written_when_an_upgrade_is_asked_for(l7, origin, tmp_path):
    package = tmp_path / "site" / "l7"
    shutil.copytree(Path(l7_package.__file__).parent, package, ignore=shutil.ignore_patterns("__pycache__"))
    proxy = l7(
        CONFIG.format(origin().address) + "pid-file: l7.pid\n",
        env={"PYTHONPATH": str(tmp_path / "site"), "PYTHONDONTWRITEBYTECODE": "1"},
        workers=2,
    )
    whole = {path: path.read_bytes() for path in package.rglob("*.py")}
    for path in whole:
        path.write_text("this is not Python\n")
    proxy.signal(signal.SIGUSR2)
    proxy.wait_for_event("upgrade failed: it ended with exit status 1.*; this l7 goes on")
    # Nothing of the new package is mixed into what runs: that serves on, and only reading has to wait for an upgrade.
    reload(proxy)
    os.kill(proxy.workers()[0], signal.SIGKILL)
    proxy.wait_for_event("worker.exited", reason="killed by SIGKILL")
    proxy.usr1()
    proxy.wait_for_event("the configuration cannot be shown: l7 was installed anew")
    assert l7_status(proxy.directory / "l7.control").returncode == 0
    proxy.write_config("backends: {a: {servers: [b], balanced: x}}\n")
    proxy.hup()
    proxy.wait_for_event("l7 was installed anew: upgrade the one that runs .USR2., or restart it, before a reload")
    proxy.wait_for_event("reload.refused", reason="configuration")
    proxy.wait_for(lambda: get(proxy.address).status == 200, "an answer")
    for path, content in whole.items():
        path.write_bytes(content)
    proxy.write_config(CONFIG.format(origin().address) + "pid-file: l7.pid\n")
    proxy.signal(signal.SIGUSR2)
    proxy.wait_for_event("has taken over")
    proxy.wait_for(lambda: proxy.process.poll() is not None, "the old one's end")
    os.kill(int((proxy.directory / "l7.pid").read_text()), signal.SIGTERM)
    proxy.assert_nothing_left()
