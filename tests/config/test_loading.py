"""Loading: who wins, where values came from, and every error of every source at once."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import pytest

from l7.config.generation import Loaded
from l7.config.reading.loading import NO_BACKENDS, load
from l7.config.rendering.dump import render_dump
from l7.config.schema import Config
from l7.config.values.scalars import NEVER
from l7.errors import ConfigError
from tests.harness.environment import SERVICE

Write = Callable[[str], str]
BACKENDS = "backends: {example.com: {servers: [a:1, b:2], retries: 0}, other.org: {servers: [c:3]}}\n"


@pytest.fixture
def write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Write:
    """Write ``config.yml`` into the current directory and return its name."""
    monkeypatch.chdir(tmp_path)

    def write(text: str) -> str:
        Path("config.yml").write_text(text, "utf-8")
        return "config.yml"

    return write


def errors(argv: list[str], environ: dict[str, str] | None = None) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        load(argv, environ or {})
    return str(caught.value).splitlines()


def servers(loaded: Loaded) -> dict[str, list[str]]:
    return {route: [str(one.address) for one in backend.servers] for route, backend in loaded.config.backends.items()}


# ------------------------------------------------------------------------------------------------- precedence


SCALARS = [
    ("port", "--port", "L7_PORT", ["1", "2", "3"]),
    ("bind", "--bind", "L7_BIND", ["127.0.0.1", "127.0.0.2", "127.0.0.3"]),
    ("workers", "--workers", "L7_WORKERS", ["1", "2", "3"]),
    ("run-as", "--run-as", "L7_RUN_AS", ["a:b", "c", "d"]),
    ("access-log", "--access-log", "L7_ACCESS_LOG", ["off", "/x", "-"]),
    ("access-log-format", "--access-log-format", "L7_ACCESS_LOG_FORMAT", ["json", "combined", "l7"]),
    ("log-level", "--log-level", "L7_LOG_LEVEL", ["debug", "warning", "error"]),
    ("pid-file", "--pid-file", "L7_PID_FILE", ["/a", "/b", "/c"]),
    ("control", "--control", "L7_CONTROL", ["/a", "/b", "off"]),
    ("canary-time", "--canary-time", "L7_CANARY_TIME", ["500ms", "2s", "0s"]),
    ("block-warning", "--block-warning", "L7_BLOCK_WARNING", ["500ms", "2s", "3s"]),
    ("graceful-timeout", "--graceful-timeout", "L7_GRACEFUL_TIMEOUT", ["1s", "2m", "300ms"]),
    ("drain-timeout", "--drain-timeout", "L7_DRAIN_TIMEOUT", ["1s", "2m", "300ms"]),
    ("worker-timeout", "--worker-timeout", "L7_WORKER_TIMEOUT", ["1s", "2m", "1500ms"]),
]


@pytest.mark.parametrize(("key", "flag", "variable", "values"), SCALARS, ids=[row[0] for row in SCALARS])
def test_flag_over_environment_over_file_over_default(
    write: Write, key: str, flag: str, variable: str, values: list[str]
) -> None:
    in_file, in_environment, on_line = values
    name = write(f"{BACKENDS}{key}: {in_file!r}\n")

    def outcome(argv: list[str], environ: dict[str, str]) -> tuple[object, str]:
        loaded = load(argv, environ)
        field = key.replace("-", "_")
        return Config.shown(field, getattr(loaded.config, field)), loaded.sources.get((key,), "default")

    def typed(text: str) -> object:
        return int(text) if text.isdigit() else text

    assert outcome(["-c", name, flag, on_line], {variable: in_environment}) == (typed(on_line), flag)
    assert outcome(["-c", name, f"{flag}={on_line}"], {}) == (typed(on_line), flag)
    assert outcome(["-c", name], {variable: in_environment}) == (typed(in_environment), variable)
    assert outcome(["-c", name], {variable: ""}) == (typed(in_file), "config.yml:2")
    assert outcome(["x=y"], {"L7_CONFIG": ""})[1] == "default"


def test_short_flags_joined_to_their_values_win_too() -> None:
    loaded = load(["-p8080", "-dw3", "a=b"], {"L7_PORT": "9", "L7_WORKERS": "1", "L7_LOG_LEVEL": "error"})
    assert (loaded.config.port, loaded.config.workers, loaded.config.log_level) == (8080, 3, "debug")
    assert loaded.sources["port",] == "--port"


def test_the_file_is_found_by_its_variable(write: Write) -> None:
    assert servers(load([], {"L7_CONFIG": write(BACKENDS)})) == {"example.com": ["a:1", "b:2"], "other.org": ["c:3"]}


@pytest.mark.parametrize(
    ("argv", "environ", "level", "source"),
    [
        (["-d"], {}, "debug", "--debug"),
        (["-d", "--log-level", "error"], {}, "debug", "--debug"),
        ([], {"L7_DEBUG": "1"}, "debug", "L7_DEBUG"),
        ([], {"L7_DEBUG": "no", "L7_LOG_LEVEL": "error"}, "error", "L7_LOG_LEVEL"),
        (["--log-level=warning"], {"L7_DEBUG": "true"}, "warning", "--log-level"),
    ],
)
def test_debug_is_a_log_level(argv: list[str], environ: dict[str, str], level: str, source: str) -> None:
    loaded = load([*argv, "a=b"], environ)
    assert (loaded.config.log_level, loaded.sources["log-level",]) == (level, source)


def test_several_addresses_to_listen_on() -> None:
    assert load(["--bind", "127.0.0.1,::1", "--bind", "[::2]", "a=b"], {}).config.bind == ("127.0.0.1", "::1", "::2")
    assert load(["a=b"], {"L7_BIND": "[::1] unix:/x"}).config.bind == ("::1", "unix:/x")
    assert load(["a=b"], {"L7_BIND": "[::1]"}).config.bind == ("::1",)
    assert load(["a=b", "--bind", "localhost"], {}).config.bind == ("127.0.0.1",)


# --------------------------------------------------------------------------------------------- servers and users


def test_words_replace_the_servers_of_their_host_only(write: Write) -> None:
    loaded = load(["-c", write(BACKENDS), "Example.COM.=x:8", "new=y", "example.com=z:9"], {})
    assert servers(loaded) == {"example.com": ["x:8", "z:9"], "other.org": ["c:3"], "new": ["y:80"]}
    assert loaded.config.backends["example.com"].retries == 0
    assert loaded.sources["backends", "example.com", "servers", 1] == "argument"
    assert loaded.sources["backends", "other.org", "servers", 0] == "config.yml:1"


def test_words_win_over_the_variable_host_by_host() -> None:
    loaded = load(["a=1.1.1.1"], {"L7_SERVERS": "a=x, b=y\n b=z"})
    assert servers(loaded) == {"a": ["1.1.1.1:80"], "b": ["y:80", "z:80"]}
    assert loaded.sources["backends", "b", "servers", 0] == "L7_SERVERS"


def test_words_may_stand_anywhere_and_after_two_dashes() -> None:
    assert servers(load(["a=b", "-p", "1", "c=d", "--bind", "*", "--", "e=f"], {})).keys() == {"a", "c", "e"}


SHARED = """\
backends:
  Example.com, www.example.com.:
    servers: [b]
    retries: 1
  c: {servers: [d]}
