"""Rules about heads, through the real program: header fields, the Host of servers, stripped prefixes."""

from __future__ import annotations

import base64
from collections.abc import Callable

import pytest

from tests.harness import over_tls
from tests.harness.client import Client, Response, request
from tests.harness.l7process import L7Process
from tests.harness.origin import Origin, Reply, Request, upgrade_echo
from tests.harness.over_tls import scheme
from tests.harness.stage import Play

CONFIG = """
trusted-proxies: [127.0.0.2]
response-headers:
  set: {{Strict-Transport-Security: max-age=1, X-Frame-Options: DENY, Access-Control-Allow-Origin: '*', X-Text: é}}
  remove: [Server]
backends:
  plain.test: {{servers: ['{address}']}}
  rules.test:
    servers: ['{address}']
    request-headers:
      remove: [Cookie]
      set:
        X-Env: prod
        X-Where: '{{scheme}}://{{host}}:{{port}}{{target}}'
        X-Who: '{{client}} {{user}}'
        X-Route: '{{route}}'
        Authorization: Basic c2VjcmV0
      add: {{X-Tag: [a, b], Accept: text/x}}
    response-headers:
      remove: [X-Powered-By]
      set: {{X-Frame-Options: SAMEORIGIN, X-Request-ID: '{{request-id}}', Vary: '{{host}}'}}
      add: {{Link: ['<a>', '<b>']}}
  rules.test/api:
    servers: ['{address}']
    strip-prefix: true
    request-headers: {{set: {{X-Target: '[{{target}}] [{{path}}] [{{query}}]'}}}}
    response-headers: {{set: {{X-Target: '{{target}}'}}}}
  named.test: {{servers: ['{address}'], host: 'App.internal:8080'}}
  own.test: {{servers: ['{address}'], host: server}}
  own.test/api: {{servers: ['{address}'], host: server, strip-prefix: true}}
  dead.test: {{servers: ['127.0.0.1:1'], retries: 0, retry-for: 0s}}
"""


def ask(
    play: Play,
    target: str = "/x",
    *,
    host: str = "rules.test",
    headers: tuple[tuple[str, str], ...] = (),
    method: str = "GET",
    reply: Callable[[Request], Reply | bytes] | None = None,
) -> tuple[Request, Response]:
    """One request, as the server gets it, and its answer."""
    app = play(reply) if reply is not None else play()
    answer = request(play.port, method, target, host=host, headers=headers)
    return app.requests[-1], answer


def answering(*headers: tuple[bytes, bytes], status: int = 200) -> Callable[[Request], Reply]:
    return lambda _: Reply(status, headers=headers, body=b"" if status in (204, 304) else b"ok")


# --------------------------------------------------------------------------------------------- requests


def test_fields_that_a_server_gets(play: Play) -> None:
    arrived, _ = ask(play, "/x?y=z", headers=(("Cookie", "a=b"), ("X-Env", "test"), ("Accept", "text/html")))
    assert arrived.values(b"cookie") == []
    assert arrived.values(b"x-env") == [b"prod"]
    assert arrived.values(b"x-tag") == [b"a", b"b"]
    assert arrived.values(b"accept") == [b"text/html", b"text/x"]
    port = b"443" if scheme() == b"https" else b"80"
    assert arrived.values(b"x-where") == [b"%b://rules.test:%b/x?y=z" % (scheme(), port)]
    assert arrived.values(b"x-who") == [b"127.0.0.1"]
    assert arrived.values(b"x-route") == [b"rules.test"]
    assert arrived.header(b"host") == b"rules.test"


