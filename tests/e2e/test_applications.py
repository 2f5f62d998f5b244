"""Applications behind l7 as the documentation sets them up: real Flask, Django, gunicorn and uvicorn.

The test is the terminator before l7: what it sends is what nginx and HAProxy send that are set up as documented there.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import shutil
import socket
import subprocess
import sys
import tempfile
import textwrap
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.harness.accounts import root_only
from tests.harness.checkout import CHECKOUT
from tests.harness.client import TIMEOUT, Address, get, request
from tests.harness.l7process import L7Process
from tests.harness.origin import Origin
from tests.harness.ports import reserved

Origins = Callable[..., Origin]

PAGE = (CHECKOUT / "docs" / "applications.rst").read_text("utf-8")
FOLDER = "/run/myapp"
"""What stands on the page where the test has a folder of its own."""

FLASK = """
from flask import redirect, request, url_for

@app.get("/")
def index():
    return {"url": request.url_root, "client": request.remote_addr}

@app.get("/go")
def go():
    return redirect(url_for("index", _external=True))
"""
DJANGO = """
import json
from django.conf import settings
from django.core.wsgi import get_wsgi_application
from django.http import HttpResponse
from django.middleware.csrf import get_token
from django.urls import path

SECRET_KEY = "x" * 50
ROOT_URLCONF = "settings"
MIDDLEWARE = ["django.middleware.csrf.CsrfViewMiddleware"]
# With a domain the origin of a form is compared with its port.
CSRF_COOKIE_DOMAIN = "example.com"

def index(request):
    seen = {"url": request.build_absolute_uri("/"), "port": request.get_port(), "client": request.headers["X-Real-IP"]}
    return HttpResponse(json.dumps({**seen, "token": get_token(request)}))

urlpatterns = [path("", index)]
"""
ASGI = """
import json

async def app(scope, receive, send):
    if scope["type"] != "http":
        return
    seen = {"scheme": scope["scheme"], "client": (scope["client"] or [None])[0]}
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": json.dumps(seen).encode()})
"""
WSGI = """
import json

def app(environ, start_response):
    names = ("HTTP_HOST", "HTTP_X_FORWARDED_PORT", "HTTP_X_FORWARDED_USER", "HTTP_X_REAL_IP", "HTTP_AUTHORIZATION")
    start_response("200 OK", [])
    return [json.dumps([environ.get(name) for name in names]).encode()]
