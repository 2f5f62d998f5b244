"""The PROXY protocol as HAProxy and nginx write it, in front of a real l7."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.harness import TIMEOUT
from tests.harness.ports import reserved

CLIENT = "127.0.0.5"
"""Where the client comes from; the senders come from 127.0.0.1."""
REQUEST = b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"
HAPROXY = """
defaults
    mode tcp
    timeout connect 10s
    timeout client 10s
    timeout server 10s
listen l7
    bind 127.0.0.1:{port}
    server l7 127.0.0.1:{l7} {how} check inter 100ms
"""
NGINX = """
{module}
daemon off;
pid {folder}/nginx.pid;
error_log stderr;
events {{}}
stream {{ server {{ listen 127.0.0.1:{port}; proxy_pass 127.0.0.1:{l7}; proxy_protocol on; }} }}
"""
MODULE = Path("/usr/lib/nginx/modules/ngx_stream_module.so")
SENDERS = {
    "haproxy v1": (HAPROXY, "send-proxy"),
    "haproxy v2": (HAPROXY, "send-proxy-v2"),
    "haproxy v2 with all": (HAPROXY, "send-proxy-v2 proxy-v2-options ssl,crc32c,unique-id,authority"),
    "nginx v1": (NGINX, ""),
}


@pytest.fixture
def sender(tmp_path: Path) -> Iterator[Callable[[str, int], int]]:
    """Start a load balancer before the l7 at a port; the port of its own is returned once it passes requests on."""
    running: list[subprocess.Popen[bytes]] = []

    def start(name: str, l7: int) -> int:
        kind, (text, how) = name.partition(" ")[0], SENDERS[name]
        program = shutil.which(kind, path=f"{os.environ['PATH']}:/usr/sbin")
        if program is None or (kind == "nginx" and not MODULE.exists()):
            pytest.skip(f"needs {kind}" + (" with its stream module" if kind == "nginx" else ""))
        port, file = reserved(), tmp_path / "sender.conf"
        file.write_text(text.format(port=port, l7=l7, how=how, folder=tmp_path, module=f"load_module {MODULE};"))
        words = [program, "-e", "stderr", "-c", str(file)] if kind == "nginx" else [program, "-db", "-f", str(file)]
        running.append(subprocess.Popen(words, cwd=tmp_path, stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL))
        deadline = time.monotonic() + TIMEOUT
        while not answered(port):
            assert time.monotonic() < deadline, f"{name} does not serve"
            assert running[-1].poll() is None, f"{name} has ended"
            time.sleep(0.05)
        return port

    yield start
    for process in running:
        process.terminate()
        process.wait(TIMEOUT)


def answered(port: int) -> bytes:
    """What a client from `CLIENT` is answered; nothing where it is not."""
    try:
        with socket.create_connection(("127.0.0.1", port), TIMEOUT, source_address=(CLIENT, 0)) as client:
            client.sendall(REQUEST)
            return b"".join(iter(lambda: client.recv(65536), b""))
    except OSError:
        return b""


@pytest.mark.parametrize("name", SENDERS)
def test_the_client_of_a_load_balancer_is_known(l7, origin, sender, name):
    server = origin()
    text = (
        "listeners: [{{address: '127.0.0.1:0', proxy-protocol: [127.0.0.1]}}]\nbackends: {{a: {{servers: ['{}']}}}}\n"
    )
    proxy = l7(text.format(server.address), inherit=False)
    port = sender(name, proxy.port)
    for _ in range(3):
        assert answered(port).startswith(b"HTTP/1.1 200 ")
        request = server.requests[-1]
        assert request.header(b"x-forwarded-for") == CLIENT.encode()
        assert request.header(b"x-forwarded-port") == b"%d" % port
    proxy.wait_for_output(rf"^{CLIENT} ")
    # HAProxy's checks have come meanwhile: a header that says LOCAL, or UNKNOWN, and no request.
    assert not [line for line in proxy.events if "proxy-protocol.refused" in line]
