"""A collector of spans (OTLP over HTTP), which reads what it is sent by the official package and refuses all else."""

from __future__ import annotations

import base64
import json
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any

from google.protobuf.json_format import ParseDict
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

_IDS = ("traceId", "spanId", "parentSpanId")


def decoded(body: bytes) -> Any:
    """An export request in JSON as the official package has it; raises for whatever is not one.

    OTLP writes ids in hexadecimal, where the JSON of protocol buffers has base64.
    """
    return ParseDict(_with_base64(json.loads(body)), ExportTraceServiceRequest())


def _with_base64(value: Any) -> Any:
    if isinstance(value, list):
        return [_with_base64(one) for one in value]
    if not isinstance(value, dict):
        return value
    return {
        key: base64.b64encode(bytes.fromhex(one)).decode() if key in _IDS else _with_base64(one)
        for key, one in value.items()
    }


Script = Callable[[int], tuple[int, dict[str, str]]]
"""The answer to a request by its number, from 0: its status and fields."""


class Collector:
    """Takes spans on a free port, or on the one that it is given; a context manager."""

    def __init__(self, script: Script = lambda _: (200, {}), port: int = 0) -> None:
        self.spans: list[Any] = []
        """What it has taken."""
        self.statuses: list[int] = []
        """What it has answered."""
        self.resources: list[dict[str, str]] = []
        self.faults: list[str] = []
        self.script = script
        self._server = ThreadingHTTPServer(("127.0.0.1", port), self._handler())
        self._server.daemon_threads = True
        self.port: int = self._server.server_address[1]
        self.url = f"http://127.0.0.1:{self.port}"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True)

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        collector = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                status, fields = collector.script(len(collector.statuses))
                collector.take(self.path, self.headers["Content-Type"], body, status)
                self.send_response(status)
                for name, value in {"Content-Length": "2", **fields}.items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(b"{}")

            def log_message(self, *_: object) -> None:
                pass

        return Handler

    def take(self, path: str, media_type: str, body: bytes, status: int) -> None:
        """Note one request."""
        self.statuses.append(status)
        if (path, media_type) != ("/v1/traces", "application/json"):
            self.faults.append(f"{path} {media_type}")
        try:
            request = decoded(body)
        except Exception as fault:  # whatever it is, the test is told
            self.faults.append(f"{fault}: {body!r}")
            return
        for resource in request.resource_spans if status == 200 else ():
            self.resources.append({one.key: one.value.string_value for one in resource.resource.attributes})
            for scope in resource.scope_spans:
                self.spans += scope.spans

    def __enter__(self) -> Collector:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()
        assert not self.faults, self.faults
