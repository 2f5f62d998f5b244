"""``make testssl``: what testssl.sh finds in a real l7, beside what docs/tls.rst says of it. It takes two minutes."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
from datetime import datetime, timedelta, timezone
from pathlib import Path

import pytest
import trustme

from tests.harness.checkout import CHECKOUT
from tests.harness.tls import EC, RSA, write_pair

OF_A_PRIVATE_AUTHORITY = ("cert_revocation", "DNS_CAArecord")
"""What is found in certificates that no public authority has signed, and in a name that no name server knows."""
LONGEST = 1500
"""Seconds."""

program = shutil.which("testssl") or shutil.which("testssl.sh")
pytestmark = [
    pytest.mark.skipif(not os.environ.get("L7_TESTSSL"), reason="takes two minutes: make testssl"),
    pytest.mark.timeout(LONGEST + 60),
]


def documented() -> set[str]:
    """The names of findings that docs/tls.rst explains."""
    text = (CHECKOUT / "docs" / "tls.rst").read_text("utf-8")
    section = text.partition("testssl.sh\n----------\n")[2].partition("\nand ")[0]
    terms = re.findall(r"^``.*``$", section, re.MULTILINE)
    return {name for term in terms for name in re.findall(r"``(\w+)``", term)}


def test_nothing_is_found_but_what_is_documented(l7, origin, tmp_path: Path) -> None:
    assert program is not None, "there is no testssl.sh; on Debian: apt-get install testssl.sh"
    root = trustme.CA()
    (tmp_path / "ca.pem").write_bytes(root.cert_pem.bytes())
    now = datetime.now(timezone.utc)
    life = {"not_before": now - timedelta(days=1), "not_after": now + timedelta(days=89)}
    pairs = [
        write_pair(tmp_path, str(key), root.create_child_ca().issue_cert("localhost", key_type=key, **life))
        for key in (EC, RSA)
    ]
    proxy = l7(f"tls: {{certificates: [{', '.join(pairs)}]}}\nbackends: {{'*': {{servers: ['{origin().address}']}}}}\n")
    found = tmp_path / "found.json"
    options = ["--quiet", "--color", "0", "--warnings", "batch", "--severity", "LOW", "--ip", "127.0.0.1"]
    files = ["--add-ca", str(tmp_path / "ca.pem"), "--jsonfile", str(found)]
    command = [program, *options, *files, f"https://localhost:{proxy.port}"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=LONGEST, check=False, cwd=tmp_path)
    assert " Done " in done.stdout, done.stdout[-2000:] + done.stderr
    findings = {one["id"].split(" ")[0]: f"{one['id']}: {one['severity']}: {one['finding']}" for one in _read(found)}
    explained = documented()
    assert explained <= set(findings), "what is not found any more is not to be documented"
    left = [text for name, text in findings.items() if name not in explained and name not in OF_A_PRIVATE_AUTHORITY]
    assert left == []


def _read(path: Path) -> list[dict[str, str]]:
    found: list[dict[str, str]] = json.loads(path.read_text("utf-8"))
    return found