"""


def test_several_hosts_are_one_backend(write: Write) -> None:
    name = write(SHARED)
    loaded = load(["-c", name], {})
    assert servers(loaded) == {"example.com, www.example.com": ["b:80"], "c": ["d:80"]}
    assert loaded.sources["backends", "example.com, www.example.com", "retries"] == "config.yml:4"
    assert load(["-c", write(render_dump(loaded))], {}).digest == loaded.digest
    # A word names all of them or a part, which is then apart, with the settings of the whole.
    name = write(SHARED)
    whole = load(["-c", name, "www.example.com, example.com=x:1", "example.com,www.example.com=y:1"], {})
    assert servers(whole) == {"www.example.com, example.com": ["x:1", "y:1"], "c": ["d:80"]}
    part = load(["-c", name, "www.example.com=x:1"], {})
    assert servers(part) == {"c": ["d:80"], "example.com": ["b:80"], "www.example.com": ["x:1"]}
    assert {backend.retries for key, backend in part.config.backends.items() if key != "c"} == {1}
    assert {part.sources["backends", host, "retries"] for host in ("example.com", "www.example.com")} == {
        "config.yml:4"
    }
    assert part.sources["backends", "www.example.com", "servers"] == "argument"
    more = load(["-c", name, "www.example.com,new=x:1"], {"L7_SERVERS": "www.example.com=z"})
    assert servers(more) == {"c": ["d:80"], "example.com": ["b:80"], "www.example.com, new": ["x:1"]}


def test_hosts_that_overlap_are_refused(write: Write) -> None:
    assert errors(["-c", write(SHARED), "example.com,c=x", "a,b=y", "b=z"]) == [
        "b=z: some of its hosts are named together with others before, as 'a, b'",
        "example.com,c=x: these are hosts of different backends: 'example.com, www.example.com' and 'c'",
    ]
    text = """\
