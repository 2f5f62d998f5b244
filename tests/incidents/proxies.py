"""The three proxies of an incident, each with the configuration that fits it and the logs that are usual."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from tests.harness.l7process import ROOT

EXTENDED = (
    '$remote_addr - $remote_user [$time_local] "$request" $status $body_bytes_sent rt=$request_time '
    "uct=$upstream_connect_time urt=$upstream_response_time ua=$upstream_addr us=$upstream_status"
)
"""A format of nginx that many have: combined without its quoted fields, and what is known of servers."""


class Proxy:
    """A proxy in its directory, before three servers; ``settings`` are lines of l7's configuration."""

    def __init__(self, directory: Path, port: int, servers: list[int], settings: str = "") -> None:
        directory.mkdir()
        self.settings = settings
        self.directory = directory
        self.port = port
        self.servers = servers
        self.process: subprocess.Popen[bytes] | None = None

    def command(self) -> list[str]:
        """What starts it."""
        raise NotImplementedError

    def configure(self, servers: int = 3, most: int = 0) -> None:
        """Write the configuration: so many servers, and ``most`` connections to each, 0 for as many as are wanted."""
        raise NotImplementedError

    def start(self) -> None:
        """Start it; its output goes into the file ``log``."""
        self.configure()
        with (self.directory / "log").open("ab") as log, (self.directory / "events").open("ab") as events:
            environment = {**os.environ, "PYTHONPATH": str(ROOT)}
            self.process = subprocess.Popen(
                self.command(), stdout=log, stderr=events, cwd=self.directory, env=environment
            )

    def reload(self) -> None:
        """Let it read its configuration again."""
        raise NotImplementedError

    def said(self) -> str:
        """What it has written to its standard error."""
        return (self.directory / "events").read_text("utf-8", "replace")

    def stop(self) -> None:
        """End it."""
        if self.process is not None:
            self.process.terminate()
            self.process.wait(20)


class L7(Proxy):
    """l7."""

    def command(self) -> list[str]:
        return [sys.executable, "-m", "l7", "-c", "l7.yml", "--control", "l7.control", "--workers", "1"]

    def configure(self, servers: int = 3, most: int = 0) -> None:
        limit = f", max-connections: {most}" if most else ""
        lines = "".join(f"      - {{address: '127.0.0.1:{port}'{limit}}}\n" for port in self.servers[:servers])
        text = f"port: {self.port}\n{self.settings}backends:\n  shop.example:\n    retries: 2\n    servers:\n{lines}"
        (self.directory / "l7.yml").write_text(text, "utf-8")

    def reload(self) -> None:
        self.ask("reload")

    def ask(self, *words: str) -> str:
        """What a command of l7 prints of this one."""
        command = [sys.executable, "-m", "l7", *words, "--control", "l7.control"]
        environment = {**os.environ, "PYTHONPATH": str(ROOT)}
        done = subprocess.run(command, cwd=self.directory, env=environment, stdout=subprocess.PIPE, check=False)
        return done.stdout.decode()


class HAProxy(Proxy):
    """HAProxy in master-worker mode, with ``option httplog`` and retries as l7 has them."""

    def command(self) -> list[str]:
        return ["haproxy", "-W", "-f", "haproxy.cfg"]

    def configure(self, servers: int = 3, most: int = 0) -> None:
        limit = f" maxconn {most}" if most else ""
        used = enumerate(self.servers[:servers], 1)
        lines = "".join(f"    server s{at} 127.0.0.1:{port}{limit}\n" for at, port in used)
        text = f"""global
    log stdout format raw local0
    stats socket {self.directory}/haproxy.sock level admin
defaults
    mode http
    log global
    option httplog
    option redispatch 1
    retries 2
    retry-on conn-failure empty-response
    timeout connect 3s
    timeout client 60s
    timeout server 60s
    timeout queue 10s
frontend web
    bind 127.0.0.1:{self.port}
    default_backend shop
backend shop
{lines}"""
        (self.directory / "haproxy.cfg").write_text(text, "utf-8")

    def reload(self) -> None:
        assert self.process is not None
        os.kill(self.process.pid, 12)  # USR2


class Nginx(Proxy):
    """nginx with its format ``combined``, and beside it `EXTENDED`."""

    def command(self) -> list[str]:
        return ["nginx", "-p", str(self.directory), "-c", "nginx.conf", "-g", "daemon off;"]

    def configure(self, servers: int = 3, most: int = 0) -> None:
        limit = f" max_conns={most}" if most else ""
        lines = "".join(f"    server 127.0.0.1:{port}{limit};\n" for port in self.servers[:servers])
        text = f"""worker_processes 1;
pid nginx.pid;
error_log error.log;
events {{}}
http {{
  log_format extended '{EXTENDED}';
  access_log access.log combined;
  access_log extended.log extended;
  upstream shop {{
    zone shop 64k;
{lines}  }}
  server {{
    listen 127.0.0.1:{self.port};
    proxy_http_version 1.1;
    proxy_set_header Connection "";
    proxy_next_upstream_tries 3;
    location / {{ proxy_pass http://shop; }}
  }}
}}
"""
        (self.directory / "nginx.conf").write_text(text, "utf-8")

    def reload(self) -> None:
        assert self.process is not None
        os.kill(self.process.pid, 1)  # HUP
