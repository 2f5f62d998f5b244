"""An authority of a script, for what pebble does not do on demand: limits, renewal information, nonsense.

with FakeAuthority() as authority:
    authority.answers["/order"] = Answer(429, {"type": ..., "detail": ...}, {"Retry-After": "7200"})
    authority.directory                       # for `tls.acme.directory`; its issuers are those of `tests.harness.tls`
    authority.asked                           # the paths that were asked for
    authority.sent["/order"]                  # what was sent there last

A path is answered as the first one that it begins with.

Without anything else it has accounts, and answers orders with 404.
"""

from __future__ import annotations

import base64
import json
import ssl
import tempfile
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import TracebackType
from typing import Any

from tests.harness import TIMEOUT
from tests.harness.tls import authority, chain_of, issue


@dataclass(frozen=True)
class Answer:
    """What is answered: text as it is, anything else as JSON."""

    status: int = 200
    body: Any = ""
    fields: Mapping[str, str] = field(default_factory=dict)


def payload(signed: bytes) -> Any:
    """What a signed message says (RFC 7515)."""
    text = json.loads(signed)["payload"]
    return json.loads(base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)) or b"null")


class FakeAuthority:
    """What speaks ACME as far as its script goes."""

    def __init__(self) -> None:
        self._directory = tempfile.TemporaryDirectory(prefix="l7-authority-")
        path = Path(self._directory.name)
        leaf = issue("localhost", "127.0.0.1")
        (path / "own.crt").write_bytes(chain_of(leaf))
        leaf.private_key_pem.write_to_path(str(path / "own.key"))
        authority().cert_pem.write_to_path(str(path / "issuers.pem"))
        self.ca = str(path / "issuers.pem")
        self.asked: list[str] = []
        self.agents: set[str] = set()
        self.sent: dict[str, Any] = {}
        """What was sent last, by the path."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(path / "own.crt", path / "own.key")
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self._server.socket = context.wrap_socket(self._server.socket, server_side=True)
        base = f"https://127.0.0.1:{self._server.server_port}"
        self.directory = f"{base}/dir"
        self.answers: dict[str, Answer] = {
            "/dir": Answer(
                body={
                    "newNonce": f"{base}/nonce", "newAccount": f"{base}/account", "newOrder": f"{base}/order",
                    "renewalInfo": f"{base}/renewal",
                },
            ),
            "/nonce": Answer(),
            "/account": Answer(201, {"status": "valid"}, {"Location": f"{base}/account/1"}),
        }  # fmt: skip
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True)
        self._thread.start()

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        fake = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def answer(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
                fake.asked.append(self.path)
                fake.sent[self.path] = payload(body) if body else {}
                fake.agents.add(self.headers.get("User-Agent", ""))
                known = (one for path, one in fake.answers.items() if self.path.startswith(path))
                answer = next(known, Answer(404, {"type": "urn:ietf:params:acme:error:malformed"}))
                text = isinstance(answer.body, str)
                body = (answer.body if text else json.dumps(answer.body)).encode()
                kind = "application/problem+json" if answer.status >= 400 else "application/json"
                self.send_response(answer.status)
                fields = {"Replay-Nonce": f"n{len(fake.asked)}", "Content-Type": "text/html" if text else kind}
                for name, value in {**fields, **answer.fields, "Content-Length": str(len(body))}.items():
                    self.send_header(name, value)
                self.end_headers()
                if self.command != "HEAD":
                    self.wfile.write(body)

            do_GET = do_POST = do_HEAD = answer

            def log_message(self, *_: object) -> None:
                """Say nothing."""

        return Handler

    def close(self) -> None:
        """End it."""
        self._server.shutdown()
        self._thread.join(TIMEOUT)
        self._server.server_close()
        self._directory.cleanup()

    def __enter__(self) -> FakeAuthority:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