backends:
  a, b: {servers: [x]}
  "b":
    servers: [x]
  "c, ": {servers: [x]}
  d,,e: {servers: [x]}
  f, F.: {servers: [x]}
  g, a: {servers: [x]}
  c: {servers: [x]}
"""
    assert errors(["-c", write(text)]) == [
        "config.yml:3: backends.b: the same route as line 2",
        "config.yml:5: backends.c, : a comma without a host before or behind it",
        "config.yml:6: backends.d,,e: a comma without a host before or behind it",
        "config.yml:7: backends.f, F.: 'f' is named twice",
        "config.yml:8: backends.g, a: 'a' is the same route as line 2",
    ]


def test_users_are_one_setting(write: Write) -> None:
    name = write(BACKENDS + "users: {file: 0123}\n")
    assert load(["-c", name], {}).config.users["file"].get_secret_value() == "0123"
    environ = {"L7_USERS": "a:b,c:d:e  f:g"}
    assert set(load(["-c", name], environ).config.users) == {"a", "c", "f"}
    loaded = load(["-c", name, "--user", "x:y:z", "--user=v:w"], environ)
    assert {login: secret.get_secret_value() for login, secret in loaded.config.users.items()} == {"x": "y:z", "v": "w"}
    assert loaded.sources["users", "x"] == "--user"


def test_a_redacted_password_lets_nobody_in_and_warns(write: Write) -> None:
    loaded = load(["-c", write(BACKENDS + "users: {admin: '***'}\n")], {})
    assert loaded.config.users["admin"].get_secret_value() == NEVER
    assert "nobody can log in" in str(loaded.warnings[0])


def test_unknown_variables_are_warned_about() -> None:
    loaded = load(["a=b"], {"L7_PROT": "1", "L7_PURE_PYTHON": "1", "PATH": "/"})
    assert [str(one) for one in loaded.warnings] == [
        "L7_PROT: unknown environment variable, ignored; did you mean 'L7_PORT'?"
    ]


def test_a_service_of_our_name_sets_nothing(write: Write) -> None:
    # nginx and HAProxy read no variables that nobody has written into their files; Caddy's own begin with XDG_, CADDY_.
    name = write(BACKENDS + "port: 8080\n")
    loaded = load(["-c", name], SERVICE)
    assert loaded.config.port == 8080
    assert loaded.sources["port",] == "config.yml:2"
    assert [str(one) for one in loaded.warnings] == [
        "L7_PORT, L7_PORT_80_TCP and 6 more: set by Kubernetes or Docker for a Service or container called l7, ignored"
        " (enableServiceLinks: false in the pod's spec leaves them out)"
    ]
    assert load(["a=b"], SERVICE).config.port == 80


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("L7_PORT", "udp://10.96.12.7:53"),
        ("L7_PORT", "TCP://[2001:db8::7]:80"),
        ("L7_ADMIN_PORT", "tcp://10.96.12.7:9180"),  # a Service called l7-admin
        ("L7_ADMIN_SERVICE_HOST", "10.96.12.7"),
        ("L7_WORKERS", "sctp://10.96.12.7:80"),
    ],
)
def test_what_looks_like_a_link_is_somebody_elses(name: str, value: str) -> None:
    loaded = load(["a=b"], {name: value})
    assert loaded.config == load(["a=b"], {}).config
    assert str(loaded.warnings[0]).startswith(f"{name}: set by Kubernetes or Docker")


def test_other_values_are_still_read_and_refused() -> None:
    assert errors(["a=b"], {"L7_PORT": "http://10.96.12.7"})[0].startswith("L7_PORT: 'http://10.96.12.7' is not a")
    assert load([], {"L7_SERVERS": "a=tcp.example.com:80"}).config.backends


# ------------------------------------------------------------------------------------- keys that are no settings


def test_anchors_are_kept_in_extensions_at_the_top(write: Write) -> None:
    # As in Compose and OpenAPI files. Caddy, nginx and HAProxy have no YAML.
    loaded = load(
        ["-c", write("""\
x-defaults: &defaults
  retries: 0
  health: {path: /healthz}
x-servers: &servers [a:1, b:2]
x-: text
backends:
  one.org:
    <<: *defaults
    retries: 1
    servers: *servers
  two.org: {<<: [*defaults], servers: *servers}
