"""The command line as it is used: the real program, its output and its exit codes."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest
import yaml

from l7.commands import dispatch
from l7.config.reading.command_options import COMMANDS
from tests.harness.l7process import ROOT

PROGRAM = [sys.executable, "-m", "l7"]
CONFIG = """\
port: 8080
users: {me: hunter2}
backends:
  example.com: {servers: [127.0.0.1:8081, 127.0.0.1:8082]}
  example.com/api: {servers: ['unix:/run/app.sock']}
  '*.example.com': {servers: []}
"""


def environment(**variables: str) -> dict[str, str]:
    ours = {name: value for name, value in os.environ.items() if not name.startswith("L7_") or name == "L7_PURE_PYTHON"}
    return {**ours, "PYTHONPATH": str(ROOT), **variables}


@pytest.fixture(autouse=True)
def directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Work in a directory that has a ``config.yml``."""
    (tmp_path / "config.yml").write_text(CONFIG, "utf-8")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def l7(*argv: str | bytes, **variables: str) -> tuple[int, str, str]:
    """Run l7 and return exit code, standard output and standard error, which never hold a traceback."""
    done = subprocess.run(
        [*PROGRAM, *argv], capture_output=True, text=True, timeout=30, env=environment(**variables), check=False
    )
    assert "Traceback" not in done.stderr
    assert "hunter2" not in done.stdout + done.stderr
    return done.returncode, done.stdout, done.stderr


def test_check() -> None:
    assert l7("check", "-c", "config.yml") == (0, "config.yml: ok (3 hosts, 3 servers)\n", "")
    assert l7("check", "a=b") == (0, "configuration: ok (1 host, 1 server)\n", "")
    assert l7("check", L7_SERVERS="a=b c=d", L7_CONFIG="config.yml")[1] == "config.yml: ok (5 hosts, 5 servers)\n"


def test_check_reports_everything_on_standard_error(directory: Path) -> None:
    (directory / "config.yml").write_text("prot: 1\nusers: {a: }\n", "utf-8")
    code, out, err = l7("check", "-c", "config.yml", "--user", "hunter2", "--port", "x", L7_WORKERS="0")
    assert (code, out) == (2, "")
    assert err.splitlines() == [
        "--user: write LOGIN:PASSWORD",
        "--port: 'x' is not a whole number; write 0 to 65535",
        "L7_WORKERS: 0 is out of range; write 1 to 1024, or auto",
        "config.yml:1: prot: unknown key; did you mean 'port'?",
    ]


@pytest.mark.parametrize("argv", [["-p", "1", "check", "-c", "config.yml"], ["-c", "config.yml", "-p", "1", "check"]])
def test_options_may_come_before_the_command(argv: Sequence[str]) -> None:
    assert l7(*argv)[0] == 0


def test_running_is_refused_in_the_same_words() -> None:
    code, out, err = l7("-c", "config.yml", "--port", "x")
    assert (code, out, err) == (2, "", "--port: 'x' is not a whole number; write 0 to 65535\n")


def test_without_any_backend_l7_shows_the_line_to_write() -> None:
    code, out, err = l7()
    assert (code, out) == (2, "")
    assert "l7 --port 8080 localhost=127.0.0.1:9001" in err


def test_dump_loads_back() -> None:
    code, out, err = l7("dump", "-c", "config.yml", "-p", "1234", L7_WORKERS="2")
    assert (code, err) == (0, "")
    assert {"port: 1234  # --port", "workers: 2  # L7_WORKERS", "log-level: info  # default"} <= set(out.splitlines())
    Path("dump.yml").write_text(out, "utf-8")
    code, again, err = l7("dump", "-c", "dump.yml")
    assert code == 0
    assert yaml.safe_load(again) == yaml.safe_load(out)
    assert err == "warning: users: me: has the placeholder of a dump as password: nobody can log in with it\n"


def test_explain() -> None:
    code, out, _ = l7("explain", "http://Example.com:8080/api/x?y", "-c", "config.yml")
    assert code == 0
    for line in ("host:    example.com", "route:   example.com/api (exact host, longest path prefix /api)"):
        assert line in out.splitlines()
    assert "  unix:/run/app.sock" in out
    assert "  X-Forwarded-Proto: http" in out


def test_explain_in_json_with_headers() -> None:
    code, out, _ = l7("explain", "--json", "x", "-H", "Host: EXAMPLE.com.", "-H", "X-Request-ID: 7", "-c", "config.yml")
    found = json.loads(out)
    assert (code, found["match"], found["host"], found["route"]) == (0, True, "example.com", "example.com")
    assert found["servers"] == ["127.0.0.1:8081", "127.0.0.1:8082"]
    assert {"Host", "Via", "X-Forwarded-For", "X-Request-ID"} <= found["headers"].keys()
    assert found["headers"]["X-Request-ID"] != "7"


