"""What plays incidents through three proxies can be started; the incidents themselves are played by hand."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.harness.client import TIMEOUT
from tests.incidents.proxies import L7, HAProxy, Nginx, Proxy

CHECKS = {
    L7: [sys.executable, "-m", "l7", "check", "-c", "l7.yml"],
    HAProxy: ["haproxy", "-c", "-f", "haproxy.cfg"],
    Nginx: ["nginx", "-t", "-p", ".", "-c", "nginx.conf"],
}


@pytest.mark.parametrize("kind", list(CHECKS), ids=lambda kind: kind.__name__)
def test_each_proxy_takes_what_is_written_for_it(kind: type[Proxy], tmp_path: Path) -> None:
    one = kind(tmp_path / "where", 18080, [18081, 18082, 18083])
    one.configure(servers=2, most=1)
    done = subprocess.run(CHECKS[kind], cwd=one.directory, capture_output=True, timeout=TIMEOUT, check=False)
    assert done.returncode == 0, done.stderr.decode()
