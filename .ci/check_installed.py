"""Look at the l7 that is installed beside this interpreter: it must be compiled and proxy a request. For new wheels."""

from __future__ import annotations

import http.server
import re
import subprocess
import sys
import threading
import urllib.request
from pathlib import Path

L7 = str(Path(sys.executable).parent / "l7")


class _Origin(http.server.BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Length", "5")
        self.end_headers()
        self.wfile.write(b"hello")

    def log_message(self, *_: object) -> None:
        """Say nothing."""


def main() -> int:
    """Return 0 when all is well."""
    version = subprocess.run([L7, "--version"], capture_output=True, text=True, check=True, timeout=60).stdout
    print(version, end="")
    if "pure Python" in version:
        print("this wheel has no compiled modules for this interpreter", file=sys.stderr)
        return 1
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), _Origin) as origin:
        threading.Thread(target=origin.serve_forever, daemon=True).start()
        words = ["--bind", "127.0.0.1", "--port", "0", "--workers", "1", "--access-log", "off", "--control", "off"]
        command = [L7, *words, f"*=127.0.0.1:{origin.server_port}"]
        with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as proxy:
            try:
                answer = _ask(proxy)
            finally:
                proxy.terminate()
        origin.shutdown()
    print(f"answer: {answer!r}, exit code: {proxy.returncode}")
    return 0 if (answer, proxy.returncode) == (b"hello", 0) else 1


def _ask(proxy: subprocess.Popen[str]) -> bytes:
    seen = ""
    while (found := re.search(r"ready: listening on ([\d.]+:\d+)", seen)) is None:
        assert proxy.stderr is not None
        line = proxy.stderr.readline()
        if not line:
            raise SystemExit(f"l7 ended:\n{seen}")
        seen += line
    with urllib.request.urlopen(f"http://{found[1]}/", timeout=30) as answer:
        return bytes(answer.read())


if __name__ == "__main__":
    sys.exit(main())
