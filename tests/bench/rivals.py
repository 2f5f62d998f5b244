"""nginx, HAProxy and l7 before servers that fail: what each offers against it, at the same numbers.

Equal everywhere: two workers (threads), three servers in turn, connections to servers kept; a second to connect and a
second for an answer; two retries, on another server, of what may be sent again (a GET; a POST only when no connection
stood); a server is left after three failures, for two seconds. Checks every half second that must come back within half
a second, two good ones in a row for up, three bad ones for down.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

WORKERS = 2

NGINX = """\
daemon off;
{user}
worker_processes {workers};
pid {directory}/nginx.pid;
error_log stderr crit;
events {{ worker_connections 4000; }}
http {{
    access_log off;
    client_body_temp_path {directory}/body;
    proxy_temp_path {directory}/proxy;
    fastcgi_temp_path {directory}/fastcgi;
    uwsgi_temp_path {directory}/uwsgi;
    scgi_temp_path {directory}/scgi;
    upstream app {{
        zone app 64k;
{servers}
        keepalive 32;
    }}
    server {{
        listen 127.0.0.1:{port};
        location / {{
            proxy_pass http://app;
            proxy_http_version 1.1;
            proxy_set_header Connection "";
            proxy_connect_timeout 1s;
            proxy_read_timeout 1s;
            proxy_next_upstream {again};
            proxy_next_upstream_tries 3;
        }}
    }}
}}
"""

HAPROXY = """\
global
    nbthread {workers}
    maxconn 2000
defaults
    mode http
    option http-keep-alive
    http-reuse always
    timeout connect 1s
    timeout client 10s
    timeout server 1s
    timeout check 500ms
    retries 2
    option redispatch 1
    retry-on conn-failure empty-response response-timeout
frontend clients
    bind 127.0.0.1:{port}
    option http-buffer-request
    default_backend app
backend app
    http-request disable-l7-retry if METH_POST
{checks}
{servers}
"""
HAPROXY_CHECKS = """\
    option httpchk GET /health
    http-check expect status 200
    default-server check inter 500ms rise 2 fall 3 observe layer7 error-limit 3 on-error mark-down"""

L7 = """\
port: {port}
bind: 127.0.0.1
workers: {workers}
{run_as}
access-log: off
control: off
backends:
  '*':
    servers: [{servers}]
    retries: 2
    timeouts: {{connect: 1s, response: 1s}}
    ejection: {{failures: 3, time: 2s}}
{checks}
"""
L7_CHECKS = "    health: {path: /health, interval: 500ms, timeout: 500ms, rise: 2, fall: 3}"


@dataclass(frozen=True)
class Rival:
    """A proxy: how its file is written and how it is started."""

    title: str
    write: Callable[[Path, int, Sequence[int], bool], str]
    command: Callable[[str], list[str]]
    checks: bool = True
    """Whether it can check servers."""
    ready: str = ""
    """What it logs when it serves, if it listens before that."""


def _nginx(again: str) -> Callable[[Path, int, Sequence[int], bool], str]:
    def write(directory: Path, port: int, servers: Sequence[int], _checks: bool) -> str:
        lines = [f"        server 127.0.0.1:{one} max_fails=3 fail_timeout=2s;" for one in servers]
        return NGINX.format(
            directory=directory, port=port, servers="\n".join(lines), again=again, workers=WORKERS,
            user="user root;" if os.geteuid() == 0 else "",
        )  # fmt: skip

    return write


def _haproxy(_directory: Path, port: int, servers: Sequence[int], checks: bool) -> str:
    lines = [f"    server s{place} 127.0.0.1:{one}" for place, one in enumerate(servers)]
    return HAPROXY.format(port=port, servers="\n".join(lines), checks=HAPROXY_CHECKS if checks else "", workers=WORKERS)


def _l7(_directory: Path, port: int, servers: Sequence[int], checks: bool) -> str:
    return L7.format(
        port=port, servers=", ".join(f"'127.0.0.1:{one}'" for one in servers), checks=L7_CHECKS if checks else "",
        workers=WORKERS, run_as="run-as: root" if os.geteuid() == 0 else "",
    )  # fmt: skip


def _start_nginx(file: str) -> list[str]:
    return ["nginx", "-c", file, "-e", "stderr"]


RIVALS = {
    "nginx": Rival("nginx", _nginx("error timeout"), _start_nginx, checks=False),
    "nginx-500": Rival("nginx, http_500", _nginx("error timeout http_500"), _start_nginx, checks=False),
    "haproxy": Rival("HAProxy", _haproxy, lambda file: ["haproxy", "-db", "-f", file]),
    "l7": Rival("l7", _l7, lambda file: [sys.executable, "-m", "l7", "--config", file], ready=": ready"),
}
