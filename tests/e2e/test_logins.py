"""Logins through the real program: what checking a hashed one costs."""

from __future__ import annotations

import base64
from pathlib import Path

import bcrypt

from tests.harness.client import Client


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
