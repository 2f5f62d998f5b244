"""A TLS connection for each request: ``python -m tests.bench.handshakes JSON`` does what the JSON says and prints JSON.

Some threads open connections one after the other; each verifies the certificate, asks once and reads to the end. Where
sessions are resumed, each connection goes on with the session of the one before in its thread, as a browser does.
"""

from __future__ import annotations

import json
import socket
import ssl
import sys
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.bench.certificate import trusting
from tests.bench.requests import HOST, answered

PATIENCE = 10.0
"""Seconds within which a connection must come to its end."""


@dataclass
class Handshakes:
    """Connections to a port of this machine until it is time to end, and what came of them."""

    port: int
    context: ssl.SSLContext
    start: bytes
    rest: bytes
    resumes: bool
    until: float
    durations: list[float] = field(default_factory=list)
    resumed: int = 0
    fault: str = ""

    def run(self) -> None:
        """Open one connection after the other; the first that fails ends it."""
        session = None
        try:
            while time.monotonic() < self.until and not self.fault:
                session = self._once(session)
        except (OSError, ValueError) as error:
            self.fault = str(error) or type(error).__name__

    def _once(self, session: ssl.SSLSession | None) -> ssl.SSLSession | None:
        begun = time.monotonic()
        sock = socket.create_connection(("127.0.0.1", self.port), PATIENCE)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)  # as browsers and curl do
        with self.context.wrap_socket(sock, server_hostname=HOST, session=session) as tls:
            tls.sendall(b"%b%d%b" % (self.start, len(self.durations), self.rest))
            data = b""
            while piece := tls.recv(65536):
                data += piece
            if not answered(data):
                raise ValueError(f"no whole answer: {data[:200]!r}")
            self.durations.append(time.monotonic() - begun)
            self.resumed += bool(tls.session_reused)
            return tls.session if self.resumes else None


def load(port: int, connections: int, seconds: float, certificate: str, start: str, rest: str, resumes: bool) -> Any:
    """Open connections for so long, so many at a time; how many there were, how many were resumed, and how long each
    took, in seconds."""
    context, until = trusting(Path(certificate)), time.monotonic() + seconds
    each = [Handshakes(port, context, start.encode(), rest.encode(), resumes, until) for _ in range(connections)]
    threads = [threading.Thread(target=one.run) for one in each]
    begun = time.monotonic()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    durations = sorted(duration for one in each for duration in one.durations)
    return {
        "requests": len(durations),
        "resumed": sum(one.resumed for one in each),
        "first": sum(1 for one in each if one.durations) if resumes else 0,
        "duration": time.monotonic() - begun,
        "durations": durations,
        "fault": next((one.fault for one in each if one.fault), ""),
    }


if __name__ == "__main__":
    print(json.dumps(load(**json.loads(sys.argv[1]))))
