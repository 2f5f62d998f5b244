"""An authority on loopback: Debian's pebble, Let's Encrypt's own small one for tests.

with Pebble({"a.test": ["127.0.0.1"]}) as authority:
    authority.directory                  # for `tls.acme.directory`
    authority.ca                         # for `tls.acme.ca`
    authority.http_port                  # where challenges come
    authority.trusting()                 # a client's context that believes what it issues

What it has issued is forgotten when it ends.
"""

from __future__ import annotations

import contextlib
import json
import os
import random
import shutil
import socket
import ssl
import subprocess
import tempfile
import time
import urllib.request
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any

import pytest

from tests.harness import TIMEOUT
from tests.harness.nameserver import NameServer
from tests.harness.tls import authority, chain_of, issue

PEBBLE = shutil.which("pebble")
needs_pebble = pytest.mark.skipif(PEBBLE is None, reason="needs pebble; on Debian: apt-get install pebble")


class Pebble:
    """A pebble that finds hosts by a name server of its own.

    :param lives: seconds that a certificate is valid.
    :param accounts: what an account has to be bound to: keys in base64url by their ids.
    :param strangers: hosts for which it issues nothing.
    """

    def __init__(
        self,
        *hosts: str,
        lives: int | None = None,
        accounts: Mapping[str, str] | None = None,
        strangers: tuple[str, ...] = (),
    ) -> None:
        self._directory = tempfile.TemporaryDirectory(prefix="l7-pebble-")
        self._path = Path(self._directory.name)
        self.names = NameServer()
        for host in hosts:
            self.names.records[host, "A"] = (1, ["127.0.0.1"])
        leaf = issue("localhost", "127.0.0.1")
        (self._path / "own.crt").write_bytes(chain_of(leaf))
        leaf.private_key_pem.write_to_path(str(self._path / "own.key"))
        authority().cert_pem.write_to_path(str(self._path / "issuers.pem"))
        self.http_port, self._port, self._management = _free_ports(3)
        self._settings: dict[str, Any] = {
            "listenAddress": f"127.0.0.1:{self._port}",
            "managementListenAddress": f"127.0.0.1:{self._management}",
            "certificate": str(self._path / "own.crt"),
            "privateKey": str(self._path / "own.key"),
            "httpPort": self.http_port,
            "tlsPort": 1,
            "ocspResponderURL": "",
            "externalAccountBindingRequired": accounts is not None,
            "externalAccountMACKeys": dict(accounts or {}),
            "domainBlocklist": list(strangers),
        }
        if lives is not None:
            self._settings["certificateValidityPeriod"] = lives
        self._process: subprocess.Popen[bytes] | None = None
        self.log = self._path / "log"
        self.start()

    @property
    def directory(self) -> str:
        """The URL of its directory."""
        return f"https://127.0.0.1:{self._port}/dir"

    @property
    def ca(self) -> str:
        """The file with the issuers of its own certificate."""
        return str(self._path / "issuers.pem")

    def start(self) -> None:
        """Start it, again after `stop`: it has forgotten everything."""
        assert PEBBLE is not None
        config = self._path / "pebble.json"
        config.write_text(json.dumps({"pebble": self._settings}), "utf-8")
        # At once, and without refusing what is right by chance.
        chance = {"PEBBLE_VA_NOSLEEP": "1", "PEBBLE_WFE_NONCEREJECT": "0", "PEBBLE_AUTHZREUSE": "0"}
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                [PEBBLE, "-config", str(config), "-dnsserver", self.names.address],
                stdout=log, stderr=log, env={**os.environ, **chance},
            )  # fmt: skip
        deadline = time.monotonic() + TIMEOUT
        while not _listens(self._management):
            assert self._process.poll() is None, self.log.read_text()
            assert time.monotonic() < deadline, "pebble does not listen"
            time.sleep(0.02)

    def stop(self) -> None:
        """End it: nobody answers any more."""
        if self._process is not None:
            self._process.kill()
            self._process.wait(TIMEOUT)
            self._process = None

    def trusting(self) -> ssl.SSLContext:
        """A client's context that believes its certificates, and nobody else's."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        own = ssl.create_default_context(cafile=self.ca)
        with urllib.request.urlopen(f"https://127.0.0.1:{self._management}/roots/0", context=own) as answer:
            context.load_verify_locations(cadata=answer.read().decode("ascii"))
        return context

    def count(self, words: str) -> int:
        """How often its log has these words."""
        return self.log.read_text("utf-8", "replace").count(words)

    def close(self) -> None:
        """Stop it and remove what it left."""
        self.stop()
        self.names.close()
        self._directory.cleanup()

    def __enter__(self) -> Pebble:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def _free_ports(count: int) -> list[int]:
    """Ports that nobody has: below those that the kernel gives away, so that nobody gets one until it is bound."""
    given = int(Path("/proc/sys/net/ipv4/ip_local_port_range").read_text("ascii").split()[0])
    ports = list(range(max(1024, given - 10_000), given)) or list(range(1024, 65536))
    found: list[int] = []
    while len(found) < count:
        port = random.choice(ports)
        with socket.socket() as sock, contextlib.suppress(OSError):
            sock.bind(("127.0.0.1", port))
            found += [] if port in found else [port]
    return found


def _listens(port: int) -> bool:
    with socket.socket() as sock:
        return sock.connect_ex(("127.0.0.1", port)) == 0