@pytest.mark.parametrize(
    "tricks",
    [
        (("X_Env", "test"),),
        (("x-ENV", "test"), ("X_ENV", "test"), ("X-Env", "test")),
        (("Connection", "X-Env"), ("X-Env", "test")),
        (("Connection", "x-env, X_Env, keep-alive"),),
    ],
)
def test_a_client_does_not_undo_a_rule(play: Play, tricks: tuple[tuple[str, str], ...]) -> None:
    app = play()
    lines = [b"GET / HTTP/1.1", b"Host: rules.test", *(f"{name}: {value}".encode() for name, value in tricks)]
    with play.connect() as client:
        client.send(b"\r\n".join(lines) + b"\r\n\r\n")
        assert client.read_response().status == 200
    arrived = app.requests[-1]
    assert [value for name, value in arrived.headers if name.lower().replace(b"_", b"-") == b"x-env"] == [b"prod"]


def test_a_login_of_l7s_own_stands_in_for_the_clients(play: Play) -> None:
    arrived, _ = ask(play, headers=(("Authorization", "Basic Y2xpZW50OnB3"),))
    assert arrived.values(b"authorization") == [b"Basic c2VjcmV0"]
    assert arrived.values(b"x-who") == [b"127.0.0.1"], "who the client claims to be was not checked"


def test_each_of_many_requests_on_a_connection(play: Play) -> None:
    app = play(answering((b"X-Powered-By", b"PHP"), (b"Server", b"x")))
    with play.connect() as client:
        client.send(b"".join(b"GET /%d HTTP/1.1\r\nHost: rules.test\r\nX-Env: %d\r\n\r\n" % (n, n) for n in range(20)))
        answers = client.read_responses([b"GET"] * 20)
    assert [one.header(b"x-env") for one in app.requests] == [b"prod"] * 20
    assert [(one.header(b"x-where") or b"")[-2:] for one in app.requests][5] == b"/5"
    assert len({answer.header(b"x-request-id") for answer in answers}) == 20
    assert not [answer for answer in answers if answer.values(b"server") or answer.values(b"x-powered-by")]


def test_a_request_with_a_body(play: Play) -> None:
    app = play(lambda one: Reply(body=one.body))
    with play.connect() as client:
        client.send(
            b"POST /api/x HTTP/1.1\r\nHost: rules.test\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n"
        )
        assert client.read_response(b"POST").body == b"hello"
        client.send(b"POST /x HTTP/1.1\r\nHost: rules.test\r\nContent-Length: 5\r\n\r\nhello")
        assert client.read_response(b"POST").body == b"hello"
    assert [one.target for one in app.requests] == [b"/x", b"/x"]


# ---------------------------------------------------------------------------------------------- answers


def test_fields_that_a_client_gets(play: Play) -> None:
    reply = answering(
        (b"Server", b"x"),
        (b"x-powered-by", b"PHP"),
        (b"X-Frame-Options", b"a"),
        (b"X-FRAME-OPTIONS", b"b"),
        (b"A", b"b"),
    )
    arrived, answer = ask(play, reply=reply)
    assert answer.values(b"server") == []
    assert answer.values(b"x-powered-by") == []
    assert answer.values(b"x-frame-options") == [b"SAMEORIGIN"]
    assert answer.values(b"access-control-allow-origin") == [b"*"]
    assert answer.values(b"link") == [b"<a>", b"<b>"]
    assert answer.values(b"vary") == [b"rules.test"]
    assert answer.values(b"a") == [b"b"]
    assert answer.values(b"x-request-id") == [arrived.header(b"x-request-id")]
    assert answer.body == b"ok"


@pytest.mark.parametrize("method", ["GET", "HEAD"])
@pytest.mark.parametrize("status", [200, 204, 304, 404, 500])
def test_answers_of_all_kinds(play: Play, method: str, status: int) -> None:
    _, answer = ask(play, method=method, reply=answering((b"Server", b"x"), (b"ETag", b'"a"'), status=status))
    assert answer.status == status
    assert answer.values(b"server") == []
    assert answer.values(b"x-frame-options") == [b"SAMEORIGIN"]
    assert answer.values(b"etag") == [b'"a"']


def test_general_rules_hold_where_a_route_has_none(play: Play) -> None:
    _, answer = ask(play, host="plain.test", reply=answering((b"Server", b"x"), (b"X-Powered-By", b"y")))
    assert answer.values(b"server") == []
    assert answer.values(b"x-powered-by") == [b"y"]
    assert answer.values(b"x-frame-options") == [b"DENY"]


