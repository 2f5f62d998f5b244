"""``l7 rehearse`` runs to its end, counts what fails, and leaves nothing behind."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from tests.harness.client import TIMEOUT
from tests.harness.l7process import ROOT

WITHIN = 100.0


def environment(tmp_path: Path) -> dict[str, str]:
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(("L7_", "LISTEN_"))}
    if "L7_PURE_PYTHON" in os.environ:
        inherited["L7_PURE_PYTHON"] = os.environ["L7_PURE_PYTHON"]
    return {**inherited, "PYTHONPATH": str(ROOT), "TMPDIR": str(tmp_path)}


def rehearse(tmp_path: Path, *words: str, path: Path | None = None) -> subprocess.CompletedProcess[str]:
    env = environment(tmp_path)
    if path is not None:
        env["PYTHONPATH"] = f"{path}{os.pathsep}{env['PYTHONPATH']}"
    return subprocess.run(
        [sys.executable, "-m", "l7", "rehearse", *words],
        env=env, cwd=tmp_path, capture_output=True, text=True, timeout=WITHIN, check=False,
    )  # fmt: skip


def figure(done: subprocess.CompletedProcess[str], name: str) -> int:
    found = re.search(rf"^{name} +([\d,]+)", done.stdout, re.MULTILINE)
    assert found, done.stdout + done.stderr
    return int(found[1].replace(",", ""))


def test_nothing_fails(tmp_path):
    done = rehearse(tmp_path, "--requests", "4000", "--reloads", "2", "--workers", "2", "--canary-time", "100ms")
    assert done.returncode == 0, done.stdout + done.stderr
    assert figure(done, "sent") >= 4000
    assert figure(done, "failed") == 0
    assert figure(done, "reloads") == 2
    assert figure(done, "workers killed") == 1
    assert figure(done, "upgrades") == 1
    assert "0 idle ones without a word" in done.stdout
    assert not any(tmp_path.iterdir())


CONFIGURATION = """\
users: {somebody: secret}
canary-time: 0
workers: 2
limits: {target: 200, connections: 4}
admin: 192.0.2.1:1
backends:
  example.com: {servers: ['10.255.255.1:80'], health: {path: /healthz, interval: 100ms, body: well}}
  '*.example.org/api': {servers: ['10.255.255.1:80', '10.255.255.2:80'], retries: 0}
"""


def test_a_configuration_of_ones_own(tmp_path):
    file = tmp_path / "config.yml"
    file.write_text(CONFIGURATION)
    done = rehearse(tmp_path, "-c", str(file), "--requests", "2000", "--reloads", "1")
    assert done.returncode == 0, done.stdout + done.stderr
    assert figure(done, "failed") == 0
    assert file.read_text() == CONFIGURATION


def test_what_fails_is_counted_and_told(tmp_path):
    """A configuration under which no request can succeed."""
    file = tmp_path / "config.yml"
    path = "x" * 70
    file.write_text(f"backends: {{'a/{path}': {{servers: ['10.255.255.1:80']}}}}\nlimits: {{target: 64}}\n")
    done = rehearse(tmp_path, "-c", str(file), "--requests", "300", "--reloads", "0")
    assert done.returncode == 1, done.stdout + done.stderr
    assert figure(done, "failed") >= 200
    assert "414" in done.stdout


def test_a_reload_that_fails_is_told_and_makes_the_exit_code_1(tmp_path):
    broken = tmp_path / "broken"
    broken.mkdir()
    (broken / "sitecustomize.py").write_text(
        "from l7.master.state import generations\n"
        "def refuse(*_): raise generations.ReloadRefused(['something: needs a restart'])\n"
        "generations.Generations._check = refuse\n"
    )
    done = rehearse(tmp_path, "--requests", "500", "--reloads", "1", "--workers", "1", path=broken)
    assert done.returncode == 1, done.stdout + done.stderr
    assert figure(done, "failed") == 0
    assert "a reload failed: something: needs a restart" in done.stdout


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGKILL])
def test_an_interrupted_rehearsal_leaves_nothing_behind(tmp_path, number):
    with subprocess.Popen(
        [sys.executable, "-m", "l7", "rehearse"], env=environment(tmp_path), cwd=tmp_path,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    ) as rehearsal:  # fmt: skip
        deadline = time.monotonic() + WITHIN
        while not (family := psutil.Process(rehearsal.pid).children(recursive=True)) or len(family) < 4:
            assert time.monotonic() < deadline
            time.sleep(0.02)
        rehearsal.send_signal(number)
        rehearsal.communicate(timeout=WITHIN)
    _, alive = psutil.wait_procs(family, timeout=TIMEOUT)
    assert not alive
    assert not any(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("words", "why"),
    [
        (["check", "--requests", "5"], "only for `l7 rehearse`"),
        (["rehearse", "--reload", "5"], "--reload: unknown option; did you mean '--reloads'?"),
        (["rehearse", "--requests", "0"], "--requests: must be 1 at least"),
        (["rehearse", "--reloads", "-1"], "--reloads: must be a whole number"),
    ],
)
def test_options_that_make_no_sense_are_refused(tmp_path, words, why):
    command = [sys.executable, "-m", "l7", *words]
    done = subprocess.run(
        command, env=environment(tmp_path), capture_output=True, text=True, timeout=WITHIN, check=False
    )
    assert done.returncode == 2
    assert why in done.stderr


def test_its_options_are_in_its_own_help(tmp_path):
    done = rehearse(tmp_path, "--help")
    assert done.returncode == 0
    assert "--requests N" in done.stdout and "--reloads N" in done.stdout
    everybody = subprocess.run(
        [sys.executable, "-m", "l7", "--help"], env=environment(tmp_path), capture_output=True, text=True,
        timeout=WITHIN, check=True,
    ).stdout  # fmt: skip
    assert "--requests" not in everybody and "--reloads" not in everybody
