"""Logins through the real program: what checking a hashed one costs."""

from __future__ import annotations

import base64
from pathlib import Path

import bcrypt
import pytest

from tests.harness.client import Client, request


def basic(login: str, password: str) -> str:
    return "Basic " + base64.b64encode(f"{login}:{password}".encode()).decode()


def cpu(pid: int) -> float:
    """Seconds of processor time of all threads of a process, in nanosecond resolution."""
    spent = 0
    for task in Path(f"/proc/{pid}/task").iterdir():
        spent += int((task / "schedstat").read_text().split()[0])
    return spent / 1e9


def test_a_hashed_login_costs_what_a_plain_one_costs(l7, origin):
    hashed = bcrypt.hashpw(b"secret", bcrypt.gensalt(10)).decode()
    users = f"users: {{plain: secret, hashed: '{hashed}'}}\n"
    proxy = l7(f"backends: {{a: {{servers: ['{origin().address}']}}}}\naccess-log: off\n{users}", workers=1)
    (worker,) = proxy.workers()

    def spend(client: Client, login: str, requests: int) -> float:
        before = cpu(worker)
        for _ in range(requests):
            client.send(f"GET / HTTP/1.1\r\nHost: a\r\nAuthorization: {basic(login, 'secret')}\r\n\r\n".encode())
            assert client.read_response().status == 200
        return cpu(worker) - before

    with Client(proxy.address) as client:
        spend(client, "plain", 200)
        first = spend(client, "hashed", 1)
        plain, remembered = spend(client, "plain", 200), spend(client, "hashed", 200)
    # One check by bcrypt costs tens of milliseconds: 200 of them would be seconds.
    assert first > 0.01
    assert remembered < 2 * plain + first


KEPT = """
users: {{admin: secret, 'j\u00f6rg': 'p w'}}
authorization: strip
via: false
trusted-proxies: {trusted}
backends: {{'*': {{servers: ['{address}']}}}}
"""
PREFLIGHT = [("Origin", "https://app.test"), ("Access-Control-Request-Method", "PUT")]
LIES = [("X-Forwarded-User", "root"), ("x_forwarded_user", "root"), ("X-Forwarded_User", "root")]


@pytest.mark.parametrize("trusted", ["[]", "[127.0.0.1]"], ids=["client", "trusted proxy"])
def test_servers_are_told_who_has_logged_in_and_get_no_password(l7, origin, trusted):
    app = origin()
    proxy = l7(KEPT.format(trusted=trusted, address=app.address))

    def ask(*headers: tuple[str, str], method: str = "GET", body: bytes = b"") -> int:
        before = len(app.requests)
        status = request(proxy.port, method, "/", headers=[*LIES, *headers], body=body).status
        assert len(app.requests) - before == (status == 200)
        return status

    for login, password in (("admin", "secret"), ("j\u00f6rg", "p w")):
        assert ask(("AUTHORIZATION", basic(login, password)), ("X-A", "1"), ("X-Authorization", "2")) == 200
        (arrived,) = app.requests[-1:]
        assert arrived.values(b"authorization") == []
        assert arrived.values(b"x-forwarded-user") == [login.encode()]
        assert arrived.values(b"x_forwarded_user") == arrived.values(b"x-forwarded_user") == []
        assert (arrived.values(b"x-a"), arrived.values(b"x-authorization")) == ([b"1"], [b"2"])
        assert arrived.values(b"via") == []
    proxy.wait_for_output("^127.0.0.1 - admin ")
    assert ask() == ask(("Authorization", basic("admin", "wrong"))) == 401
    assert ask(("Authorization", "Bearer abc")) == 401
    # Browsers send no login with the request that asks whether they may send one.
    assert ask(*PREFLIGHT, method="OPTIONS") == 200
    assert app.requests[-1].values(b"x-forwarded-user") == []
    assert ask(*PREFLIGHT, ("Authorization", basic("admin", "wrong")), method="OPTIONS") == 401
    assert ask(*PREFLIGHT, method="OPTIONS", body=b"x") == 401
    assert ask(*PREFLIGHT, ("Connection", "upgrade"), ("Upgrade", "websocket"), method="OPTIONS") == 401
    assert ask(*PREFLIGHT[:1], method="OPTIONS") == ask(*PREFLIGHT[1:], method="OPTIONS") == 401
    assert ask(*PREFLIGHT, method="GET") == ask(*PREFLIGHT, method="PUT") == 401


def test_a_certificate_authority_needs_no_login_for_its_challenge(l7, origin):
    app = origin()
    proxy = l7(KEPT.format(trusted="[]", address=app.address))
    path = "/.well-known/acme-challenge/"
    token = f"{path}evaGxfADs6pSRb2LAv9IZf17Dt3juxGJ-PCt92wr_oA"

    def ask(target: str, *headers: tuple[str, str], method: str = "GET", body: bytes = b"") -> int:
        return request(proxy.port, method, target, headers=[*LIES, *headers], body=body).status

    assert ask(token) == ask(token, method="HEAD") == 200
    assert [arrived.values(b"x-forwarded-user") for arrived in app.requests] == [[], []]
    for other in (path, f"{token}/..", f"{path}../secret", f"{path}%2e%2e/x", f"{token}?a", f"/x{token}", f"{token};a"):
        assert ask(other) == 401, other
    assert ask(token, method="POST") == ask(token, body=b"x") == 401
    assert ask(token, ("Authorization", basic("admin", "wrong"))) == 401
    assert ask(token, ("Connection", "upgrade"), ("Upgrade", "websocket")) == 401
    assert len(app.requests) == 2


def test_by_default_a_login_is_passed_on(l7, origin):
    app = origin()
    config = f"users: {{admin: secret}}\nbackends: {{a: {{servers: ['{app.address}']}}}}\ntrusted-proxies: [127.0.0.1]"
    proxy = l7(config)
    headers = [("Authorization", basic("admin", "secret")), *LIES]
    assert request(proxy.port, "GET", "/", host="a", headers=headers).status == 200
    (arrived,) = app.requests
    assert arrived.values(b"authorization") == [basic("admin", "secret").encode()]
    # Of an l7 that says nothing of users what a trusted proxy says is believed.
    assert (arrived.values(b"x-forwarded-user"), arrived.values(b"x_forwarded_user")) == ([b"root"], [])
    assert arrived.values(b"via") == [b"1.1 l7"]
    assert request(proxy.port, "OPTIONS", "/", host="a", headers=PREFLIGHT).status == 200