def test_answers_of_l7s_own(play: Play) -> None:
    for host, status, frames in (
        ("nobody.test", 404, b"DENY"),
        ("dead.test", 502, b"DENY"),
        ("rules.test:x", 400, b"DENY"),
    ):
        answer = request(play.port, host=host)
        assert answer.status == status
        assert answer.values(b"x-frame-options") == [frames]
        assert answer.values(b"access-control-allow-origin") == [b"*"]
        assert answer.values(b"x-text") == ["é".encode()]
        assert answer.values(b"content-type")[0].startswith(b"text/plain")


def test_what_could_not_be_read(play: Play) -> None:
    with play.connect() as client:
        client.send(b"nonsense\r\n\r\n")
        answer = client.read_response()
    assert answer.status == 400
    assert answer.values(b"x-frame-options") == [b"DENY"]


def test_interim_answers_stay_as_they_are(play: Play) -> None:
    play(
        lambda _: (
            b"HTTP/1.1 103 Early Hints\r\nServer: x\r\n\r\nHTTP/1.1 200 OK\r\nServer: x\r\nContent-Length: 0\r\n\r\n"
        )
    )
    with play.connect() as client:
        client.send(b"GET / HTTP/1.1\r\nHost: rules.test\r\n\r\n")
        answer = client.read_response()
    assert [one.status for one in answer.interim] == [103]
    assert answer.interim[0].values(b"server") == [b"x"]
    assert answer.interim[0].values(b"x-frame-options") == []
    assert answer.values(b"server") == []


def test_a_connection_that_is_upgraded(play: Play) -> None:
    play(upgrade_echo)
    with play.connect() as client:
        client.send(b"GET /api/chat HTTP/1.1\r\nHost: rules.test\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n")
        answer = client.read_response()
        assert answer.status == 101
        assert answer.values(b"upgrade") == [b"echo"]
        assert [value.lower() for value in answer.values(b"connection")] == [b"upgrade"]
        assert answer.values(b"x-target") == [b"/api/chat"]
        assert answer.values(b"x-frame-options") == [b"DENY"]
        client.send(b"ping")
        assert client.read_exactly(4) == b"ping"


def test_strict_transport_security_is_said_over_https_only(play: Play) -> None:
    expected = [b"max-age=1"] if scheme() == b"https" else []
    for host in ("rules.test", "nobody.test"):
        assert request(play.port, host=host).values(b"strict-transport-security") == expected


def test_strict_transport_security_over_tls(l7: Callable[..., L7Process], origin: Callable[..., Origin]) -> None:
    with over_tls.speaking("https"):
        proxy = l7(CONFIG.format(address=origin().address))
        for host, status in (("rules.test", 200), ("nobody.test", 404), ("no host", 400)):
            answer = request(proxy.port, host=host)
            assert (answer.status, answer.values(b"strict-transport-security")) == (status, [b"max-age=1"])


# --------------------------------------------------------------------------------------------- prefixes


@pytest.mark.parametrize(
    ("target", "arrives"),
    [
        ("/api", b"/"),
        ("/api/", b"/"),
        ("/api?a=/api", b"/?a=/api"),
        ("/api/x/y?z", b"/x/y?z"),
        ("/api/x%2Dy//z", b"/x%2Dy//z"),
        ("/api//evil.example/..", b"/"),
        ("/api//evil.example", b"/evil.example"),
        ("/%61pi/x", b"/x"),
        ("/y/../api/x", b"/x"),
        ("http://rules.test/api/x", b"/x"),
    ],
)
def test_what_arrives_without_its_prefix(play: Play, target: str, arrives: bytes) -> None:
    arrived, answer = ask(play, target, headers=(("X-Forwarded-Prefix", "/evil"), ("X_Forwarded_Prefix", "/evil")))
    assert arrived.target == arrives
    assert arrived.values(b"x-forwarded-prefix") == [b"/api"]
    assert arrived.values(b"x_forwarded_prefix") == []
    original = target.removeprefix("http://rules.test").encode()
    path, _, query = original.partition(b"?")
    assert arrived.values(b"x-target") == [b"[%b] [%b] [%b]" % (original, path, query)]
    assert answer.values(b"x-target") == [original]


