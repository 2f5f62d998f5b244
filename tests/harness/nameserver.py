"""Name servers on loopback: the real dnsmasq, and a scripted one for what dnsmasq does not do on demand.

with Dnsmasq({"app.test": ["127.0.0.2"]}) as names:
    names.address                             # "127.0.0.1:40123", as `resolver.servers` wants it
    names.change({"app.test": ["127.0.0.3"]}) # SIGHUP; answers are other ones when it returns

with NameServer() as names:
    names.records["app.test", "A"] = (5, ["127.0.0.2"])
    names.rcode = "SERVFAIL"                  # every answer from now on; None for records again
    names.silent = True                       # no answer at all
"""

from __future__ import annotations

import contextlib
import os
import select
import shutil
import signal
import socket
import subprocess
import tempfile
import threading
import time
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType

import dns.flags
import dns.message
import dns.query
import dns.rcode
import dns.rdatatype
import dns.resolver
import dns.rrset

from tests.harness import TIMEOUT

DNSMASQ = shutil.which("dnsmasq", path=os.pathsep.join([os.environ.get("PATH", ""), "/usr/sbin", "/usr/local/sbin"]))

Hosts = Mapping[str, Sequence[str]]


class Dnsmasq:
    """A dnsmasq that knows a hosts file and SRV records, and answers for all of ``.test``. ``ttl`` is in seconds."""

    def __init__(self, hosts: Hosts, *, services: Sequence[str] = (), ttl: int = 1) -> None:
        assert DNSMASQ is not None, "dnsmasq is missing; on Debian: apt-get install dnsmasq-base"
        self._directory = tempfile.TemporaryDirectory(prefix="l7-names-")
        self._hosts = Path(self._directory.name) / "hosts"
        self._options = [*(f"--srv-host={service}" for service in services), f"--local-ttl={ttl}"]
        self._write(hosts)
        self._process: subprocess.Popen[bytes] | None = None
        self.port = 0
        for _ in range(5):  # somebody else may take the port meanwhile
            self.port = _free_port()
            self.start()
            if self._answers():
                return
            self.stop()
        raise AssertionError("dnsmasq does not answer")

    @property
    def address(self) -> str:
        """Where it answers."""
        return f"127.0.0.1:{self.port}"

    def start(self) -> None:
        """Start it, again on the same port after `stop`."""
        assert DNSMASQ is not None
        words = [
            DNSMASQ, "--keep-in-foreground", "--conf-file=/dev/null", f"--port={self.port}",
            "--listen-address=127.0.0.1", "--bind-interfaces", "--no-resolv", "--no-hosts", "--log-facility=-",
            "--local=/test/", f"--addn-hosts={self._hosts}", "--pid-file=", "--user=", "--group=", *self._options,
        ]  # fmt: skip
        self._process = subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    def stop(self) -> None:
        """End it: nobody answers any more."""
        if self._process is not None:
            self._process.kill()
            self._process.wait(TIMEOUT)
            self._process = None

    def change(self, hosts: Hosts) -> None:
        """Give other answers from now on."""
        self._write(hosts)
        assert self._process is not None
        self._process.send_signal(signal.SIGHUP)
        for name, wanted in hosts.items():
            deadline = time.monotonic() + TIMEOUT
            while self._look_up(name) != sorted(wanted):
                assert time.monotonic() < deadline, f"dnsmasq does not give {wanted} for {name}"
                time.sleep(0.02)

    def _write(self, hosts: Hosts) -> None:
        self._hosts.write_text("".join(f"{host} {name}\n" for name, found in hosts.items() for host in found), "utf-8")

    def _answers(self) -> bool:
        deadline = time.monotonic() + TIMEOUT
        while self._process is not None and self._process.poll() is None and time.monotonic() < deadline:
            with contextlib.suppress(dns.exception.DNSException, OSError):
                self._ask("ready.invalid", "A")
                return True
            time.sleep(0.02)
        return False

    def _look_up(self, name: str) -> list[str]:
        found = [record.address for kind in ("A", "AAAA") for rrset in self._ask(name, kind).answer for record in rrset]
        return sorted(found)

    def _ask(self, name: str, kind: str) -> dns.message.Message:
        return dns.query.udp(dns.message.make_query(name, kind), "127.0.0.1", timeout=1.0, port=self.port)

    def close(self) -> None:
        """Stop it and remove what it left."""
        self.stop()
        self._directory.cleanup()

    def __enter__(self) -> Dnsmasq:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


