"""Who may come in, through the real program: routes that guard paths, networks, logins and sizes by route."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tests.harness.client import Client, request
from tests.harness.l7process import L7Process
from tests.harness.lifecycle import reload
from tests.harness.origin import Origin, Reply
from tests.harness.origin import Request as Arrived
from tests.harness.stage import Play, Stage

L7 = Callable[..., L7Process]
Origins = Callable[..., Origin]
Fields = list[tuple[str, str]]


def login(user: str, password: str = "secret") -> tuple[str, str]:
    return "Authorization", "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()


def named(name: bytes) -> Callable[[Arrived], Reply]:
    """A server that answers with its name and the target that it got."""
    return lambda arrived: Reply(200, body=name + b" " + arrived.target)


CLOSED_PATH = """
access-log: off
backends:
  a: {{servers: ['{open}']}}
  a/admin: {{servers: ['{secret}'], users: {{ops: secret}}}}
"""
OPEN_PATH = """
access-log: off
backends:
  a: {{servers: ['{secret}'], users: {{ops: secret}}}}
  a/open: {{servers: ['{open}'], users: off}}
"""

AROUND = [
    "/%61dmin", "/adm%69n/", "/%61%64%6d%69%6E", "//admin", "///admin//x", "/./admin", "/.//admin", "/x/../admin",
    "/x/%2e%2e/admin", "/x/.%2E/admin", "/%2e/admin", "/%2e%2e/admin", "/../../../admin", "/x/y/../../admin",
    "/x/..//admin", "http://a/admin", "http://a//admin", "HTTP://A:80/x/../admin", "http://a/%61dmin", "/admin?/..",
    "/admin/.", "/admin/x/..", "/admin/%2e", "/admin/y/%2e%2E/x",
]  # fmt: skip
"""Ways to write what lies below ``/admin``."""

READ_APART = [
    "/admin;x", "/admin;", "/admin/..;/", "/x/..;/admin", "/admin%2f..%2f", "/admin%2F", "/x%2f..%2fadmin",
    "/x/..%2fadmin", "/x/..%5cadmin", "/x\\..\\admin", "/\\admin", "/%5cadmin", "/%2fadmin", "/x/%2e%2e%2fadmin",
    "/admin%00", "/admin%3f", "/admin%23", "/admin%3bx", "/x//../admin", "http://a/admin;x", "http://a/x/..%2fadmin",
    "/.." * 33 + "/admin",
]  # fmt: skip
"""What some server takes for a path below ``/admin`` and others do not."""

NOT_BELOW = [
    "/",
    "/x",
    "/administrator",
    "/Admin",
    "/%2561dmin",
    "/x/admin",
    "/x?/admin",
    "/x%2fy",
    "/a;b/c",
    "/...admin",
]


def answers(port: int, targets: list[str], *fields: tuple[str, str], method: str = "GET") -> dict[str, Any]:
    """The status, and the body of what is no failure, by target."""
    found: dict[str, Any] = {}
    for target in targets:
        answer = request(port, method, target, host="a", headers=fields)
        found[target] = answer.body.decode() if answer.status == 200 else answer.status
    return found


def sent(target: str) -> str:
    """The target as it goes on: in origin-form."""
    return "/" + target.partition("://")[2].partition("/")[2] if "://" in target else target


def test_no_spelling_leads_around_a_route_that_asks_for_a_login(l7: L7, origin: Origins) -> None:
    open_, secret = origin(named(b"open")), origin(named(b"secret"))
    proxy = l7(CLOSED_PATH.format(open=open_.address, secret=secret.address))
    assert answers(proxy.port, AROUND) == dict.fromkeys(AROUND, 401)
    assert answers(proxy.port, READ_APART) == dict.fromkeys(READ_APART, 400)
    assert not open_.requests and not secret.requests
    assert answers(proxy.port, AROUND, login("ops")) == {target: f"secret {sent(target)}" for target in AROUND}
    assert answers(proxy.port, READ_APART, login("ops")) == dict.fromkeys(READ_APART, 400)
    assert answers(proxy.port, NOT_BELOW) == {target: f"open {target}" for target in NOT_BELOW}


def test_no_spelling_leads_out_of_a_host_that_asks_for_a_login(l7: L7, origin: Origins) -> None:
    open_, secret = origin(named(b"open")), origin(named(b"secret"))
    proxy = l7(OPEN_PATH.format(open=open_.address, secret=secret.address))
    closed = ["/open/../x", "/open/..", "/x", "/open/%2e%2e/", "/openx", "/%6fpenx", "/open/x/../../y", "/open/./../"]
    assert answers(proxy.port, closed) == dict.fromkeys(closed, 401)
    apart = ["/open/..;/x", "/open/..%2fx", "/open\\..\\x", "/open;/../x", "/open//../x", "/open%2f../x", "/open/..%00"]
    assert answers(proxy.port, apart) == dict.fromkeys(apart, 400)
    assert not open_.requests and not secret.requests
    through = ["/open", "/open?x", "/%6fpen/y", "//open", "/open/x;y=1", "/open/x%2fy", "/open/x%5cy", "/open/%zz"]
    assert answers(proxy.port, through) == {target: f"open {target}" for target in through}
    assert answers(proxy.port, ["*"], login("ops"), method="OPTIONS") == {"*": "secret *"}
    assert answers(proxy.port, ["*"], method="OPTIONS") == {"*": 401}


def test_a_request_is_looked_at_where_it_is_begun_without_a_greenlet(l7: L7, origin: Origins) -> None:
    """On a connection that was used before, with connections to servers that wait."""
    open_, secret = origin(named(b"open")), origin(named(b"secret"))
    proxy = l7(CLOSED_PATH.format(open=open_.address, secret=secret.address), workers=1)
    with Client(proxy.port) as client:

        def ask(target: str, *fields: tuple[str, str]) -> tuple[int, bytes]:
            lines = [f"GET {target} HTTP/1.1", "Host: a", *(f"{name}: {value}" for name, value in fields)]
            client.send("\r\n".join([*lines, "", ""]).encode())
            answer = client.read_response()
            return answer.status, answer.body

        for _ in range(2):
            assert ask("/") == (200, b"open /")
            assert ask("/admin", login("ops")) == (200, b"secret /admin")
            assert ask("//admin")[0] == ask("/admin")[0] == ask("/x/../admin", login("ops", "wrong"))[0] == 401
            assert ask("/%61dmin?q", login("ops")) == (200, b"secret /%61dmin?q")
        assert ask("/admin;x")[0] == 400
    assert len(open_.connections) == len(secret.connections) == 1


INHERITED = """
access-log-format: json
users: {{top: secret}}
deny: [192.0.2.66]
trusted-proxies: [127.0.0.1]
authorization: strip
backends:
  a: {{servers: ['{app}'], users: {{host: secret}}, allow: [192.0.2.0/24]}}
  a/sub: {{servers: ['{app}']}}
  a/sub/own: {{servers: ['{app}'], users: {{own: secret}}, allow: ['2001:db8::/32', 'unix:']}}
  a/sub/own/deep: {{servers: ['{app}']}}
  a/free: {{servers: ['{app}'], users: off, allow: off, deny: off}}
  a/free/in: {{servers: ['{app}']}}
  'b, c/p': {{servers: ['{app}']}}
  c: {{servers: ['{app}'], users: {{c: secret}}}}
  '*.w': {{servers: ['{app}'], users: {{w: secret}}}}
  '*.w/in': {{servers: ['{app}']}}
  x.w/path: {{servers: ['{app}']}}
  x.w/none: {{servers: ['{app}'], users: off}}
