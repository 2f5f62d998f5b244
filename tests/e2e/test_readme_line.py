"""The one line of the README: hosts, servers and logins on the command line, from the first request to the dump."""

from __future__ import annotations

import base64
import collections

from tests.harness.client import get
from tests.harness.origin import Reply


def basic(login: str, password: str) -> str:
    return "Basic " + base64.b64encode(f"{login}:{password}".encode()).decode()


def test_the_line_of_the_readme(l7, origin):
    three = [origin(lambda _, name=name: Reply(body=name)) for name in (b"one", b"two", b"three")]
    other = origin(lambda _: Reply(body=b"other"))
    servers = [f"mydomain.com={server.address}" for server in three]
    logins = ["--user", "admin:admin", "--user", "someone:mypasswd"]
    proxy = l7(argv=[*logins, *servers, f"example.io={other.address}"], inherit=False)

    def ask(host: str, login: str = "admin", password: str = "admin") -> tuple[int, bytes]:
        answer = get(proxy.address, host=host, headers=[("Authorization", basic(login, password))])
        return answer.status, answer.body

    split = collections.Counter(ask("mydomain.com")[1] for _ in range(30))
    assert split == {b"one": 10, b"two": 10, b"three": 10}
    assert ask("example.io", "someone", "mypasswd") == (200, b"other")
    assert ask("MyDomain.com.:8080")[0] == 200
    assert ask("elsewhere.org")[0] == 404
    for login, password in (("admin", "mypasswd"), ("nobody", "admin"), ("", "")):
        assert ask("mydomain.com", login, password)[0] == 401
    refused = get(proxy.address, host="example.io")
    assert (refused.status, refused.header(b"www-authenticate")) == (401, b'Basic realm="l7"')
    proxy.hup()
    proxy.wait_for_event("reload.done", generation=2)
    assert ask("mydomain.com")[0] == 200
    proxy.usr1()
    proxy.wait_for_output(r"^\.\.\.$")
    assert "mypasswd" not in "\n".join([*proxy.output, *proxy.events])