"""
"""It imports nothing later: the interpreter of the tests may be one that only root may read."""
TLS = [("X-Forwarded-For", "203.0.113.7"), ("X-Forwarded-Proto", "https")]
"""What a terminator adds."""


def recipe(caption: str, number: int = 0) -> str:
    """The block of the page with this caption."""
    found = re.findall(rf"^   :caption: {re.escape(caption)}\n\n((?:   .*\n|\n)+)", PAGE, re.MULTILINE)
    return textwrap.dedent(found[number])


def command(caption: str, number: int = 0) -> list[str]:
    """The last command of a block, without its prompt."""
    (*_, line) = recipe(caption, number).strip().splitlines()
    program, *words = line.removeprefix("$ ").split()
    return [sys.executable, "-m", program, *(word.strip("'") for word in words)]


@contextlib.contextmanager
def server(words: list[str], directory: Path, address: Address, **environ: str) -> Iterator[None]:
    """A program that serves at ``address``."""
    with tempfile.NamedTemporaryFile(dir=directory, suffix=".log") as log:
        environ = {**os.environ, "HOME": str(directory), **environ}
        process = subprocess.Popen(words, cwd=directory, stdout=log, stderr=log, env=environ)
        try:
            _wait_for(address, process, Path(log.name))
            yield
        finally:
            process.terminate()
            process.wait(TIMEOUT)


def _wait_for(address: Address, process: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + TIMEOUT
    while True:
        family = socket.AF_UNIX if isinstance(address, str) else socket.AF_INET
        with socket.socket(family) as probe:
            if probe.connect_ex(address if isinstance(address, str) else ("127.0.0.1", address)) == 0:
                return
        assert process.poll() is None, log.read_text()
        assert time.monotonic() < deadline, log.read_text()
        time.sleep(0.02)


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    """A folder for the applications, with a path short enough for a socket in it, that everybody may pass."""
    path = Path(f"/tmp/l7-apps-{os.getpid()}")
    path.mkdir(mode=0o755)
    (path / "myapp.py").write_text(recipe("myapp.py") + FLASK)
    (path / "settings.py").write_text(recipe("settings.py") + DJANGO)
    (path / "asgi.py").write_text(ASGI)
    yield path
    subprocess.run(["rm", "-rf", str(path)], check=True)


def seen(proxy: L7Process, host: str, headers: list[tuple[str, str]]) -> dict[str, Any]:
    answer = request(proxy.port, "GET", "/", host=host, headers=headers)
    assert answer.status == 200, answer
    found: dict[str, Any] = json.loads(answer.body)
    return found


def test_applications_behind_a_terminator_know_their_clients(folder: Path) -> None:
    flask, django, asgi = str(folder / "flask.sock"), str(folder / "django.sock"), reserved()
    gunicorn = [sys.executable, "-m", "gunicorn", "--bind"]
    config = recipe("config.yml").replace("10.0.0.0/8", "127.0.0.0/8").replace(f"{FOLDER}/app.sock", flask)
    config = config.replace("port: 8080\n", "") + f"  '*': {{servers: ['unix:{django}']}}\n"
    config += f"  asgi.test: {{servers: ['127.0.0.1:{asgi}']}}\n"
    uvicorn = " ".join(command("uvicorn")).replace("8000", str(asgi)).replace("myapp:app", "asgi:app").split()
    assert "--forwarded-allow-ips" in uvicorn
    with (
        server([*gunicorn, f"unix:{flask}", "myapp:app"], folder, flask),
        server([*gunicorn, f"unix:{django}", "settings:get_wsgi_application()"], folder, django,
               DJANGO_SETTINGS_MODULE="settings"),
        server(uvicorn, folder, asgi),
        L7Process(config) as proxy,
    ):  # fmt: skip
        found = seen(proxy, "example.com", TLS)
        assert (found["url"], found["client"]) == ("https://example.com/", "203.0.113.7")
        # What a client makes up, the terminator has put its own in the place of, or l7 reads only behind it.
        lies = [("X-Forwarded-For", "6.6.6.6"), *TLS]
        assert seen(proxy, "example.com", lies)["client"] == "203.0.113.7"
        assert (
            request(
                proxy.port, "GET", "/", host="example.com", headers=[*TLS, ("X-Forwarded-Host", "evil.test")]
            ).status
            == 400
        )
        redirect = request(proxy.port, "GET", "/go", host="example.com", headers=TLS)
        assert redirect.header(b"location") == b"https://example.com/"
        redirect = request(proxy.port, "GET", "/go", host="example.com:8443", headers=TLS)
        assert redirect.header(b"location") == b"https://example.com:8443/"
        _assert_django_takes_forms(proxy)
        assert seen(proxy, "asgi.test", TLS) == {"scheme": "https", "client": "203.0.113.7"}


TERMINATORS = {
    "nginx": """
daemon off;
pid {folder}/nginx.pid;
error_log stderr;
events {{}}
http {{
    access_log off;
    client_body_temp_path {folder}; proxy_temp_path {folder};
    fastcgi_temp_path {folder}; uwsgi_temp_path {folder}; scgi_temp_path {folder};
    server {{ listen 127.0.0.1:{port}; location / {{ {recipe} }} }}
}}
""",
    "HAProxy": """
defaults
    mode http
    timeout connect 10s
    timeout client 10s
    timeout server 10s
listen l7
    bind 127.0.0.1:{port}
{recipe}
    server l7 127.0.0.1:{l7}
