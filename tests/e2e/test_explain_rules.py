"""``l7 explain`` shows the rules of a request in their order, each with its line, and what really becomes of it."""

from __future__ import annotations

import itertools
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.harness.client import TIMEOUT, get
from tests.harness.l7process import ROOT, L7Process
from tests.harness.origin import Reply, Request

CONFIG = """\
access-log: off
control: {control}
deny: [192.0.2.0/24]
response-headers: {{set: {{X-Frame-Options: DENY}}}}
error-pages: {{403: {page}}}
defaults:
  response-headers: {{remove: [X-Powered-By]}}
backends:
  a:
    servers: ['{server}']
    users: {{ops: hunter2}}
    compress: [gzip]
  a/api:
    servers: ['{server}']
    users: off
    allow: [127.0.0.0/8, 10.0.0.0/8]
    rate-limit: {{requests: 1, per: 1h, burst: 2}}
    limits: {{body: 10KB}}
    strip-prefix: true
    request-headers:
      set: {{X-Env: '{{client}}', Authorization: Basic b3BzOmh1bnRlcjI=}}
      remove: [X-Debug]
  b: {{redirect: 'https://a{{target}}'}}
  a/robots.txt: {{respond: {{body: none}}, users: off}}
"""
NUMBERS = itertools.count()
ORDER = ["deny", "allow", "rate-limit", "users", "limits", "redirect", "respond"]


def stage_config(directory: Path, server: str) -> str:
    page = directory / "403.html"
    page.write_text("<p>Not for you.", "utf-8")
    control = Path("/tmp") / f"l7-explain-rules-{os.getpid()}-{next(NUMBERS)}.control"
    return CONFIG.format(control=control, server=server, page=page)


def powered(_: Request) -> Reply:
    return Reply(200, [(b"X-Powered-By", b"magic")], b"yes")


def l7_explain(proxy: L7Process, *words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "l7", "explain", "-c", str(proxy.config_path), *words],
        capture_output=True, text=True, cwd=ROOT, timeout=TIMEOUT, check=False,
    )  # fmt: skip