@pytest.mark.parametrize("url", ["http://other.org/", "http://", "bad host", "http://example.org:99999/", "h\x01"])
def test_explain_exits_with_1_when_nothing_matches(url: str) -> None:
    code, out, _ = l7("explain", url, "-c", "config.yml")
    assert code == 1
    assert "route:   none: " in out
    code, out, _ = l7("explain", url, "-c", "config.yml", "--json")
    assert (code, json.loads(out)["match"]) == (1, False)


def test_explain_shows_no_login() -> None:
    code, out, _ = l7("explain", "http://me:hunter2@example.com/x?a@b", "-c", "config.yml", "-H", "X: 1")
    assert (code, out.splitlines()[0]) == (0, "url:     http://example.com/x?a@b")


def test_explain_needs_a_url() -> None:
    assert l7("explain", "-c", "config.yml")[0] == 2


@pytest.mark.parametrize("url", ["ftp://example.com/", "WS://me:hunter2@example.com/"])
def test_explain_needs_a_url_of_http(url: str) -> None:
    code, out, err = l7("explain", url, "-c", "config.yml")
    assert (code, out, err) == (2, "", "explain: the URL is neither http:// nor https://\n")


@pytest.mark.parametrize("field", ["hunter2", ": hunter2", "X hunter2: 1", "X: a\r\nhunter2: 1"])
def test_explain_needs_header_fields_that_are_some(field: str) -> None:
    code, out, err = l7("explain", "http://example.com/", "-H", field, "-c", "config.yml")
    assert (code, out, err) == (2, "", "--header: must be a header field, as 'Accept: text/html'\n")


def test_the_help_says_what_a_section_is_that_can_be_off() -> None:
    _, out, _ = l7("--help")
    for flag, words in (
        ("--recorder off", "What is kept of the last requests"),
        ("--tracing off", "Traces of requests"),
    ):
        assert re.search(rf"{flag}\s+{words}", out), flag


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        (["chek"], "chek: unknown command; did you mean 'check'? (commands: check, dump, explain, "),
        (["frobnicate"], "frobnicate: unknown command (commands: "),
        (["status", "--dry-run"], "--dry-run: only for `l7 reload`"),
        (["status", "--force"], "--force: only for `l7 reload`"),
        (["reload", "--force", "--dry-run"], "--force: not with --dry-run, which connects to no server"),
        (["reload", "config.yml"], "config.yml: `l7 reload` takes no such word; a file is given as -c FILE"),
        (["status", "me:hunter2"], "me: `l7 status` takes no such word"),
        (["--prot", "80", "a=b"], "--prot: unknown option; did you mean '--port'?"),
        (["--por", "80", "a=b"], "--por: unknown option; did you mean '--port'?"),
        (["-x", "a=b"], "-x: unknown option"),
        (["--json=hunter2"], "--json: takes no value"),
        (["--port"], "--port: expected one argument"),
        (["--json", "a=b"], "--json: only for `l7 explain`, `l7 status`, `l7 server`"),
        (["a=b", "check"], "check: write HOST=ADDRESS"),
        (["-c", "nope.yml"], "nope.yml: cannot be read: No such file or directory"),
        (["a=b", "--port", "\x1b[31m"], "--port: '\\x1b[31m' is not a whole number"),
        (["completion"], "completion: write bash, zsh or fish, as in `l7 completion bash`"),
        (["completion", "tcsh"], "completion: 'tcsh' is unknown; write bash, zsh or fish, as in"),
        (["completion", "bash", "zsh"], "zsh: `l7 completion` takes no such word"),
        (["completion", "bash", "--json"], "--json: only for `l7 explain`, `l7 status`, `l7 server`"),
        (["schema", "config.yml"], "config.yml: `l7 schema` takes no such word"),
        (["schema", "--prot", "1"], "--prot: unknown option; did you mean '--port'?"),
    ],
)
def test_usage_errors(argv: Sequence[str], message: str) -> None:
    code, out, err = l7(*argv)
    assert (code, out) == (2, "")
    assert err.startswith(message)


def test_version() -> None:
    for flag in ("-V", "--version"):
        code, out, _ = l7(flag)
        assert code == 0
        first, *more = out.splitlines()
        assert re.fullmatch(r"l7 \d+\.\d+\.\d+ \(.+, Python \d+\.\d+\.\d+\S*, gevent .+\)", first)
        assert [line.partition(":")[0] for line in more][-2:] in (["compression"], ["not compiled", "compression"])
        assert "gzip" in more[-1]


def test_help_and_dispatch_know_the_same_commands() -> None:
    assert list(dispatch.COMMANDS) == list(COMMANDS)


def test_help_names_every_command_and_variable() -> None:
    code, out, _ = l7("--help", L7_PORT="x")
    assert code == 0
    for word in (
        *COMMANDS,
        "--graceful-timeout",
        "L7_GRACEFUL_TIMEOUT",
        "examples:",
        "(default: 8s)",
        "(default: true)",
    ):
        assert word in out