""")],
        {},
    )  # fmt: skip
    assert servers(loaded) == {"one.org": ["a:1", "b:2"], "two.org": ["a:1", "b:2"]}
    one, two = loaded.config.backends.values()
    assert (one.retries, two.retries, two.health and two.health.path) == (1, 0, "/healthz")
    assert "x-d" not in render_dump(loaded)
    assert loaded.digest == load(["-c", write(render_dump(loaded))], {}).digest


def test_extensions_are_for_the_top_only_and_are_read_strictly(write: Write) -> None:
    assert errors(["-c", write("x-a: 1\nbackends: {a: {servers: [b], x-note: 1}}\n")]) == [
        "config.yml:2: backends.a.x-note: unknown key"
    ]
    assert errors(["-c", write(BACKENDS + "xport: 1\nX-a: 1\n")]) == [
        "config.yml:2: xport: unknown key; did you mean 'port'?",
        "config.yml:3: X-a: unknown key",
    ]
    assert errors(["-c", write(BACKENDS + "x-a: 1\nx-a: 2\n")]) == ["config.yml:3: x-a: given twice, first on line 2"]
    # What comes from there and is wrong is shown where it stands.
    assert errors(["-c", write("x-a: &a\n  retrys: 1\nbackends:\n  a: {<<: *a, servers: [b]}\n")]) == [
        "config.yml:2: backends.a.retrys: unknown key; did you mean 'retries'?"
    ]


# ------------------------------------------------------------------------------------------------------- errors


def test_everything_wrong_in_a_file_is_reported_at_once(write: Write) -> None:
    name = write("""\
port: 0o17
worker: 3
run_as: x
users:
  admin:
limits: {head: 1XB}
timeouts: 3
trusted-proxies: [10.0.0.1/8, foo]
backends:
  Example.com:
    servers:
    - {address: 'http://a:1', wieght: 2}
    - adress: x
    - [x]
    balance: rr
  example.com.: {servers: []}
  foo:80: {servers: [a]}