def look(proxy: L7Process, *words: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(l7_explain(proxy, *words, "--json").stdout)
    return found


def line_of(proxy: L7Process, words: str) -> str:
    """Where something stands in the file."""
    texts = proxy.config_path.read_text().splitlines()
    (number,) = [number for number, text in enumerate(texts, 1) if words in text]
    return f"{proxy.config_path}:{number}"


@pytest.mark.parametrize("where", [(), ("--offline",)], ids=["running", "offline"])
def test_each_rule_has_its_place(proxy, where):
    found = look(proxy, "http://a/api/x", "--client", "127.0.0.1", *where)
    rules = {one["path"]: one for one in found["rules"]}
    for path, words, inherited in (
        ("deny", "deny:", "all"),
        ("backends.a/api.allow", "allow:", None),
        ("backends.a/api.rate-limit", "rate-limit:", None),
        ("backends.a/api.strip-prefix", "strip-prefix:", None),
        ("backends.a.compress", "compress:", "a"),
    ):
        assert (rules[path]["source"], rules[path]["inherited"]) == (line_of(proxy, words), inherited)
    assert "users" not in {one["setting"] for one in found["rules"]}, "it is off here"
    settings = [one["setting"] for one in found["rules"] if one["setting"] in ORDER]
    assert settings == sorted(settings, key=ORDER.index)
    assert (found["match"], found["refused"], found["answer"], found["login"]) == (True, None, None, False)


def test_people_are_told_of_the_same(proxy):
    done = l7_explain(proxy, "http://a/api/x", "--client", "127.0.0.1")
    assert done.returncode == 0
    lines = done.stdout.splitlines()
    shown = {line.split()[0]: line for line in lines if line.startswith("  ")}
    assert line_of(proxy, "rate-limit") in shown["rate-limit"]
    assert f"{line_of(proxy, 'deny:')}, of all " in shown["deny"]
    assert lines[lines.index("request, as a server gets it:") + 1] == "  GET /x HTTP/1.1"


def test_what_a_server_gets_is_what_is_shown(play):
    proxy, server = play.proxy, play(powered)
    words = ("X-Debug: 1", "X-Env: mine", "Accept: */*")
    shown = look(proxy, "http://a/api/x?y", "--client", "127.0.0.1", *[part for word in words for part in ("-H", word)])
    fields = [tuple(word.split(": ")) for word in words]
    answer = get(proxy.address, "/api/x?y", host="a", headers=fields)
    (request,) = server.requests
    got = [request.raw.split(b"\r\n")[0].decode(), *(f"{n.decode()}: {v.decode()}" for n, v in request.headers)]
    hidden = ("X-Request-ID", "Authorization")
    assert [line for line in got if not line.startswith(hidden)] == [
        line for line in shown["request"] if not line.startswith(hidden)
    ]
    assert "X-Env: 127.0.0.1" in shown["request"]
    assert "X-Frame-Options: DENY" in shown["response"]
    assert (answer.header(b"x-frame-options"), answer.header(b"x-powered-by")) == (b"DENY", None)


def test_a_refusal_names_its_rule(proxy):
    done = l7_explain(proxy, "http://a/api/x", "--client", "192.0.2.7")
    assert done.returncode == 1
    (said,) = [line for line in done.stdout.splitlines() if line.startswith("answer:")]
    assert said.startswith("answer:  403 ")
    assert said.endswith(f", by deny ({line_of(proxy, 'deny:')})")
    assert any(line.startswith("page:    /") and line.endswith("/403.html") for line in done.stdout.splitlines())
    found = look(proxy, "http://a/api/x", "--client", "198.51.100.1")
    assert (found["refused"]["status"], found["refused"]["setting"]) == (403, "allow")
    assert (found["request"], found["match"]) == ([], True)
    large = look(proxy, "http://a/api/x", "--method", "POST", "-H", "Content-Length: 10001", "--client", "10.0.0.1")
    assert (large["refused"]["status"], large["refused"]["page"]) == (413, None)


def test_an_unknown_client_is_asked_for(proxy):
    found = look(proxy, "http://a/api/x")
    verdicts = {one["setting"]: one["verdict"] for one in found["rules"]}
    assert "--client" in verdicts["deny"] and "--client" in verdicts["allow"]
    assert found["refused"] is None


def test_asking_takes_nothing_of_a_limit(l7, origin, tmp_path):
    proxy = l7(stage_config(tmp_path, origin().address))
    for _ in range(5):
        assert look(proxy, "http://a/api/x", "--client", "127.0.0.1")["refused"] is None
    assert [get(proxy.address, "/api/x", host="a").status for _ in range(4)] == [200, 200, 200, 429]


def test_own_answers_are_shown(proxy):
    found = look(proxy, "http://b/x?y")
    assert (found["answer"]["status"], found["answer"]["setting"]) == (308, "redirect")
    assert "Location: https://a/x?y" in found["answer"]["fields"]
    assert found["answer"]["source"] == line_of(proxy, "redirect:")
    done = l7_explain(proxy, "http://a/robots.txt")
    assert done.returncode == 0
    assert "\nanswer:  200 text/plain" in done.stdout
    assert "servers" not in done.stdout


def test_general_rules_hold_without_a_route(proxy):
    found = look(proxy, "http://elsewhere/", "--client", "192.0.2.7")
    assert (found["match"], found["refused"]["status"], found["refused"]["setting"]) == (False, 403, "deny")
    assert look(proxy, "http://elsewhere/", "--client", "10.0.0.1")["refused"]["status"] == 404


def test_no_secret_is_shown(proxy):
    for where in ((), ("--offline",)):
        for url in ("http://a/api/x", "http://a/x"):
            done = l7_explain(proxy, url, "-H", "Authorization: Basic b3BzOmh1bnRlcjI=", *where)
            assert "hunter2" not in done.stdout
            assert "b3BzOmh1bnRlcjI" not in done.stdout
            assert "authorization: …" in done.stdout.lower()
    assert look(proxy, "http://a/x")["login"]