class NameServer:
    """A name server of a script, over UDP and TCP."""

    def __init__(self) -> None:
        self.records: dict[tuple[str, str], tuple[int, Sequence[str]]] = {}
        """By name and kind: time to live and the records, as in a zone file."""
        self.rcode: str | None = None
        self.rcodes: dict[str, str] = {}
        """What is answered to one kind of question, instead of records."""
        self.silent = False
        self.delay = 0.0
        """Seconds before each answer."""
        self.truncates = False
        """Whether answers over UDP say no more than that they do not fit."""
        self.asked: Counter[tuple[str, str]] = Counter()
        self.times: defaultdict[tuple[str, str], list[float]] = defaultdict(list)
        self._udp, self._tcp = _bind_both()
        self.port = self._udp.getsockname()[1]
        self._tcp.listen()
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    @property
    def address(self) -> str:
        """Where it answers."""
        return f"127.0.0.1:{self.port}"

    def wait_for(self, name: str, kind: str, count: int) -> None:
        """Wait until it was asked so often."""
        deadline = time.monotonic() + TIMEOUT
        while self.asked[name, kind] < count:
            assert time.monotonic() < deadline, f"asked only {self.asked}"
            time.sleep(0.005)

    def _serve(self) -> None:
        while not self._over.is_set():
            for ready in select.select([self._udp, self._tcp], [], [], 0.05)[0]:
                with contextlib.suppress(OSError, dns.exception.DNSException):
                    self._serve_udp() if ready is self._udp else self._serve_tcp()

    def _serve_udp(self) -> None:
        data, client = self._udp.recvfrom(65535)
        answer = self._answer(dns.message.from_wire(data))
        if answer is not None:
            if self.truncates:
                answer.answer.clear()
                answer.flags |= dns.flags.TC
            self._udp.sendto(answer.to_wire(), client)

    def _serve_tcp(self) -> None:
        client, _ = self._tcp.accept()
        with client:
            client.settimeout(1)
            question, _ = dns.query.receive_tcp(client)
            answer = self._answer(question)
            if answer is not None:
                dns.query.send_tcp(client, answer)

    def _answer(self, question: dns.message.Message) -> dns.message.Message | None:
        asked = question.question[0]
        name, kind = asked.name.to_text(omit_final_dot=True).lower(), dns.rdatatype.to_text(asked.rdtype)
        self.times[name, kind].append(time.monotonic())
        self.asked[name, kind] += 1
        if self.silent:
            return None
        time.sleep(self.delay)
        answer = dns.message.make_response(question)
        known = [key for key in self.records if key[0] == name]
        rcode = self.rcodes.get(kind, self.rcode)
        if rcode is not None or not known:
            answer.set_rcode(dns.rcode.from_text(rcode or "NXDOMAIN"))
        else:
            self._fill(answer, name, kind)
        return answer

    def _fill(self, answer: dns.message.Message, name: str, kind: str) -> None:
        for each in ("CNAME", kind):
            if (name, each) in self.records:
                ttl, records = self.records[name, each]
                answer.answer.append(dns.rrset.from_text(f"{name}.", ttl, "IN", each, *records))
                if each == "CNAME":
                    self._fill(answer, records[0].rstrip("."), kind)

    def close(self) -> None:
        """End it."""
        self._over.set()
        self._thread.join(TIMEOUT)
        self._udp.close()
        self._tcp.close()

    def __enter__(self) -> NameServer:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def _bind_both() -> tuple[socket.socket, socket.socket]:
    """A socket for datagrams and one for connections, on one port that was free for both."""
    for _ in range(50):
        tcp = socket.socket()
        udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        try:
            tcp.bind(("127.0.0.1", 0))
            udp.bind(tcp.getsockname())
        except OSError:
            tcp.close()
            udp.close()
        else:
            return udp, tcp
    raise AssertionError("no port is free for both")


def _free_port() -> int:
    udp, tcp = _bind_both()
    with udp, tcp:
        port: int = udp.getsockname()[1]
        return port
