"""What the first release is shown to do, end to end: one line that balances, bodies of any size, a dump under load,
hashed logins at the price of plain ones. Reloads under load, each request on a new connection: `test_reload`.
"""

from __future__ import annotations

import base64
import collections
import hashlib
import re
import socket
from collections.abc import Iterator
from pathlib import Path

import bcrypt
import psutil
import pytest
import yaml

from tests.e2e.test_reload import load_without_loss
from tests.e2e.test_signals import CONFIG
from tests.harness.client import TIMEOUT, Client, get
from tests.harness.l7process import L7Process
from tests.harness.origin import Reply, pattern, pattern_sha256, routes

MEGABYTE = 10**6
SIZE = 200 * MEGABYTE
SLACK = 10 * MEGABYTE
PIECE = 256 * 1024


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
    proxy.wait_for_event("reload done: generation 2")
    assert ask("mydomain.com")[0] == 200
    proxy.usr1()
    proxy.wait_for_output(r"^\.\.\.$")
    assert "mypasswd" not in "\n".join([*proxy.output, *proxy.events])


def rss(pid: int) -> int:
    return int(psutil.Process(pid).memory_info().rss)


def pieces_of(client: socket.socket, size: int) -> Iterator[bytes]:
    while size:
        piece = client.recv(min(size, PIECE))
        assert piece, f"closed with {size} bytes to come"
        size -= len(piece)
        yield piece


def download(proxy: L7Process, worker: int, size: int) -> tuple[str, int]:
    """Fetch *size* bytes without keeping them: their hash, and the most memory that the worker had meanwhile."""
    digest, most = hashlib.sha256(), 0
    with socket.create_connection(proxy.address, TIMEOUT) as client:
        client.sendall(b"GET /bytes/%d HTTP/1.1\r\nHost: a\r\n\r\n" % size)
        head = b""
        while not head.endswith(b"\r\n\r\n"):
            byte = client.recv(1)
            assert byte, head
            head += byte
        assert head.startswith(b"HTTP/1.1 200 "), head
        for number, piece in enumerate(pieces_of(client, size)):
            digest.update(piece)
            if not number % 64:
                most = max(most, rss(worker))
    return digest.hexdigest(), max(most, rss(worker))


def upload(proxy: L7Process, worker: int, size: int) -> tuple[str, int]:
    """Send *size* bytes: the hash of what arrived, and the most memory that the worker had meanwhile."""
    most = 0
    with Client(proxy.address) as client:
        client.send(b"POST /up HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n" % size)
        for number, piece in enumerate(pattern(size)):
            client.send(piece)
            if not number % 64:
                most = max(most, rss(worker))
        answer = client.read_response(b"POST")
    assert answer.status == 200
    return answer.json["sha256"], max(most, rss(worker))


@pytest.mark.parametrize("transfer", [download, upload])
def test_two_hundred_megabytes_in_constant_memory(l7, origin, transfer):
    proxy = l7(CONFIG.format(origin(routes).address), workers=1)
    (worker,) = proxy.workers()
    transfer(proxy, worker, MEGABYTE)
    before = rss(worker)
    digest, most = transfer(proxy, worker, SIZE)
    assert digest == pattern_sha256(SIZE)
    assert most - before < SLACK


def test_dumps_between_the_lines_of_a_busy_access_log(l7, origin):
    proxy = l7(CONFIG.format(origin().address), workers=2)
    with load_without_loss(proxy) as load:
        for _ in range(8):
            start = len(proxy.output)
            proxy.usr1()
            proxy.wait_for_output(r"^\.\.\.$", start=start)
            load.more(20)
    proxy.stop()
    text = "\n".join(proxy.output) + "\n"
    dumps = re.findall(r"^---\n(.*?)^\.\.\.\n", text, re.DOTALL | re.MULTILINE)
    assert len(dumps) == 8
    for dump in dumps:
        assert yaml.safe_load(dump) == yaml.safe_load(dumps[0])
        assert len(re.findall(r"^# worker \d+: pid \d+, generation 1, ", dump, re.MULTILINE)) == 2
    rest = re.sub(r"^---\n.*?^\.\.\.\n", "", text, flags=re.DOTALL | re.MULTILINE).splitlines()
    assert all(re.fullmatch(r'127\.0\.0\.1 - - \[[^]]+\] "GET / HTTP/1\.1" 200 .* --', line) for line in rest)
    assert len(rest) == load.good


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