"""
NETWORK, V6, OTHER, DENIED = "192.0.2.7", "2001:db8::7", "198.51.100.7", "192.0.2.66"


def test_what_a_route_has_of_those_around_it(l7: L7, origin: Origins) -> None:
    app = origin(named(b"app"))
    proxy = l7(INHERITED.format(app=app.address))

    def ask(host: str, target: str, client: str, user: str = "") -> int:
        fields = [("X-Forwarded-For", client)] + [login(user)] * bool(user)
        return request(proxy.port, "GET", target, host=host, headers=fields).status

    for host, target, client, user, status in (
        ("a", "/", NETWORK, "host", 200), ("a", "/", NETWORK, "top", 401), ("a", "/", NETWORK, "", 401),
        ("a", "/", OTHER, "host", 403), ("a", "/", DENIED, "host", 403), ("a", "/", f"::ffff:{NETWORK}", "host", 200),
        ("a", "/", f"::ffff:{DENIED}", "host", 403), ("a", "/", f'"[{V6}]:99"', "host", 403),
        ("a", "/sub/x", NETWORK, "host", 200), ("a", "/sub/x", OTHER, "host", 403), ("a", "/sub", NETWORK, "top", 401),
        ("a", "/sub/own", V6, "own", 200), ("a", "/sub/own", NETWORK, "own", 403), ("a", "/sub/own", V6, "host", 401),
        ("a", "/sub/own/deep/x", V6, "own", 200), ("a", "/sub/own/deep", NETWORK, "own", 403),
        ("a", "/free", OTHER, "", 200), ("a", "/free", DENIED, "", 200), ("a", "/free/in/x", DENIED, "", 200),
        ("b", "/", OTHER, "top", 200), ("b", "/", OTHER, "", 401), ("b", "/", DENIED, "top", 403),
        ("c", "/p", OTHER, "c", 200), ("c", "/p", OTHER, "top", 401), ("c", "/", OTHER, "c", 200),
        ("y.w", "/", OTHER, "w", 200), ("y.w", "/in", OTHER, "w", 200), ("y.w", "/in", OTHER, "top", 401),
        ("x.w", "/path", OTHER, "top", 200), ("x.w", "/path", OTHER, "w", 401), ("x.w", "/else", OTHER, "w", 200),
        ("x.w", "/none", OTHER, "", 200), ("x.w", "/none", DENIED, "", 403),
        ("nowhere", "/", OTHER, "", 401), ("nowhere", "/", DENIED, "top", 403), ("nowhere", "/", OTHER, "top", 404),
    ):  # fmt: skip
        assert ask(host, target, client, user) == status, (host, target, client, user)
    told = {(arrived.target, arrived.header(b"x-forwarded-user")) for arrived in app.requests}
    assert not [arrived for arrived in app.requests if arrived.values(b"authorization")]
    assert {(b"/", b"host"), (b"/sub/own", b"own"), (b"/free", None), (b"/p", b"c"), (b"/path", b"top")} <= told
    app.close()  # each backend keeps connections of its own


def test_a_refusal_tells_no_rule_and_keeps_the_connection(l7: L7, origin: Origins) -> None:
    proxy = l7(INHERITED.format(app=origin().address))
    refused = []
    with Client(proxy.port) as client:
        for address, path in ((DENIED, "/"), (OTHER, "/sub"), (V6, "/")):
            client.send(f"GET {path} HTTP/1.1\r\nHost: a\r\nX-Forwarded-For: {address}\r\n\r\n".encode())
            answer = client.read_response()
            assert answer.status == 403
            refused.append(answer.body.decode().replace(answer.body.decode().split()[-1], "ID"))
            assert not answer.closes
    assert len(set(refused)) == 1
    assert not [word for word in ("deny", "allow", "192", "198", "2001", "sub") if word in refused[0]]
    lines = [json.loads(line) for line in proxy.logged()]
    assert [line["status"] for line in lines] == [403] * 3
    assert {line["termination"] if "termination" in line else line["code"] for line in lines} == {"PR"}


SIZES = """
limits: {{body: 1000}}
deny: [192.0.2.66]
trusted-proxies: [127.0.0.1]
backends:
  a: {{servers: ['{address}']}}
  a/more: {{servers: ['{address}'], limits: {{body: 3000}}}}
  a/less: {{servers: ['{address}'], limits: {{body: 10}}}}
  a/less/any: {{servers: ['{address}'], limits: {{body: unlimited}}}}
  a/none: {{servers: ['{address}'], limits: {{body: 0}}, users: {{ops: secret}}}}
