"""``make test-container``: the steps of ``docs/Containerfile`` in roots made by debootstrap, and the image at work.

There is no container engine in it: a stage is a directory, ``RUN`` a chroot with namespaces of its own, and the image
runs as an engine would run it with ``--read-only``: process 1 of a process namespace, not root, nothing writable but
its volume. It needs root, debootstrap and the network, and takes some minutes. The network namespace is the machine's;
only loopback is used.
"""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from tests.harness import TIMEOUT
from tests.harness.client import get
from tests.harness.origin import Origin, Reply

ROOT = Path(__file__).resolve().parents[1]
FILE = ROOT / "docs" / "Containerfile"
SEARCH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


@dataclass
class Stage:
    """A root, and what the file says of how it is run."""

    root: Path
    environ: dict[str, str] = field(default_factory=lambda: {"PATH": SEARCH})
    settings: dict[str, str] = field(default_factory=dict)


def instructions(text: str) -> Iterator[tuple[str, str]]:
    """Yield the instructions of a Containerfile, each a word and the rest of its line."""
    for line in re.sub(r"\\\n", " ", text).splitlines():
        if line.strip() and not line.startswith("#"):
            word, _, rest = line.partition(" ")
            yield word, rest.strip()


def free_port() -> int:
    """A port of loopback that nobody has just now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class Build:
    """Makes the stages one after the other."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.stages: dict[str, Stage] = {}
        self.last = Stage(directory)

    def run(self, text: str) -> Stage:
        """Carry out every instruction and return the last stage."""
        for word, rest in instructions(text):
            print(f"-- {word} {rest}", flush=True)
            getattr(self, f"_{word.lower()}", lambda said, word=word: self._note(word, said))(rest)
        return self.last

    def _note(self, word: str, rest: str) -> None:
        assert word in ("USER", "VOLUME", "EXPOSE", "STOPSIGNAL", "HEALTHCHECK", "ENTRYPOINT", "CMD"), word
        self.last.settings[word] = rest

    def _from(self, rest: str) -> None:
        image, _, name = rest.partition(" AS ")
        suite = re.fullmatch(r"docker\.io/library/debian:(\w+)-slim", image)
        assert suite, f"only Debian is known here: {image}"
        base = self.directory / suite[1]
        if not base.exists():
            subprocess.run(["debootstrap", "--variant=minbase", suite[1], str(base)], check=True)
        self.last = Stage(self.directory / f"stage-{len(self.stages)}")
        subprocess.run(["cp", "-a", str(base), str(self.last.root)], check=True)
        shutil.copy("/etc/resolv.conf", self.last.root / "etc/resolv.conf")
        self.stages[name or str(len(self.stages))] = self.last

    def _env(self, rest: str) -> None:
        self.last.environ.update(word.split("=", 1) for word in shlex.split(rest))

    def _copy(self, rest: str) -> None:
        words = rest.split()
        stage = self.stages[words.pop(0).removeprefix("--from=")] if words[0].startswith("--from=") else None
        *sources, target = words
        for source in sources:
            path = stage.root / source.lstrip("/") if stage else ROOT / source
            to = self.last.root / target.lstrip("/")
            if target.endswith("/"):
                to.mkdir(parents=True, exist_ok=True)
            to.parent.mkdir(parents=True, exist_ok=True)
            copy = ["cp", "-aT", str(path), str(to)] if path.is_dir() else ["cp", "-a", str(path), str(to)]
            subprocess.run(copy, check=True)

    def _run(self, rest: str) -> None:
        root, trusted = self.last.root, os.environ.get("PIP_CERT")
        environ = {**self.last.environ, "DEBIAN_FRONTEND": "noninteractive"}
        mounts = f"mount -t proc proc {root}/proc"
        if trusted:  # a machine whose package index is known by a certificate of its own
            (root / "tmp/trusted.crt").write_bytes(Path(trusted).read_bytes())
            environ["PIP_CERT"] = "/tmp/trusted.crt"
        script = f"{mounts} && exec chroot {root} /bin/sh -ec {shlex.quote(rest)}"
        subprocess.run(["unshare", "--mount", "--pid", "--fork", "sh", "-ec", script], check=True, env=environ)


