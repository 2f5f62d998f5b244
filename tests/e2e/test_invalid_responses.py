"""What an invalid response is called: by the 502, and with a look at what came by the access log."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator

import pytest

from tests.harness.client import get
from tests.harness.origin import Request
from tests.harness.stage import Play, Stage

CONFIG = """
access-log-format: json
limits: {{response-head: 400B, response-headers: 5}}
backends: {{'*': {{servers: ['{address}'], ejection: off}}}}
"""
OK = b"HTTP/1.1 200 OK\r\n"
SETTINGS = b"\0\0\x12\x04\0\0\0\0\0" + b"\0\3\0\0\0\x80" * 3
SECRET = "s3cr3t"

# what comes; the reason for the client; what the log says beside it
CASES = {
    "http2": (SETTINGS, r"an HTTP/2 frame: the server speaks HTTP/2 only.*", r"'\\x00\\x00\\x12\\x04.*'"),
    "goaway": (b"\0\0\x08\x07\0\0\0\0\0" + b"\0" * 8, r"an HTTP/2 frame: .*", r"'\\x00\\x00\\x08\\x07.*'"),
    "version": (b"HTTP/2 200 OK\r\n\r\n", r"another version of HTTP: only 1\.0 and 1\.1 .*", "'HTTP/2 200 OK'"),
    "tls": (b"\x15\x03\x01\0\2\2\x46", r"a TLS record: .*", r"'\\x15\\x03.*'"),
    "ssh": (b"SSH-2.0-OpenSSH_9.2\r\n", r"no status line: .*", "'SSH-2.0-OpenSSH_9.2'"),
    "http09": (b"<html>" + b"x" * 100, r"no status line: .*", rf"'<html>{'x' * 54}\.\.\.'"),
    "empty line": (b"\r\n" + OK + b"\r\n", "an empty line before the status line", "''"),
    "status": (b"HTTP/1.1 99 Low\r\n\r\n", "malformed status line", "'HTTP/1.1 99 Low'"),
    "control": (OK + b"A: b\r\nCookie: " + SECRET.encode() + b"\0\r\n\r\n",
                r"control character, bare CR or bare LF in line 3 \(Cookie\)", ""),
    "in pieces": (OK + b"A: b\r\nCookie: " + SECRET.encode() + b"\0",
                  r"control character, bare CR or bare LF in line 3 \(Cookie\)", ""),
    "name": (OK + b"A: b\r\nSet Cookie: " + SECRET.encode() + b"\r\n\r\n",
             "invalid field name in line 3", "'Set Cookie'"),
    "colon": (OK + b"Set-Cookie=" + SECRET.encode() + b"\r\n\r\n", "no colon in line 2", "'Set-Cookie'"),
    "fold": (OK + b"Set-Cookie: a=b;\r\n " + SECRET.encode() + b"\r\n\r\n", r"folded field \(obs-fold\) in line 3", ""),
    "fold with colon": (OK + b"Set-Cookie: a=b;\r\n\t" + SECRET.encode() + b": c\r\n\r\n",
                        r"folded field \(obs-fold\) in line 3", ""),
    "length": (OK + b"Content-Length: 3 bytes\r\n\r\n", "invalid Content-Length", "'3 bytes'"),
    "lengths": (OK + b"Content-Length: 3\r\nContent-Length: 4\r\n\r\n", "more than one Content-Length", ""),
    "both": (OK + b"Content-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n",
             "Content-Length together with Transfer-Encoding", ""),
    "coding": (OK + b"Transfer-Encoding: gzip\r\n\r\n", "Transfer-Encoding other than chunked", "'gzip'"),
    "chunk": (OK + b"Transfer-Encoding: chunked\r\n\r\nxyz\r\n", "invalid chunk size", "'xyz'"),
    "body": (OK + b"Transfer-Encoding: chunked\r\n\r\npassword=" + SECRET.encode() + b"\r\n",
             "invalid chunk size", "'password'"),
    "unasked": (b"HTTP/1.1 101 Switching\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n",
                "101 without being asked.*", ""),
}  # fmt: skip
TOO_LARGE = {
    "bytes": (OK + b"A: " + b"b" * 400, r"head larger than 400 bytes \(limits\.response-head\)"),
    "fields": (OK + b"A: b\r\n" * 6 + b"\r\n", r"more than 5 fields \(limits\.response-headers\)"),
}


@pytest.fixture(scope="module")
def running() -> Iterator[Stage]:
    with Stage(CONFIG) as stage:
        yield stage


@pytest.fixture
def play(running: Stage) -> Iterator[Play]:
    with running.scene() as play:
        yield play


def ask(play: Play, raw: bytes) -> tuple[str, str]:
    """The reasons that the client and the log are given for this response of a server."""

    def script(request: Request) -> None:
        request.connection.send(raw)
        request.connection.wait_closed()

    play(script)
    answer = get(play.port, headers=[("Accept", "application/json")])
    assert answer.status == 502
    line = json.loads(play.wait_for_log(r'^\{.*"status": 502.*$').group(0))
    assert line["termination"] == "PH"
    return answer.json["reason"], line["reason"]


@pytest.mark.parametrize("case", CASES)
def test_the_reason_is_said(play: Play, case: str) -> None:
    raw, words, seen = CASES[case]
    told, logged = ask(play, raw)
    assert re.fullmatch(f"invalid response: {words}", told)
    assert re.fullmatch(re.escape(told) + (f": {seen}" if seen else ""), logged), logged
    assert SECRET not in told + logged


@pytest.mark.parametrize("case", TOO_LARGE)
def test_what_is_too_large_is_said_with_the_limit(play: Play, case: str) -> None:
    raw, words = TOO_LARGE[case]
    told, logged = ask(play, raw)
    assert re.fullmatch(f"response head too large: {words}", told) and logged == told
