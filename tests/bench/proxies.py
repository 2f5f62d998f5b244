"""How nginx, HAProxy and l7 are configured: each does the same work, by its own recommended means.

Equal everywhere: one worker, an access log to a file, connections to the server kept and reused, clients kept alive
without a bound of requests, ``Host``, ``X-Forwarded-For``, ``-Proto``, ``-Host`` and ``-Port``, ``Via`` and a fresh
``X-Request-ID`` on each request, bodies streamed in both directions and never written to a disk. nginx logs its
``combined`` line; HAProxy and l7 log their own, which say more.
"""

from __future__ import annotations

import contextlib
import os
import resource
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import bcrypt

from tests.bench.processes import free_port, running
from tests.bench.requests import LOGIN, PASSWORD, host_names

BCRYPT_COST = 5
"""The least that ``htpasswd -B`` offers, and its default: the kindest to who hashes on each request."""

NGINX = """\
daemon off;
{user}
worker_processes {workers};
pid {directory}/nginx.pid;
error_log stderr error;
events {{ worker_connections 12000; }}
http {{
    access_log {directory}/access.log combined;
    sendfile on;
    tcp_nopush on;
    keepalive_timeout 75s;
    keepalive_requests 1000000000;
    client_max_body_size 0;
    client_body_temp_path {directory}/body;
    proxy_temp_path {directory}/proxy;
    fastcgi_temp_path {directory}/fastcgi;
    uwsgi_temp_path {directory}/uwsgi;
    scgi_temp_path {directory}/scgi;
    server_names_hash_max_size 65536;
    server_names_hash_bucket_size 128;
    upstream app {{
        server 127.0.0.1:{upstream};
        keepalive 1024;
        keepalive_requests 1000000000;
    }}
    server {{
        listen 127.0.0.1:{port} backlog=4096;
        server_name {hosts};
        {login}
        location / {{
            proxy_pass http://app;
            proxy_http_version 1.1;
            proxy_request_buffering off;
            proxy_max_temp_file_size 0;
            proxy_set_header Connection "";
            proxy_set_header Host $host;
            proxy_set_header X-Forwarded-For $remote_addr;
            proxy_set_header X-Forwarded-Proto $scheme;
            proxy_set_header X-Forwarded-Port $server_port;
            proxy_set_header X-Forwarded-Host $host;
            proxy_set_header Via "1.1 nginx";
            proxy_set_header X-Request-ID $request_id;
        }}
        location /frames/ {{
            proxy_pass http://app;
            proxy_http_version 1.1;
            proxy_set_header Connection upgrade;
            proxy_set_header Upgrade $http_upgrade;
            proxy_set_header Host $host;
        }}
    }}
}}
"""

HAPROXY = """\
global
    log stdout format raw local0 info
    nbthread {workers}
    maxconn {connections}
    maxpipes 100
defaults
    mode http
    log global
    option httplog
    option http-keep-alive
    option splice-auto
    http-reuse always
    timeout connect 3s
    timeout client 75s
    timeout server 60s
    timeout http-request 10s
    timeout http-keep-alive 75s
    timeout tunnel 60s
{userlist}
frontend clients
    bind 127.0.0.1:{port} backlog 4096
    {login}
    unique-id-format %[uuid()]
    unique-id-header X-Request-ID
    http-request set-header X-Forwarded-For %[src]
    http-request set-header X-Forwarded-Proto http
    http-request set-header X-Forwarded-Port %[dst_port]
    http-request set-header X-Forwarded-Host %[req.hdr(host)]
    http-request set-header Via "1.1 haproxy"
    use_backend app if {{ req.hdr(host) -i -f {directory}/hosts }}
backend app
    server app 127.0.0.1:{upstream}
"""

L7 = """\
port: {port}
bind: 127.0.0.1
workers: {workers}
{run_as}
access-log: {directory}/access.log
{login}
backends:
{backends}
"""


@dataclass(frozen=True)
class Site:
    """What a proxy is to serve."""

    upstream: int
    """The port of the server behind it."""
    port: int
    hosts: int = 1
    login: bool = False
    workers: int = 1