class Container:
    """The image at work, with a read-only root."""

    def __init__(self, image: Stage, config: Path, port: int) -> None:
        root, user = image.root, image.settings["USER"]
        self.image = image
        self.environ = {**image.environ, "L7_PORT": str(port)}
        words = [*json.loads(image.settings["ENTRYPOINT"]), *json.loads(image.settings["CMD"])]
        (target,) = json.loads(image.settings["VOLUME"])
        (root / "etc/l7/config.yml").touch()
        uid, gid = user.split(":")
        script = f"""
            mount --bind {root} {root}
            mount -t proc proc {root}/proc
            mount -t tmpfs -o mode=755,uid={uid},gid={gid} tmpfs {root}{target}
            mount --bind {config} {root}/etc/l7/config.yml
            mount -o remount,bind,ro {root}
            exec chroot --userspec={user} {root} {shlex.join(words)}
        """
        self.process = subprocess.Popen(
            ["unshare", "--mount", "--pid", "--fork", "--kill-child", "sh", "-ec", script],
            env=self.environ, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )  # fmt: skip
        self.events: list[str] = []
        self.log: list[str] = []
        self.readers = [
            threading.Thread(target=lambda: self.events.extend(self.process.stderr or ()), daemon=True),
            threading.Thread(target=lambda: self.log.extend(self.process.stdout or ()), daemon=True),
        ]
        for reader in self.readers:
            reader.start()
        self.pid = 0

    def first_process(self) -> int:
        """The id, on the machine, of process 1 of the container."""
        children = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children")
        until(children.read_text, "process 1 was started")
        return int(children.read_text().split()[0])

    def kill(self) -> None:
        """End what is left of it; a process that has changed its account outlives ``--kill-child``."""
        if self.process.poll() is None:
            os.kill(self.first_process(), signal.SIGKILL)
        self.process.wait(TIMEOUT)

    def inside(self, *words: str, user: str | None = None) -> subprocess.CompletedProcess[str]:
        """Run a command as ``podman exec`` would."""
        enter = ["nsenter", f"--target={self.first_process()}", "--mount", "--pid"]
        chroot = ["chroot", f"--userspec={user or self.image.settings['USER']}", str(self.image.root)]
        return subprocess.run(
            [*enter, *chroot, *words], env=self.environ, capture_output=True, text=True, timeout=TIMEOUT, check=False
        )

    def healthy(self) -> bool:
        """What HEALTHCHECK finds out."""
        command = json.loads(self.image.settings["HEALTHCHECK"].partition("CMD ")[2])
        return self.inside(*command).returncode == 0

    def processes(self) -> dict[int, dict[str, str]]:
        """What ``/proc`` says of all processes of the container, by their id in it."""
        space = os.readlink(f"/proc/{self.first_process()}/ns/pid")
        found = {}
        for path in Path("/proc").glob("[0-9]*"):
            try:
                if os.readlink(path / "ns/pid") == space:
                    lines = (path / "status").read_text().splitlines()
                    status = {name: value.strip() for name, value in (line.split(":", 1) for line in lines)}
                    found[int(status["NSpid"].split()[-1])] = status
            except OSError:
                continue  # it has just ended
        return found


def until(condition: object, what: str) -> None:
    """Wait until something is true."""
    deadline = time.monotonic() + TIMEOUT
    while not condition():  # type: ignore[operator]
        assert time.monotonic() < deadline, what
        time.sleep(0.1)


def check(container: Container, origin: Origin, port: int, slow: threading.Event) -> None:
    """Assert all that the file promises."""
    until(container.healthy, "".join(container.events))
    assert get(port, host="a").body == b"hello"

    status = container.processes()
    first = container.first_process()
    assert status[1]["Name"].startswith("l7"), status[1]
    assert int(status[1]["Pid"]) == first
    assert {one["PPid"] for number, one in status.items() if number != 1} == {str(first)}, "one tree below process 1"
    assert all(one["Uid"].split() == ["10001"] * 4 for one in status.values()), "nobody is root"

    refused = container.inside("touch", "/x", "/etc/l7/x", "/tmp/x", user="0:0")
    assert refused.stderr.count("Read-only file system") == 3, refused.stderr
    assert "compiled" in container.inside("l7", "--version").stdout

    container.inside("sh", "-c", "(sleep 0.3 &)")  # whose parent ends at once, so that it becomes process 1's
    until(lambda: "sleep" not in {one["Name"] for one in container.processes().values()}, "a zombie is left")

    answers: list[bytes] = []
    asking = threading.Thread(target=lambda: answers.append(get(port, "/slow", host="a").body))
    asking.start()
    until(lambda: any(request.target == b"/slow" for request in origin.requests), "the slow request came")
    os.kill(first, getattr(signal, container.image.settings["STOPSIGNAL"]))
    until(lambda: any("stopping" in event for event in container.events), "it was told to stop")
    slow.set()
    asking.join(TIMEOUT)
    assert answers == [b"hello"], "what was in flight is finished"
    assert container.process.wait(TIMEOUT) == 0
    assert any('"GET /slow HTTP/1.1" 200' in line for line in container.log), "the access log is on standard output"


def main() -> int:
    """Build, run, check."""
    if os.geteuid() != 0 or shutil.which("debootstrap") is None:
        print("needs root and debootstrap", file=sys.stderr)
        return 1
    slow = threading.Event()

    def answer(request: object) -> Reply:
        if getattr(request, "target", b"") == b"/slow":
            slow.wait(TIMEOUT)
        return Reply(body=b"hello")

    with tempfile.TemporaryDirectory(prefix="l7-container-", dir="/var/tmp") as name, Origin(answer) as origin:
        directory = Path(name)
        directory.chmod(0o755)
        image = Build(directory).run(FILE.read_text("utf-8"))
        config, port = directory / "config.yml", free_port()
        config.write_text(f"bind: 127.0.0.1\nbackends: {{'*': {{servers: ['{origin.address}']}}}}\n")
        container = Container(image, config, port)
        try:
            check(container, origin, port, slow)
        finally:
            container.kill()
    print("docs/Containerfile: its steps work, and so does what they make")
    return 0


if __name__ == "__main__":
    sys.exit(main())