"""


@pytest.fixture(scope="module")
def running(spoken: None) -> Iterator[Stage]:
    """One for the tests of sizes."""
    with Stage(SIZES) as stage:
        yield stage


def body_of(size: int, *, chunked: bool) -> bytes:
    if not chunked:
        return b"Content-Length: %d\r\n\r\n" % size + b"x" * size
    half = size // 2
    pieces = [b"%x\r\n%s\r\n" % (part, b"x" * part) for part in (half, size - half) if part]
    return b"Transfer-Encoding: chunked\r\n\r\n" + b"".join(pieces) + b"0\r\n\r\n"


@pytest.mark.parametrize("chunked", [False, True], ids=["length", "chunked"])
def test_how_large_a_body_may_be_depends_on_the_route(play: Play, chunked: bool) -> None:
    play(lambda arrived: Reply(200, body=b"%d" % len(arrived.body)))
    proxy = play.proxy
    for path, limit in (("/", 1000), ("/more", 3000), ("/less/x", 10), ("/less/any", None), ("/%6core", 1000)):
        for size in (1, 10, 11, 1000, 1001, 3000, 3001, 100_000):
            with Client(proxy.port) as client:
                client.send(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
                assert client.read_response().status == 200
                head = f"POST {path} HTTP/1.1\r\nHost: a\r\n".encode()
                client.send(head + body_of(size, chunked=chunked))
                answer = client.read_response(b"POST")
                expected = 200 if limit is None or size <= limit else 413
                assert answer.status == expected, (path, size)
                if expected == 200:
                    assert answer.body == b"%d" % size
                else:
                    assert answer.closes and b"limits.body" in answer.body


def test_bodies_are_looked_at_after_all_else(play: Play) -> None:
    app, proxy = play(), play.proxy

    def ask(target: str, size: int, *fields: tuple[str, str]) -> int:
        return request(proxy.port, "POST", target, host="a", body=b"x" * size, headers=fields).status

    assert ask("/none", 1) == ask("/none", 2000, login("ops", "wrong")) == 401
    assert ask("/none", 1, login("ops")) == 413
    assert ask("/none", 2000, ("X-Forwarded-For", DENIED), login("ops")) == 403
    assert ask("/none", 0, login("ops")) == 200
    assert ask("/", 2000, ("X-Forwarded-For", DENIED)) == 403
    with Client(proxy.port) as client:
        client.send(b"POST /less HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 11\r\n\r\n")
        assert client.read_response(b"POST").status == 413
    with Client(proxy.port) as client:
        client.send(b"POST /less HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nfffffff\r\nx")
        assert client.read_response(b"POST").status == 413
    assert len(app.requests) == 1


def test_rules_about_who_may_come_in_are_reloaded(l7: L7, origin: Origins) -> None:
    app = origin(named(b"app"))
    text = "backends: {{a: {{servers: ['{app}'], users: {users}, allow: {allow}}}}}\n"
    proxy = l7(text.format(app=app.address, users="{ops: secret}", allow="off"))

    def ask(*fields: tuple[str, str]) -> int:
        return request(proxy.port, "GET", "/", host="a", headers=fields).status

    assert (ask(login("ops")), ask(login("ops", "other")), ask()) == (200, 401, 401)
    reload(proxy, text.format(app=app.address, users="{ops: other}", allow="off"))
    assert (ask(login("ops")), ask(login("ops", "other")), ask()) == (401, 200, 401)
    reload(proxy, text.format(app=app.address, users="off", allow="[192.0.2.0/24]"))
    assert (ask(), ask(login("ops"))) == (403, 403)
    reload(proxy, text.format(app=app.address, users="off", allow="['127.0.0.1']"))
    assert (ask(), ask(login("ops"))) == (200, 200)


def test_who_comes_by_a_unix_socket_is_let_in_by_that_name(l7: L7, origin: Origins, tmp_path: Any) -> None:
    app = origin(named(b"app"))
    path = f"{tmp_path}/l7.sock"
    config = (
        f"listeners: ['unix:{path}']\nbackends:\n"
        f"  a: {{servers: ['{app.address}'], allow: ['unix:']}}\n"
        f"  b: {{servers: ['{app.address}'], allow: [0.0.0.0/0, '::/0']}}\n"
        f"  c: {{servers: ['{app.address}'], deny: ['unix:']}}\n"
        f"  d: {{servers: ['{app.address}'], deny: [0.0.0.0/0, '::/0']}}\n"
    )
    l7(config, inherit=False)
    assert [request(path, host=host).status for host in "abcd"] == [200, 403, 403, 200]


UNRESOLVED = """
access-log: off
users: {{top: secret}}
trusted-proxies: [127.0.0.1]
backends:
  a: {{servers: ['{app}'], deny: [192.0.2.66], limits: {{body: 1}}}}
  a/static: {{servers: ['{app}'], users: off, deny: off}}
  a/ops: {{servers: ['{app}'], users: {{ops: secret}}, allow: [127.0.0.1]}}