def test_unknown_variables_warn() -> None:
    code, _, err = l7("check", "a=b", L7_PROT="1")
    assert (code, err) == (0, "warning: L7_PROT: unknown environment variable, ignored; did you mean 'L7_PORT'?\n")


def test_names_that_are_no_text_are_shown_escaped() -> None:
    code, _, err = l7("check", "-c", b"\xff.yml")
    assert code == 2
    assert "cannot be read" in err
    assert l7("dump", "a=b", "--pid-file", b"/\xff")[0] in (0, 2)


@pytest.mark.parametrize("words", [["dump", "-c", "config.yml"], ["schema"]])
def test_a_reader_that_leaves_is_no_error_of_ours(words: list[str]) -> None:
    hosts = "".join(f"  h{number}: {{servers: [a]}}\n" for number in range(2000))
    Path("config.yml").write_text(f"backends:\n{hosts}", "utf-8")
    # Unbuffered, Python itself takes a partial write for a whole one.
    buffered = environment(PYTHONUNBUFFERED="")
    with subprocess.Popen([*PROGRAM, *words], stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=buffered) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.readline()
        process.stdout.close()
        assert process.stderr.read() == b""
        assert process.wait(30) in ((1,) if words[0] == "dump" else (0, 1))  # a schema may be in the pipe already


def test_an_interrupt_is_quiet() -> None:
    os.mkfifo("pipe.yml")
    with subprocess.Popen(
        [*PROGRAM, "check", "-c", "pipe.yml"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environment()
    ) as process:
        assert process.stderr is not None
        with open("pipe.yml", "wb"):  # returns when l7 has begun to read
            process.send_signal(signal.SIGINT)
        # Only now: a signal that comes just before the read does not end it, the end of the pipe does.
        assert process.wait(30) == 130
        assert process.stderr.read() == b""


@pytest.mark.parametrize(
    ("words", "code"),
    [("check a=b", 0), ("dump a=b", 0), ("--help", 0), ("check a=", 2), ("schema", 0), ("completion zsh", 0)],
)
def test_closed_standard_streams_change_nothing(words: str, code: int) -> None:
    script = f"exec {' '.join(PROGRAM)} {words} <&- >&- 2>&-"
    assert subprocess.run(["sh", "-c", script], timeout=30, env=environment(), check=False).returncode == code


@pytest.mark.parametrize(
    "words", [["check", "a=b"], ["dump", "a=b"], ["explain", "http://a/", "a=b"], ["schema"], ["completion", "fish"]]
)
def test_a_full_disk_is_an_error_in_one_line(words: list[str]) -> None:
    with open("/dev/full", "wb") as full:
        done = subprocess.run(
            [*PROGRAM, *words], stdout=full, stderr=subprocess.PIPE, timeout=30, env=environment(), check=False
        )
    assert (done.returncode, done.stderr) == (1, b"l7: standard output: no space left on device\n")


def test_nobody_who_listens_to_errors_leaves_the_exit_code() -> None:
    with open("/dev/full", "wb") as full:
        done = subprocess.run([*PROGRAM, "bogus"], stderr=full, timeout=30, env=environment(), check=False)
    assert done.returncode == 2


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_file_that_never_comes_can_be_waited_for_no_longer(number: int) -> None:
    os.mkfifo("pipe.yml")
    with subprocess.Popen([*PROGRAM, "-c", "pipe.yml"], stderr=subprocess.PIPE, env=environment()) as process:
        assert process.stderr is not None
        with open("pipe.yml", "wb"):  # returns when l7 has begun to read
            process.send_signal(number)
        # Only now: a signal that comes just before the read does not end it, the end of the pipe does.
        assert process.wait(30) == 0
        assert process.stderr.read() == b"l7: told to stop while the configuration was read\n"


def test_an_interrupt_is_quiet_while_modules_are_imported(directory: Path) -> None:
    os.mkfifo("pipe")
    (directory / "configargparse.py").write_text("open('pipe', 'rb').read()\n", "utf-8")
    variables = environment(PYTHONPATH=os.pathsep.join([str(directory), str(ROOT)]))
    with subprocess.Popen([*PROGRAM, "check"], stderr=subprocess.PIPE, env=variables) as process:
        assert process.stderr is not None
        with open("pipe", "wb"):  # returns when the import has come so far
            process.send_signal(signal.SIGINT)
            assert process.wait(30) == -signal.SIGINT
        assert process.stderr.read() == b""


def test_the_help_of_a_command_begins_with_what_it_takes() -> None:
    code, out, _ = l7("tail", "--help")
    assert code == 0
    assert "options of l7 tail:" in out
    assert out.index("--by FIELD") < out.index("listening:") < out.index("--dry-run")
    assert "options of l7" not in l7("--help")[1]
