"""``l7 explain`` beside a running l7: it tells of the servers as they are, and of the configuration where none runs."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.harness.client import TIMEOUT, get
from tests.harness.l7process import ROOT, L7Process

CONFIG = """
access-log: off
control: {control}
backends:
  a: {{servers: ['{one}', {{address: '{two}', weight: 3}}], ejection: {{time: 1m}}}}
"""


@pytest.fixture
def control() -> Path:
    return Path("/tmp") / f"l7-explain-{os.getpid()}.control"


def l7_explain(*words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "l7", "explain", *words],
        capture_output=True, text=True, cwd=ROOT, timeout=TIMEOUT, check=False,
    )  # fmt: skip


def look(proxy: L7Process, *words: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(l7_explain(*words, "--json", "-c", str(proxy.config_path)).stdout)
    return found


def order(proxy: L7Process, *words: str) -> None:
    command = [sys.executable, "-m", "l7", "server", *words, "-c", str(proxy.config_path)]
    subprocess.run(command, cwd=ROOT, timeout=TIMEOUT, check=True, stdout=subprocess.DEVNULL)


def test_the_servers_are_as_they_are_now(l7, origin, control):
    one, two = origin().address, origin().address
    proxy = l7(CONFIG.format(control=control, one=one, two=two))
    proxy.wait_for_event("master.ready")
    now = look(proxy, "http://a/")["now"]
    assert (now["generation"], now["pid"]) == (1, proxy.pid)
    assert [(server["address"], server["chance"]) for server in now["servers"]] == [(one, 0.25), (two, 0.75)]
    order(proxy, "a", two, "drain")
    first, second = look(proxy, "http://a/")["now"]["servers"]
    assert (first["chance"], second["chance"], second["state"]) == (1, 0, "drain")
    done = l7_explain("http://a/", "-c", str(proxy.config_path))
    assert done.returncode == 0
    assert f"  {two}    0.0%  drain: as an administrator wants, for " in done.stdout
    assert f"servers: as generation 1 of process {proxy.pid} has them now\n" in done.stdout


def test_a_server_that_failed_requests_says_why_it_is_out(l7, origin, control):
    well, gone = origin(), origin()
    gone.close()
    proxy = l7(CONFIG.format(control=control, one=well.address, two=gone.address))
    for _ in range(20):
        assert get(proxy.address, host="a").status == 200
    out = look(proxy, "http://a/")["now"]["servers"][1]
    assert (out["state"], out["why"], out["chance"]) == ("ejected", "connect refused ×3; knocked at every 100ms", 0)
    assert out["until"] is None


def test_what_runs_counts_and_not_what_has_been_written_since(l7, origin, control):
    proxy = l7(CONFIG.format(control=control, one=origin().address, two=origin().address))
    proxy.wait_for_event("master.ready")
    proxy.write_config(CONFIG.format(control=control, one="127.0.0.1:1", two="127.0.0.1:2").replace("a:", "b:"))
    assert look(proxy, "http://a/")["match"]
    assert not look(proxy, "http://b/")["match"]
    for offline in (("http://b/", "--offline"), ("http://c/", "c=127.0.0.1:3")):
        answer = look(proxy, *offline)
        assert answer["match"]
        assert "now" not in answer


def test_one_that_is_named_and_does_not_run_is_an_error(tmp_path):
    done = l7_explain("http://a/", "a=127.0.0.1:1", "--control", str(tmp_path / "none"))
    assert done.returncode == 0, "words for servers mean a configuration, not an l7 that runs"
    done = l7_explain("http://a/", "--control", str(tmp_path / "none"))
    assert done.returncode == 1
    assert "no l7 runs" in done.stderr


@pytest.mark.parametrize(("how", "verified"), [("require", "ok"), ("request", "<none-or-ok>"), ("off", None)])
def test_servers_are_told_of_client_certificates_where_one_is_asked_for(tmp_path, how, verified):
    file = tmp_path / "config.yml"
    tls = {"client-auth": how, **({"client-ca": "/etc/ca.pem"} if verified else {})}
    file.write_text(
        f"listeners: ['*:80', {{address: '*:443', tls: {json.dumps(tls)}}}]\n"
        "tls: {certificates: [/etc/one.pem]}\nbackends: {a: {servers: ['127.0.0.1:1']}}\n"
    )
    words = ("--offline", "--json", "-c", str(file))
    told = json.loads(l7_explain("https://a/", *words).stdout)["headers"]
    assert told.get("X-Client-Cert-Verified") == verified
    assert ("X-Client-Cert-Subject" in told) == (verified is not None)
    assert "X-Client-Cert-Verified" not in json.loads(l7_explain("http://a/", *words).stdout)["headers"]


def test_who_asks_and_how_counts(l7, origin, control):
    """A trusted proxy is believed; the l7 that runs and the configuration alone say the same."""
    proxy = l7(
        CONFIG.format(control=control, one=origin().address, two=origin().address) + "trusted-proxies: [10.0.0.0/8]"
    )
    proxy.wait_for_event("master.ready")
    told = ("--header", "X-Forwarded-For: 192.0.2.1")
    for where in ((), ("--offline",)):
        by_proxy = look(proxy, "http://a/", "--client", "10.0.0.1", *told, *where)
        assert by_proxy["headers"]["X-Forwarded-For"] == "192.0.2.1, 10.0.0.1"
        assert by_proxy["headers"]["X-Real-IP"] == "192.0.2.1"
        stranger = look(proxy, "http://a/", "--client", "192.0.2.7", *told, *where)
        assert stranger["headers"]["X-Forwarded-For"] == "192.0.2.7"
        assert not look(proxy, "http://a/", "--method", "CONNECT", *where)["match"]


@pytest.mark.parametrize(
    ("option", "value", "problem"),
    [
        ("--client", "10.0.0.0/8", "must be an IP address, or `unix:`"),
        ("--client", "localhost", "must be an IP address, or `unix:`"),
        ("--method", "GET /x", "must be a method, as GET"),
    ],
)
def test_a_client_is_an_address_and_a_method_a_word(option, value, problem):
    done = l7_explain("http://a/", "a=127.0.0.1:1", option, value)
    assert (done.returncode, done.stderr) == (2, f"{option}: {problem}\n")
