"""The certificate of the proxies: P-256, signed by itself, made by OpenSSL; and how clients trust it."""

from __future__ import annotations

import ssl
import subprocess
from pathlib import Path

from tests.bench.processes import BenchError
from tests.bench.requests import HOST

NAMES = f"DNS:{HOST},IP:127.0.0.1"
"""The second for wrk, which says the address that it connects to."""


def make(directory: Path) -> Path:
    """Write a new certificate and its key into one file; its path.

    :raises BenchError: OpenSSL could not make it.
    """
    certificate, key = directory / "certificate.pem", directory / "key.pem"
    words = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "30", "-subj", f"/CN={HOST}"]
    words += ["-addext", f"subjectAltName={NAMES}", "-keyout", str(key), "-out", str(certificate)]
    done = subprocess.run(["openssl", "req", "-x509", *words], capture_output=True, text=True, check=False, timeout=30)
    if done.returncode:
        raise BenchError(f"openssl req failed:\n{done.stderr}")
    with certificate.open("a") as file:
        file.write(key.read_text())
    return certificate


def trusting(certificate: Path) -> ssl.SSLContext:
    """A client's context that believes this certificate alone."""
    return ssl.create_default_context(cafile=str(certificate))
