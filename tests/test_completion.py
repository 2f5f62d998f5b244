"""``l7 completion`` as people use it: somebody types in the shell itself and presses the tabulator key."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from l7.config.reading.command_options import COMMANDS, WORDS
from l7.config.reading.flags import build
from tests.harness import TIMEOUT
from tests.harness.l7process import ROOT

(SHELLS,) = WORDS["completion"]
PROMPT = "=ready=>"


def completion(shell: str) -> str:
    command = [sys.executable, "-m", "l7", "completion", shell]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True, timeout=TIMEOUT).stdout


class Fish:
    """fish, which can be asked what it would complete."""

    def __init__(self, directory: Path, environ: dict[str, str]) -> None:
        self.directory, self.environ = directory, environ

    def completed(self, typed: str) -> str:
        command = ["fish", "--no-config", "-c", "source script; complete -C $argv[1]", typed]
        done = subprocess.run(
            command, cwd=self.directory, env=self.environ, capture_output=True, text=True, timeout=TIMEOUT, check=True
        )
        assert done.stderr == ""
        found = [line.partition("\t")[0] for line in done.stdout.splitlines()]
        return f"{typed.rpartition(' ')[0]} {found[0]}" if len(found) == 1 else typed

    def close(self) -> None:
        """Nothing to do: each question is a process of its own."""


class Typed:
    """bash or zsh on a terminal."""

    def __init__(self, words: list[str], start: str, directory: Path, environ: dict[str, str]) -> None:
        self.terminal = Terminal(["setsid", "--ctty", *words], directory, environ)
        self.terminal.write(f"{start}; printf '<%s>' script is loaded; PS1='{PROMPT}'\n")
        self.terminal.expect(rf"<loaded>.*{PROMPT}")

    def completed(self, typed: str) -> str:
        """The command line after the key was pressed."""
        # The key, then a print of what stands there: the editor reads one after the other.
        self.terminal.write(f"{typed}\t\x01printf '<%s>' \x05 END\n")
        shown = self.terminal.expect(r"(<l7>[^\n]*?)<END>")
        return " ".join(re.findall("<(.*?)>", shown))

    def close(self) -> None:
        self.terminal.close()


class Terminal:
    """A program on a terminal of its own."""

    def __init__(self, command: list[str], directory: Path, environ: dict[str, str]) -> None:
        self.ours, theirs = os.openpty()
        os.set_blocking(self.ours, False)
        self.process = subprocess.Popen(
            command, cwd=directory, env=environ, stdin=theirs, stdout=theirs, stderr=theirs, close_fds=True
        )
        os.close(theirs)
        self.seen = ""

    def write(self, text: str) -> None:
        os.write(self.ours, text.encode())

    def expect(self, pattern: str) -> str:
        """Wait until the pattern is seen; returns its first group."""
        deadline = time.monotonic() + TIMEOUT
        while (match := re.search(pattern, self.seen, re.DOTALL)) is None:
            assert time.monotonic() < deadline, self.seen
            try:
                self.seen += os.read(self.ours, 65536).decode("utf-8", "replace")
            except BlockingIOError:
                time.sleep(0.01)
        self.seen = self.seen[match.end() :]
        return match[1] if match.groups() else match[0]

    def close(self) -> None:
        os.close(self.ours)
        self.process.kill()
        self.process.wait(TIMEOUT)


@pytest.fixture(params=SHELLS)
def shell(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Fish | Typed]:
    """A shell with the script in it, in a directory with a ``config.yml``."""
    name = request.param
    if shutil.which(name) is None:
        pytest.skip(f"needs {name}")
    (tmp_path / "config.yml").touch()
    (tmp_path / ("_l7" if name == "zsh" else "script")).write_text(completion(name), "utf-8")
    environ = {"PATH": os.environ["PATH"], "HOME": str(tmp_path), "TERM": "dumb", "LC_ALL": "C.UTF-8"}
    one: Fish | Typed
    if name == "fish":
        one = Fish(tmp_path, environ)
    elif name == "bash":
        one = Typed(["bash", "--noprofile", "--norc", "-i"], "source ./script", tmp_path, environ)
    else:
        start = "fpath=($PWD $fpath); autoload -Uz compinit; compinit -u"
        one = Typed(["zsh", "-f", "-i"], start, tmp_path, environ)
    yield one
    one.close()


@pytest.mark.timeout(300)
def test_a_word_is_completed(shell: Fish | Typed) -> None:
    for typed, expected in (
        ("l7 che", "l7 check"),
        ("l7 --log-l", "l7 --log-level"),
        ("l7 --log-level de", "l7 --log-level debug"),
        ("l7 --access-log-format comb", "l7 --access-log-format combined"),
        ("l7 --workers au", "l7 --workers auto"),
        ("l7 --timeouts-id", "l7 --timeouts-idle"),
        ("l7 --defaults-balance le", "l7 --defaults-balance least-requests"),
        ("l7 -c conf", "l7 -c config.yml"),
        ("l7 -c config.yml rel", "l7 -c config.yml reload"),
        ("l7 check --config conf", "l7 check --config config.yml"),
        ("l7 explain --off", "l7 explain --offline"),
        ("l7 reload --dry", "l7 reload --dry-run"),
        ("l7 completion z", "l7 completion zsh"),
        ("l7 server example.com 127.0.0.1:1 dra", "l7 server example.com 127.0.0.1:1 drain"),
        ("l7 --log-level=de", "l7 --log-level=debug"),
        ("l7 --config=conf", "l7 --config=config.yml"),
        ("l7 a=127.0.0.1:1 --log-l", "l7 a=127.0.0.1:1 --log-level"),
    ):
        assert shell.completed(typed) == expected


@pytest.mark.timeout(300)
def test_what_a_command_does_not_take_is_not_offered(shell: Fish | Typed) -> None:
    for typed in ("l7 status --off", "l7 --dry", "l7 frob"):
        assert shell.completed(typed) == typed


def test_everything_is_in_it() -> None:
    options = [name for action in build()._actions for name in action.option_strings if name.startswith("--")]
    for shell in SHELLS:
        script = completion(str(shell))
        for word in (*COMMANDS, *options):
            assert re.search(rf"(^|[^a-z-]|-l |\\?-){re.escape(word.removeprefix('--'))}\b", script), word
