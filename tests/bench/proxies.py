"""nginx, HAProxy, Caddy and l7: their files, made of `settings`, and how each is started."""

from __future__ import annotations

import base64
import contextlib
import os
import resource
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import bcrypt

from tests.bench import rules
from tests.bench.processes import running
from tests.bench.requests import HOST, LOGIN, PASSWORD, host_names
from tests.bench.settings import CADDY, HAPROXY, L7, NGINX

BCRYPT_COST = 5
"""The least that ``htpasswd -B`` offers, and its default: the kindest to who hashes on each request."""


@dataclass(frozen=True)
class Site:
    """What a proxy is to serve."""

    upstream: int
    """The port of the server behind it."""
    port: int
    hosts: int = 1
    login: bool = False
    workers: int = 1
    certificate: Path | None = None
    """A file with a certificate and its key, where clients speak TLS."""
    drops_root: bool = False
    """Whether l7, started as root, becomes another account, with its privileged opener beside it."""
    rules: int = 0
    """How many of `tests.bench.rules` nginx and l7 have."""
    records: bool = True
    """Whether l7 has its recorder."""

    @property
    def scheme(self) -> str:
        """What clients speak."""
        return "https" if self.certificate else "http"


@dataclass(frozen=True)
class Proxy:
    """A program that can be measured: how its files are written and how it is started in their directory."""

    name: str
    title: str
    write: Callable[[Site, Path], None]
    command: Callable[[Path], list[str]]
    environment: Callable[[Site, Path], dict[str, str]] = lambda _site, _directory: {}


def hashed() -> str:
    """The password's bcrypt hash, as l7 and crypt(3) read it."""
    return bcrypt.hashpw(PASSWORD.encode(), bcrypt.gensalt(BCRYPT_COST)).decode()


def write_nginx(site: Site, directory: Path) -> None:
    """Write nginx's configuration."""
    login = f'auth_basic "bench"; auth_basic_user_file {directory}/users;' if site.login else ""
    (directory / "users").write_text(f"{LOGIN}:{hashed().replace('$2b$', '$2y$')}\n" if site.login else "")
    certificate = (
        f"ssl_certificate {site.certificate}; ssl_certificate_key {site.certificate}; "
        "ssl_protocols TLSv1.2 TLSv1.3; ssl_session_cache shared:clients:10m;"
    )
    text = NGINX.format(
        ssl=" ssl" * bool(site.certificate),
        certificate=certificate * bool(site.certificate),
        directory=directory,
        user="user root;" if os.geteuid() == 0 else "",
        workers=site.workers,
        port=site.port,
        upstream=site.upstream,
        hosts=" ".join(host_names(site.hosts)),
        login=login,
        zone=rules.ZONE * bool(site.rules),
        rules=rules.of_nginx(site.rules),
    )
    (directory / "nginx.conf").write_text(text)


def write_haproxy(site: Site, directory: Path) -> None:
    """Write HAProxy's configuration."""
    (directory / "hosts").write_text("\n".join(host_names(site.hosts)) + "\n")
    text = HAPROXY.format(
        ssl=f" ssl crt {site.certificate}" if site.certificate else "",
        scheme=site.scheme,
        directory=directory,
        workers=site.workers,
        port=site.port,
        upstream=site.upstream,
        connections=min(6000, resource.getrlimit(resource.RLIMIT_NOFILE)[0] // 2 - 200),
        userlist=f"userlist people\n    user {LOGIN} password {hashed()}\n" if site.login else "",
        login="http-request auth unless { http_auth(people) }" if site.login else "",
    )
    (directory / "haproxy.cfg").write_text(text)


def write_caddy(site: Site, directory: Path) -> None:
    """Write Caddy's configuration."""
    text = CADDY.format(
        directory=directory,
        host=HOST,
        scheme=site.scheme,
        port=site.port,
        upstream=site.upstream,
        certificate=f"tls {site.certificate} {site.certificate}" if site.certificate else "",
        login=f"basicauth {{\n        {LOGIN} {base64.b64encode(hashed().encode()).decode()}\n    }}" * site.login,
    )
    (directory / "Caddyfile").write_text(text)


def write_l7(site: Site, directory: Path) -> None:
    """Write l7's configuration."""
    held = rules.of_l7(site.rules)
    backends = [f"  '{host}': {{servers: ['127.0.0.1:{site.upstream}']{held}}}" for host in host_names(site.hosts)]
    text = L7.format(
        directory=directory,
        run_as="run-as: root" if os.geteuid() == 0 and not site.drops_root else "",
        workers=site.workers,
        port=site.port,
        tls=f"tls: {{certificates: ['{site.certificate}']}}" if site.certificate else "",
        login=f"users: {{{LOGIN}: '{hashed()}'}}" if site.login else "",
        backends="\n".join(backends),
        recorder="" if site.records else "recorder: off",
    )
    (directory / "l7.yml").write_text(text)


def _caddy_command(directory: Path) -> list[str]:
    return ["caddy", "run", "--adapter", "caddyfile", "--config", str(directory / "Caddyfile")]


def _caddy_environment(site: Site, directory: Path) -> dict[str, str]:
    return {"GOMAXPROCS": str(site.workers), "HOME": str(directory), "XDG_DATA_HOME": str(directory)}


def _l7_command(directory: Path) -> list[str]:
    return [sys.executable, "-m", "l7", "--config", str(directory / "l7.yml")]


PROXIES = {
    proxy.name: proxy
    for proxy in (
        Proxy("nginx", "nginx", write_nginx, lambda where: ["nginx", "-c", str(where / "nginx.conf"), "-e", "stderr"]),
        Proxy("haproxy", "HAProxy", write_haproxy, lambda where: ["haproxy", "-db", "-f", str(where / "haproxy.cfg")]),
        Proxy("caddy", "Caddy", write_caddy, _caddy_command, _caddy_environment),
        Proxy("l7", "l7", write_l7, _l7_command),
        Proxy("l7-pure", "l7, pure Python", write_l7, _l7_command, lambda _site, _directory: {"L7_PURE_PYTHON": "1"}),
    )
}


@contextlib.contextmanager
def started(proxy: Proxy, site: Site, directory: Path, cores: Sequence[int]) -> Iterator[int]:
    """Run a proxy on these cores; its process id."""
    proxy.write(site, directory)
    environment = {name: value for name, value in os.environ.items() if not name.startswith("L7_")}
    environment |= proxy.environment(site, directory)
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