def test_an_answer_gets_the_prefix_back(play: Play) -> None:
    reply = answering(
        (b"Location", b"/login?next=/x"),
        (b"Content-Location", b"http://rules.test/a"),
        (b"Set-Cookie", b"a=b; Path=/; HttpOnly"),
        (b"Set-Cookie", b"c=d; path=/x"),
        (b"Set-Cookie", b"e=f"),
        status=302,
    )
    _, answer = ask(play, "/api/x", reply=reply)
    assert answer.values(b"location") == [b"/api/login?next=/x"]
    assert answer.values(b"content-location") == [b"http://rules.test/api/a"]
    assert answer.values(b"set-cookie") == [b"a=b; Path=/api; HttpOnly", b"c=d; path=/api/x", b"e=f"]
    _, answer = ask(play, "/api/x", reply=answering((b"Location", b"https://other.test/"), status=302))
    assert answer.values(b"location") == [b"https://other.test/"]
    _, answer = ask(play, "/x", reply=answering((b"Location", b"/login"), status=302))
    assert answer.values(b"location") == [b"/login"]


# ------------------------------------------------------------------------------------------------ hosts


def test_a_host_of_the_servers(play: Play) -> None:
    reply = answering((b"Location", b"http://app.internal:8080/login"), status=302)
    arrived, answer = ask(play, host="named.test", reply=reply)
    assert arrived.header(b"host") == b"app.internal:8080"
    assert arrived.header(b"x-forwarded-host") == b"named.test"
    assert answer.values(b"location") == [b"/login"]


def test_the_servers_own_host(play: Play) -> None:
    own = play().address.encode()
    reply = answering((b"Location", b"http://%b/login" % own), status=302)
    arrived, answer = ask(play, host="own.test", reply=reply)
    assert arrived.header(b"host") == own
    assert arrived.header(b"x-forwarded-host") == b"own.test"
    assert answer.values(b"location") == [b"/login"]
    _, answer = ask(play, "/api/x", host="own.test", reply=reply)
    assert answer.values(b"location") == [b"/api/login"]


def test_another_servers_host_where_the_first_one_fails(
    l7: Callable[..., L7Process], origin: Callable[..., Origin]
) -> None:
    def gone(one: Request) -> None:
        one.connection.close()

    first, second = origin(gone), origin()
    proxy = l7(
        f"backends: {{'*': {{balance: first, host: server, servers: ['{first.address}', '{second.address}'], "
        "response-headers: {set: {X-A: b}}}}"
    )
    for _ in range(2):
        assert request(proxy.port, host="a.test").status == 200
    assert {one.header(b"host") for one in first.requests} == {first.address.encode()}
    assert {one.header(b"host") for one in second.requests} == {second.address.encode()}
    assert {one.header(b"x-forwarded-host") for one in second.requests} == {b"a.test"}


def test_a_server_on_a_unix_socket(l7: Callable[..., L7Process], origin: Callable[..., Origin]) -> None:
    app = origin(unix=True)
    proxy = l7(f"backends: {{'*': {{host: server, servers: ['{app.address}']}}}}")
    with Client(proxy.address) as client:
        for _ in range(3):
            client.send(b"GET / HTTP/1.1\r\nHost: a.test\r\n\r\n")
            assert client.read_response().status == 200
    assert {one.header(b"host") for one in app.requests} == {b"localhost"}


# ---------------------------------------------------------------------------------- proxies and logins