port: 80
""")
    assert errors(["-c", name]) == [
        "config.yml:1: port: '0o17' is not a whole number; write 0 to 65535",
        "config.yml:2: worker: unknown key; did you mean 'workers'?",
        "config.yml:3: run_as: unknown key; did you mean 'run-as'?",
        "config.yml:5: users.admin: has no password; write `login: password`, with a space after the colon",
        "config.yml:6: limits.head: '1XB' is not a size; write a size such as 64KiB, 10MB, 1GiB or a number of bytes",
        "config.yml:7: timeouts: write a mapping, `key: value`",
        "config.yml:8: trusted-proxies[0]: '10.0.0.1/8' has host bits set; write 10.0.0.0/8",
        "config.yml:8: trusted-proxies[1]: 'foo' is not a network; write one as in 10.0.0.0/8",
        "config.yml:12: backends.example.com.servers[0].wieght: unknown key; did you mean 'weight'?",
        "config.yml:13: backends.example.com.servers[1].address: is missing",
        "config.yml:13: backends.example.com.servers[1].adress: unknown key; did you mean 'address'?",
        "config.yml:14: backends.example.com.servers[2]: write a mapping, `key: value`",
        "config.yml:15: backends.example.com.balance: 'rr' is unknown; "
        "write round-robin, least-requests, two-choices, hash or first",
        "config.yml:16: backends.example.com.: the same route as line 10",
        "config.yml:17: backends.foo:80: a route has no port; write 'foo'",
        "config.yml:18: port: given twice, first on line 1",
    ]


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("a: '127.0.0.1:1'", "a: write a mapping, `servers: [127.0.0.1:8081]`"),
        ("a: ['127.0.0.1:1']", "a: write a mapping, `servers: [127.0.0.1:8081]`"),
        ("a: {servers: [b], buffer: 1MB}", "a.buffer: write a mapping, `key: value`, or off"),
        ("a: {servers: [b], buffer: true}", "a.buffer: write a mapping, `key: value`, or off"),
        ("a: {servers: [b], health: [/x]}", "a.health: write a mapping, `key: value`, or off"),
    ],
)
def test_what_is_no_mapping_is_told_what_to_write(write: Write, text: str, complaint: str) -> None:
    assert errors(["-c", write(f"backends:\n  {text}\n")]) == [f"config.yml:2: backends.{complaint}"]


def test_all_sources_report_together(write: Write) -> None:
    argv = ["-c", write("prot: 1\n"), "--port", "99999", "--prto=1", "a=h:99999", "b=http://:8080", "c=ftp://x"]
    found = errors(argv, {"L7_WORKERS": "none", "L7_DEBUG": "perhaps", "L7_SERVERS": "nonsense"})
    assert found == [
        "--prto: unknown option; did you mean '--port'?",
        "L7_DEBUG: 'perhaps' is neither true nor false",
        "L7_SERVERS: write HOST=ADDRESS, as in example.com=127.0.0.1:8081; a command comes first",
        "--port: 99999 is out of range; write 0 to 65535",
        "L7_WORKERS: 'none' is not a whole number; write 1 to 1024, or auto",
        "a=h:99999: 'h:99999': port 99999 is out of range; write 1 to 65535",
        "b=http://:8080: 'http://:8080' has no host; write HOST:PORT, as in 127.0.0.1:8081, or unix:/path",
        "c=ftp://x: 'ftp://x': unknown scheme 'ftp'; write HOST:PORT, as in 127.0.0.1:8081, or unix:/path",
        "config.yml:1: prot: unknown key; did you mean 'port'?",
    ]


LATER = [
    "debug: true", "config: x", "user: {a: b}", "backends: {a: {servers: [b], hedge: 1s}}",
    "backends: {a: {servers: [{address: b, tls: true}]}}",
]  # fmt: skip


@pytest.mark.parametrize("text", LATER)
def test_a_key_that_does_nothing_yet_is_refused(write: Write, text: str) -> None:
    found = errors(["-c", write(text)])
    assert any("unknown key" in line for line in found)


def test_a_policy_that_does_not_exist_is_refused(write: Write) -> None:
    found = errors(["-c", write("backends: {a: {servers: [b], balance: random}}")])
    assert "write round-robin, least-requests, two-choices, hash or first" in found[0]


@pytest.mark.parametrize(
    "text",
    [
        "port: [80]", "port: {a: b}", "port: -1", "port: 65536", "port: '080'", "port: true", "port: 80.0", "port: 1e3",
        "bind: []", "bind: {a: b}", "bind: [x]", "bind: 127.0.0.1:80", "bind: ['*', '*']", "bind: ['*', 127.0.0.1]",
        "bind: ['::', '::1']", "bind: ['0.0.0.0', '::', '::1']", "bind: 'unix:x'",
        "workers: 0", "workers: many", "workers: 1025", "run-as: 'a:b:c'", "run-as: ''", "access-log: ''",
        "access-log-format: apache", "log-level: loud", "graceful-timeout: -1", "drain-timeout: soon",
        "worker-timeout: 10ms", "users: [a]", "users: a", "users: {'': x}", "users: {a: ''}", "users: {a: [b]}",
        "users: {a: $2b$12$short}", "limits: {body: none}", "limits: {body: }", "limits: {connections: 0}",
        "timeouts: {idle: 0}", "trusted-proxies: 10.0.0.0/8", "backends: []", "backends: {a: [b]}", "backends: {a: b}",
        "backends: {a: {servers: b}}", "backends: {a: {}}", "backends: {a: }", "users:", "limits:", "port:",
    ],
)  # fmt: skip
def test_wrong_values_are_refused_with_their_line(write: Write, text: str) -> None:
    found = errors(["-c", write("# a comment\n" + text)])
    assert found[0].startswith("config.yml:2: ")
    assert found[0].split(": ")[1].startswith(text.split(":")[0])


def test_who_checks_no_login_keeps_none(write: Write) -> None:
    why = "strip needs users: without them no login is checked"
    assert errors(["-c", write(BACKENDS + "authorization: strip\n")]) == [f"config.yml:2: authorization: {why}"]
    assert errors(["a=b", "--authorization", "strip"]) == [f"--authorization: {why}"]
    assert load(["a=b", "--authorization", "strip", "--user", "a:b"], {}).config.authorization == "strip"


def test_settings_that_may_be_nothing(write: Write) -> None:
    config = load(["-c", write(BACKENDS + "pid-file: null\nrun-as:\n")], {}).config
    assert (config.pid_file, config.run_as) == (None, None)


@pytest.mark.parametrize("text", ["", "# nothing\n", "port: 80\n", "backends: {}\n"])
def test_no_backends_at_all(write: Write, text: str) -> None:
    assert errors([]) == [NO_BACKENDS]
    assert errors(["-c", write(text)]) == [f"config.yml: {NO_BACKENDS}"]
    assert servers(load(["-c", "config.yml", "a=b"], {})) == {"a": ["b:80"]}


def test_a_backend_may_have_no_servers(write: Write) -> None:
    assert servers(load(["-c", write("backends: {a: {servers: []}}")], {})) == {"a": []}


def test_the_file_is_named_as_the_user_named_it(write: Write, tmp_path: Path) -> None:
    write("x: 1\n")
    for name in ("./config.yml", str(tmp_path / "config.yml")):
        assert errors(["-c", name])[0].startswith(f"{name}:1: x: ")


# ------------------------------------------------------------------------------------------------------ secrets


SECRET = "hunter2"


@pytest.mark.parametrize(
    "argv",
    [
        ["--user", SECRET], ["--user", f"a:b:{SECRET}", "--port", "x"], ["--user", f":{SECRET}"],
        ["--user", f"a:{SECRET}\n"], ["--user", f"a:$2b${SECRET}"], ["--user", f"a:{SECRET}", "--user", f"a:{SECRET}2"],
        ["--usr", f"a:{SECRET}"], ["--usr", f"a:b={SECRET}"], [f"--usr=a:{SECRET}"], [f"-ua:{SECRET}"],
        [f"a:{SECRET}"], [f"a:{SECRET}=x"], [f"a=me:{SECRET}@h:80"], [f"a=http://me:{SECRET}@h:99999"],
    ],
)  # fmt: skip
def test_no_message_about_the_command_line_holds_a_password(argv: list[str]) -> None:
    assert SECRET not in "\n".join(errors(argv))
    assert SECRET not in "\n".join(errors([], {"L7_USERS": argv[-1], "L7_SERVERS": argv[-1]}))


@pytest.mark.parametrize(
    "text",
    [
        f"users: {{admin:{SECRET}}}", f"users: {{admin:{SECRET}, admin:{SECRET}}}", f"users: admin:{SECRET}",
        f"users: [admin:{SECRET}]", f"users: {{admin: [{SECRET}]}}", f"users: {{admin: {{x: {SECRET}}}}}",
        f"users: {{admin: *{SECRET}}}", f"users: {{admin: !{SECRET}}}", f"users: {{admin: !{SECRET} x}}",
        f"users: {{admin: '{SECRET}}}", f"users: {{admin: %{SECRET}}}", f"users: {{admin: @{SECRET}}}",
        f'users: {{admin: "{SECRET}\\q"}}', f"users: {{admin: $2b${SECRET}}}", f'users: {{admin: "{SECRET}\\n"}}',
        f"users:\n  admin: &{SECRET} x\n  admin: &{SECRET} y", f"users:\n  admin: |\n    {SECRET}\n",
        f"users: {{admin {SECRET}}}", f"users: {{admin\t{SECRET}: }}", f"users:\n  admin {SECRET}:\n",
        f"backends: {{a: {{servers: [b:80], users: {{admin {SECRET}}}}}}}",
        f"password: {SECRET}", f"backends: {{a: {{servers: ['http://a:{SECRET}@b']}}}}",
    ],
)  # fmt: skip
def test_no_message_about_a_file_holds_a_password(write: Write, text: str) -> None:
    assert SECRET not in "\n".join(errors(["-c", write(text)]))


# ----------------------------------------------------------------------------------------------- load as a whole


def test_two_thousand_hosts_load_in_a_second_or_so(write: Write) -> None:
    """Ten thousand are loaded by the real program in tests/e2e/test_memory.py."""
    hosts = "".join(f"  h{n}.example.com:\n    servers: [10.0.0.1:80, {{address: h{n}}}]\n" for n in range(2000))
    name = write("backends:\n" + hosts)
    started = time.process_time()  # other processes may have the processor meanwhile
    loaded = load(["-c", name, "h5.example.com=x"], {})
    assert time.process_time() - started < 2
    assert len(loaded.config.backends) == 2000
    assert loaded.sources["backends", "h1999.example.com", "servers", 1] == "config.yml:4001"


def test_the_digest_follows_the_configuration_and_nothing_else(write: Write) -> None:
    name = write(BACKENDS + "users: {a: one}\n")
    digest = load(["-c", name], {}).digest
    assert len(digest) == 12
    assert load(["-c", name, "--port", "80"], {"HOME": "/"}).digest == digest
    assert load(["-c", write(BACKENDS + "users: {a: two}\n")], {}).digest != digest
    generation = load(["-c", name], {}).generation(3)
    assert (generation.number, len(generation.digest)) == (3, 12)
