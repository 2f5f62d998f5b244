"""The servers behind the proxies, on the load's cores.

nginx gives answers of every kind, `sink` reads bodies, `frames` answers messages in tunnels.
"""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.bench.processes import free_port, running

SMALL = '{"id": 4711, "name": "a thing", "price": "12.50", "stock": 17, "tags": ["new", "blue", "round"]}'
TEN_KB = 10_000
SIXTY_FOUR_KB = 64 * 1024
ONE_MIB = 2**20
HUNDRED_MIB = 100 * 2**20

NGINX = """\
daemon off;
{user}
worker_processes {workers};
pid {directory}/upstream.pid;
error_log stderr error;
events {{ worker_connections 12000; }}
http {{
    access_log off;
    sendfile on;
    tcp_nopush on;
    keepalive_timeout 600s;
    keepalive_requests 1000000000;
    client_body_temp_path {directory}/upstream-body;
    proxy_temp_path {directory}/upstream-proxy;
    fastcgi_temp_path {directory}/upstream-fastcgi;
    uwsgi_temp_path {directory}/upstream-uwsgi;
    scgi_temp_path {directory}/upstream-scgi;
    types {{ text/html html; application/octet-stream bin; }}
    open_file_cache max=100;
    root {directory}/files;
    add_header Cache-Control "private, max-age=0";
    add_header Vary "Accept-Encoding, Cookie";
    add_header Set-Cookie "seen=1; Path=/; HttpOnly; SameSite=Lax";
    add_header X-Content-Type-Options nosniff;
    server {{
        listen 127.0.0.1:{port} backlog=4096;
        location /small/ {{ default_type application/json; return 200 '{small}'; }}
        location /10k/ {{ try_files /10k.html =404; }}
        # Server-side includes hide the length; the small buffers make it several chunks.
        location /chunked/ {{ ssi on; sendfile off; output_buffers 1 4k; try_files /10k.html =404; }}
        location /64k/ {{ try_files /64k.bin =404; }}
        location /1m/ {{ try_files /1m.bin =404; }}
        location /100m/ {{ try_files /100m.bin =404; }}
    }}
}}
"""


@dataclass(frozen=True)
class Upstream:
    """The ports of the servers."""

    answers: int
    sink: int
    frames: int


@contextlib.contextmanager
def serving(directory: Path, cores: Sequence[int]) -> Iterator[Upstream]:
    """Run all of them."""
    _write_files(directory / "files")
    upstream = Upstream(free_port(), free_port(), free_port())
    config = directory / "upstream.conf"
    config.write_text(nginx_config(directory, upstream.answers, len(cores)))
    log = directory / "upstream.log"
    nginx = ["nginx", "-c", str(config), "-e", "stderr"]
    sink = [sys.executable, "-m", "tests.bench.sink", str(upstream.sink)]
    frames = [sys.executable, "-m", "tests.bench.frames", "serve", str(upstream.frames)]
    with (
        running(nginx, cores, log, port=upstream.answers),
        running(sink, cores, log, port=upstream.sink),
        running(frames, cores, log, port=upstream.frames),
    ):
        yield upstream


def nginx_config(directory: Path, port: int, workers: int) -> str:
    """The configuration of the server of answers."""
    user = "user root;" if os.geteuid() == 0 else ""
    return NGINX.format(directory=directory, port=port, workers=workers, small=SMALL, user=user)


def _write_files(directory: Path) -> None:
    directory.mkdir()
    line = b"<p>A line of text, of which there are many, as pages go.</p>\n"
    (directory / "10k.html").write_bytes((line * (TEN_KB // len(line) + 1))[: TEN_KB - 1] + b"\n")
    block = os.urandom(ONE_MIB)
    (directory / "64k.bin").write_bytes(block[:SIXTY_FOUR_KB])
    (directory / "1m.bin").write_bytes(block)
    with (directory / "100m.bin").open("wb") as file:
        for _ in range(HUNDRED_MIB // ONE_MIB):
            file.write(block)