@dataclass(frozen=True)
class Proxy:
    """A program that can be measured: how its files are written and how it is started in their directory."""

    name: str
    title: str
    write: Callable[[Site, Path], None]
    command: Callable[[Path], list[str]]
    pure: bool = False


def hashed() -> str:
    """The password's bcrypt hash, as l7 and crypt(3) read it."""
    return bcrypt.hashpw(PASSWORD.encode(), bcrypt.gensalt(BCRYPT_COST)).decode()


def write_nginx(site: Site, directory: Path) -> None:
    """Write nginx's configuration."""
    login = f'auth_basic "bench"; auth_basic_user_file {directory}/users;' if site.login else ""
    (directory / "users").write_text(f"{LOGIN}:{hashed().replace('$2b$', '$2y$')}\n" if site.login else "")
    text = NGINX.format(
        directory=directory,
        user="user root;" if os.geteuid() == 0 else "",
        workers=site.workers,
        port=site.port,
        upstream=site.upstream,
        hosts=" ".join(host_names(site.hosts)),
        login=login,
    )
    (directory / "nginx.conf").write_text(text)


def write_haproxy(site: Site, directory: Path) -> None:
    """Write HAProxy's configuration."""
    (directory / "hosts").write_text("\n".join(host_names(site.hosts)) + "\n")
    text = HAPROXY.format(
        directory=directory,
        workers=site.workers,
        port=site.port,
        upstream=site.upstream,
        connections=min(6000, resource.getrlimit(resource.RLIMIT_NOFILE)[0] // 2 - 200),
        userlist=f"userlist people\n    user {LOGIN} password {hashed()}\n" if site.login else "",
        login="http-request auth unless { http_auth(people) }" if site.login else "",
    )
    (directory / "haproxy.cfg").write_text(text)


def write_l7(site: Site, directory: Path) -> None:
    """Write l7's configuration."""
    backends = [f"  '{host}': {{servers: ['127.0.0.1:{site.upstream}']}}" for host in host_names(site.hosts)]
    text = L7.format(
        directory=directory,
        run_as="run-as: root" if os.geteuid() == 0 else "",
        workers=site.workers,
        port=site.port,
        login=f"users: {{{LOGIN}: '{hashed()}'}}" if site.login else "",
        backends="\n".join(backends),
    )
    (directory / "l7.yml").write_text(text)


def _l7_command(directory: Path) -> list[str]:
    return [sys.executable, "-m", "l7", "--config", str(directory / "l7.yml")]


PROXIES = {
    proxy.name: proxy
    for proxy in (
        Proxy("nginx", "nginx", write_nginx, lambda where: ["nginx", "-c", str(where / "nginx.conf"), "-e", "stderr"]),
        Proxy("haproxy", "HAProxy", write_haproxy, lambda where: ["haproxy", "-db", "-f", str(where / "haproxy.cfg")]),
        Proxy("l7", "l7", write_l7, _l7_command),
        Proxy("l7-pure", "l7, pure Python", write_l7, _l7_command, pure=True),
    )
}


@contextlib.contextmanager
def started(proxy: Proxy, site: Site, directory: Path, cores: Sequence[int]) -> Iterator[int]:
    """Run a proxy on these cores; its process id."""
    proxy.write(site, directory)
    environment = {name: value for name, value in os.environ.items() if not name.startswith("L7_")}
    if proxy.pure:
        environment["L7_PURE_PYTHON"] = "1"
    # HAProxy logs to its standard output; the others write nothing there.
    with (
        (directory / "stdout").open("wb") as stdout,
        running(
            proxy.command(directory),
            cores,
            directory / "stderr",
            port=site.port,
            environment=environment,
            stdout=stdout,
        ) as child,
    ):
        yield child.pid


def site_for(upstream: int, *, hosts: int = 1, login: bool = False, workers: int = 1) -> Site:
    """A site on a free port."""
    return Site(upstream, free_port(), hosts, login, workers)