""",
}
LIES = [
    ("X-Forwarded-For", "6.6.6.6"), ("X-Forwarded-Proto", "gopher"), ("X-Forwarded-Host", "evil.test"),
    ("X-Forwarded-Port", "666"), ("X-Forwarded-User", "evil"), ("X-Real-IP", "6.6.6.6"), ("X-Request-ID", "evil"),
    ("Forwarded", "for=6.6.6.6;proto=gopher;host=evil.test"), ("X_Forwarded_Host", "evil.test"),
]  # fmt: skip


@pytest.mark.parametrize("name", TERMINATORS)
def test_what_a_client_makes_up_goes_no_further_than_the_terminator(name: str, folder: Path, origin: Origins) -> None:
    """Real ones, set up as documented; they speak plain HTTP here, so nginx says that scheme."""
    program = shutil.which(name.lower(), path=f"{os.environ['PATH']}:/usr/sbin")
    if program is None:
        pytest.skip(f"needs {name}")
    app, port = origin(), reserved()
    file = folder / "terminator.conf"
    with L7Process(f"trusted-proxies: [127.0.0.1]\nbackends: {{'*': {{servers: ['{app.address}']}}}}") as proxy:
        lines = recipe(name).replace("10.0.0.5:8080", f"127.0.0.1:{proxy.port}")
        file.write_text(TERMINATORS[name].format(folder=folder, port=port, l7=proxy.port, recipe=lines))
        words = [program, "-e", "stderr", "-c", str(file)] if name == "nginx" else [program, "-db", "-f", str(file)]
        with server(words, folder, port):
            assert request(port, "GET", "/", host="example.com:8443", headers=LIES).status == 200
    (came,) = app.requests
    assert {name: came.values(name) for name in (b"host", b"x-forwarded-host", b"x-real-ip", b"x-forwarded-for")} == {
        b"host": [b"example.com:8443"],
        b"x-forwarded-host": [b"example.com:8443"],
        b"x-real-ip": [b"127.0.0.1"],
        b"x-forwarded-for": [b"127.0.0.1, 127.0.0.1"],
    }
    assert came.values(b"x-forwarded-proto") == [b"https" if name == "HAProxy" else b"http"]
    assert came.values(b"x-forwarded-port") == [b"8443"]
    assert not [line for line in came.headers if b"evil" in line[1] or b"6.6.6.6" in line[1]]


def _assert_django_takes_forms(proxy: L7Process) -> None:
    host = "www.example.com"
    assert request(proxy.port, "GET", "/", host=host, headers=TLS).status == 400  # not of ALLOWED_HOSTS
    lead = [*TLS, ("X-Forwarded-Host", "example.com")]
    found = seen(proxy, host, lead)
    assert (found["url"], found["port"], found["client"]) == ("https://example.com/", "443", "203.0.113.7")
    token = found["token"]
    form = [
        *lead, ("Cookie", f"csrftoken={token}"), ("Referer", "https://example.com/form"), ("X-CSRFToken", token),
    ]  # fmt: skip
    assert request(proxy.port, "POST", "/", host=host, headers=form).status == 200
    wrong = [*form[:-2], ("Referer", "https://evil.test/form"), form[-1]]
    assert request(proxy.port, "POST", "/", host=host, headers=wrong).status == 403


@root_only
def test_l7_and_gunicorn_share_a_group(folder: Path) -> None:
    """As nobody l7 may not come to the socket, as nobody of the group it may; the login is told to the application."""
    path = str(folder / "run" / "app.sock")
    install, gunicorn = (
        line.removeprefix("$ ").replace("-o myapp", "-o daemon").replace("--user myapp", "--user daemon")
        .replace(FOLDER, str(folder / "run")).split()
        for line in recipe("gunicorn").strip().splitlines()
    )  # fmt: skip
    subprocess.run(install, check=True)
    config = recipe("config.yml with a group").replace(FOLDER, str(folder / "run"))
    logins = recipe("config.yml with logins")
    config += re.sub(r"'\$2b.*'", "secret", logins[: logins.index("backends:")])
    (folder / "myapp.py").write_text(WSGI)
    words = [sys.executable, "-m", *gunicorn, "--preload"]
    login = [("Authorization", "Basic YWRtaW46c2VjcmV0")]  # admin:secret
    with server(words, folder, path):
        with L7Process(config, run_as=None, directory=_public(folder, "a")) as proxy:
            found = json.loads(request(proxy.port, "GET", "/", host="example.com:8000", headers=login).body)
            # The port is one that is mapped: l7 listens on another one.
            assert found == ["example.com:8000", "8000", "admin", "127.0.0.1", None]
        with L7Process(config.replace(":www-data", ""), run_as=None, directory=_public(folder, "b")) as proxy:
            assert get(proxy.port, host="example.com", headers=login).status == 502
            proxy.wait_for_output("permission denied")


def _public(folder: Path, name: str) -> Path:
    """A folder of its own for one l7."""
    (folder / name).mkdir(mode=0o755)
    return folder / name