def test_behind_a_trusted_proxy(l7: Callable[..., L7Process], origin: Callable[..., Origin]) -> None:
    app = origin()
    proxy = l7(
        f"""
trusted-proxies: [127.0.0.1]
response-headers: {{set: {{Strict-Transport-Security: max-age=1}}}}
backends:
  a.test/api:
    servers: ['{app.address}']
    strip-prefix: true
    request-headers: {{set: {{X-Where: '{{client}} {{scheme}} {{port}}'}}}}
"""
    )
    said = (
        ("X-Forwarded-For", "192.0.2.9"),
        ("X-Forwarded-Proto", "https"),
        ("X-Forwarded-Prefix", "/outer"),
        ("X-Forwarded-Port", "8443"),
    )
    answer = request(proxy.port, "GET", "/api/x", host="a.test", headers=said)
    arrived = app.requests[-1]
    assert arrived.target == b"/x"
    assert arrived.values(b"x-forwarded-prefix") == [b"/outer/api"]
    assert arrived.values(b"x-where") == [b"192.0.2.9 https 8443"]
    assert answer.values(b"strict-transport-security") == [b"max-age=1"]
    assert request(proxy.port, host="b.test", headers=said).values(b"strict-transport-security") == [b"max-age=1"]


def test_where_logins_are_asked_for(l7: Callable[..., L7Process], origin: Callable[..., Origin]) -> None:
    app = origin(lambda _: Reply(headers=[(b"WWW-Authenticate", b"Digest x")]))
    proxy = l7(
        f"""
users: {{ann: secret}}
authorization: strip
response-headers:
  set: {{Access-Control-Allow-Origin: '*', WWW-Authenticate: none, Cache-Control: max-age=60, Content-Type: text/html}}
backends:
  a.test: {{servers: ['{app.address}'], request-headers: {{set: {{X-User: '{{user}}', Authorization: Bearer x}}}}}}
  a.test/open: {{servers: ['{app.address}'], users: off, request-headers: {{set: {{X-User: '{{user}}'}}}}}}
"""
    )
    answer = request(proxy.port, host="a.test")
    assert answer.status == 401
    assert answer.values(b"www-authenticate") == [b'Basic realm="l7"']
    assert answer.values(b"access-control-allow-origin") == [b"*"]
    assert answer.values(b"cache-control") == []
    assert answer.values(b"content-type") == [b"text/plain; charset=utf-8"]
    login = base64.b64encode(b"ann:secret").decode()
    answer = request(proxy.port, host="a.test", headers=(("Authorization", f"Basic {login}"), ("X-User", "root")))
    assert answer.values(b"www-authenticate") == [b"none"]
    assert answer.values(b"cache-control") == [b"max-age=60"]
    arrived = app.requests[-1]
    assert arrived.values(b"x-user") == [b"ann"]
    assert arrived.values(b"x-forwarded-user") == [b"ann"]
    assert arrived.values(b"authorization") == [b"Bearer x"]
    request(
        proxy.port, "GET", "/open", host="a.test", headers=(("Authorization", f"Basic {login}"), ("X-User", "root"))
    )
    assert app.requests[-1].values(b"x-user") == [], "it was not checked"


def test_a_cookie_that_is_removed_still_leads_to_its_server(
    l7: Callable[..., L7Process], origin: Callable[..., Origin]
) -> None:
    apps = [origin(lambda _: Reply(headers=[(b"Set-Cookie", b"server=x")])) for _ in range(3)]
    proxy = l7(
        f"backends: {{'*': {{servers: [{', '.join(repr(app.address) for app in apps)}], sticky: {{}}, "
        "request-headers: {remove: [Cookie]}, response-headers: {remove: [Set-Cookie]}}}"
    )
    answer = request(proxy.port)
    (cookie,) = answer.values(b"set-cookie")
    assert cookie.startswith(b"l7=")
    for _ in range(6):
        request(proxy.port, headers=(("Cookie", cookie.partition(b";")[0].decode()),))
    assert sorted(len(app.requests) for app in apps) == [0, 0, 7]
    assert not [one for app in apps for one in app.requests if one.values(b"cookie")]