"""


def test_who_may_not_go_where_unresolved_dots_lead_may_not_go_where_resolved_ones_do(l7: L7, origin: Origins) -> None:
    """Applications that match ``/ops/*`` take ``/ops/../static`` for theirs."""
    app = origin(named(b"app"))
    proxy = l7(UNRESOLVED.format(app=app.address))

    def ask(target: str, *fields: tuple[str, str], body: bytes = b"") -> int:
        return request(proxy.port, "POST", target, host="a", headers=fields, body=body).status

    for _ in range(2):
        assert ask("/static/x") == ask("/static/./x") == ask("//static/x/../y", body=b"xx") == 200
        assert ask("/ops/../static") == ask("/x/%2e%2e/static") == ask("/ops/%2E./static", login("top")) == 401
        assert ask("/ops/../static", login("ops")) == ask("/x/../static", login("top"), body=b"xx") == 200
        assert ask("/ops/../static", login("ops"), ("X-Forwarded-For", NETWORK)) == 403
        assert ask("/x/../static", login("top"), ("X-Forwarded-For", DENIED)) == 403
        assert ask("/x/../static", ("X-Forwarded-For", DENIED)) == 403
        assert ask("/static/../ops", login("top")) == 401
        assert ask("/static/../ops", login("ops")) == 200


def test_a_login_that_has_to_be_checked_is_asked_for_once(l7: L7, origin: Origins) -> None:
    """A request that cannot be begun without a greenlet goes on from the rule that could not say so at once."""
    app = origin(named(b"app"))
    rules = "users: {ops: secret, other: secret}, rate-limit: {requests: 3, per: 1h}"
    proxy = l7(f"access-log: off\nbackends: {{a: {{servers: ['{app.address}'], {rules}}}}}\n", workers=1)
    with Client(proxy.port) as client:

        def ask(user: str) -> int:
            client.send(f"GET / HTTP/1.1\r\nHost: a\r\n{': '.join(login(user))}\r\n\r\n".encode())
            return client.read_response().status

        assert [ask(user) for user in ("ops", "other", "ops", "ops")] == [200, 200, 200, 429]
