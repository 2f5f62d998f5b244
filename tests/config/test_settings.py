"""Every setting by flag and by variable, through the real parser; and what backends have from the defaults."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import typing
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from l7.config.generation import Loaded
from l7.config.reading.loading import load
from l7.config.rendering.dump import render_dump
from l7.config.schema import Config, Section
from l7.config.section import section_of
from l7.errors import ConfigError
from tests.harness import TIMEOUT
from tests.harness.checkout import CHECKOUT

Place = tuple[str, ...]

NAMES: dict[Place, tuple[str, str]] = {
    ("users",): ("--user", "L7_USERS"),
    ("admin", "address"): ("--admin", "L7_ADMIN"),
    ("tls", "certificates"): ("--tls-cert", "L7_TLS_CERT"),
    ("tls", "acme", "email"): ("--acme", "L7_ACME"),
}
"""The settings whose flags are called otherwise than they are."""
NAMED = ("backends", "listeners", "certificates", "users", "set", "add", "error-pages")
"""What has names of the user's own, or sections in a list: no word says such a thing."""
CANDIDATES = (
    "off", "on", "true", "7s", "3", "77KiB", "70%", "127.0.0.9", "10.9.0.0/16", "127.0.0.9:77", "/x", "x.example",
    "some:password", "a text of enough characters", "cookie:c", "header:c", "gzip", "200", "HEAD",
    "me@x.example", "https://x.example/directory", "c2VjcmV0",
)  # fmt: skip
COMPANIONS: dict[Place, dict[Place, str]] = {
    ("authorization",): {("users",): "some:password"},
    ("defaults", "hash-key"): {("defaults", "balance"): "hash"},
    ("admin", "hosts"): {("admin", "address"): "127.0.0.1:9"},
    ("tracing", "sample"): {("tracing", "otlp"): "http://127.0.0.1:4318"},
    ("tls", "client-auth"): {("tls", "certificates"): "/f", ("tls", "client-ca"): "/y"},
    ("tls", "client-ca"): {("tls", "certificates"): "/f", ("tls", "client-auth"): "require"},
    **{
        ("tls", "acme", key): {("tls", "acme", "email"): "me@x.example"}
        for key in ("directory", "storage", "hosts", "ca")
    },
    **{
        ("tls", "acme", "eab", key): {
            ("tls", "acme", "email"): "me@x.example",
            ("tls", "acme", "eab", other): "c2VjcmV0",
        }
        for key, other in (("key-id", "hmac"), ("hmac", "key-id"))
    },
    ("tls", "acme", "eab"): {("tls", "acme", "email"): "me@x.example"},
    **{
        ("defaults", "health", key): {("defaults", "health", "path"): "/y"}
        for key in ("host", "method", "expect", "body")
    },
    **{
        ("defaults", "rate-limit", key): {("defaults", "rate-limit", "requests"): "7"} for key in ("per", "burst", "by")
    },
}
"""What a setting does not go without."""


def places(section: type[Section] = Config, above: Place = ()) -> Iterator[Place]:
    """Where every value of the schema stands that no name of the user's, and no place in a list, is above of."""
    for name, info in section.model_fields.items():
        below, place = section_of(info), (*above, name.replace("_", "-"))
        if below is not None:
            yield from places(below, place)
        if place == ("users",) or (place[-1] not in NAMED and (below is None or info.default is None)):
            yield place


def names(place: Place) -> tuple[str, str]:
    flag = "--" + "-".join(place)
    return NAMES.get(place, (flag, "L7_" + flag[2:].upper().replace("-", "_")))


def value_at(loaded: Loaded, place: Place) -> Any:
    at: Any = loaded.config
    for key in place:
        at = getattr(at, key.replace("-", "_"), None)
    return at


def given(place: Place, value: str) -> tuple[list[str], dict[str, str]]:
    """A setting and its companions as flags, and the same as variables."""
    pairs = {**COMPANIONS.get(place, {}), place: value}
    line = [word for one, text in pairs.items() for word in (names(one)[0], text)]
    return [*line, "a=b"], {names(one)[1]: text for one, text in pairs.items()} | {"L7_SERVERS": "a=b"}


def a_value(place: Place) -> str:
    """Something that may be written there and is not the default."""
    default = value_at(load(["a=b"], {}), place)
    field: Any = Config.model_fields[place[0].replace("-", "_")]
    for key in place[1:]:
        below = section_of(field)
        assert below is not None
        field = below.model_fields[key.replace("-", "_")]
    choices = [str(one) for one in typing.get_args(field.annotation) if isinstance(one, str)]
    for candidate in (*choices, *CANDIDATES):
        try:
            loaded = load(given(place, candidate)[0], {})
        except ConfigError:
            continue
        if value_at(loaded, place) != default or (section_of(field) and candidate == "off"):
            return candidate
    raise AssertionError(f"no value for {'.'.join(place)}: add one to CANDIDATES")


@pytest.mark.parametrize("place", list(places()), ids=".".join)
def test_every_setting_may_be_said_by_flag_and_by_variable(place: Place) -> None:
    flag, variable = names(place)
    line, environ = given(place, a_value(place))
    by_flag, by_variable = load(line, {}), load([], environ)
    assert by_flag.config == by_variable.config
    assert by_flag.sources[place] == flag
    assert by_variable.sources[place] == variable
    assert by_flag.warnings == by_variable.warnings == ()
    assert f"  # {flag}\n" in render_dump(by_flag)
    assert f"  # {variable}\n" in render_dump(by_variable)
    if place[-2:] != ("health", "body"):  # which may be any text
        wrong, variables = given(place, "\x07")
        assert errors(wrong)[0].startswith(f"{flag}: ")
        assert errors([], variables)[0].startswith(f"{variable}: ")


def test_certificates_and_keys_go_in_pairs(write: Callable[[str], str]) -> None:
    file = ["-c", write("tls: {certificates: [/f]}\nbackends: {a: {servers: [b]}}\n")]
    loaded = load(
        [*file, "--tls-cert", "/a,b", "--tls-key=/ka", "--tls-cert=/c", "--tls-key=/kc"], {"L7_TLS_CERT": "/v"}
    )
    assert [(one.cert, one.key) for one in loaded.config.tls.certificates] == [("/a,b", "/ka"), ("/c", "/kc")]
    assert "  - cert: '/a,b'  # --tls-cert\n    key: /ka  # --tls-cert\n" in render_dump(loaded)
    loaded = load(file, {"L7_TLS_CERT": "/v, /w"})
    assert [(one.cert, one.key) for one in loaded.config.tls.certificates] == [("/v", None), ("/w", None)]
    assert "  - cert: /v  # L7_TLS_CERT\n" in render_dump(loaded)
    loaded = load(file, {"L7_TLS_CERT": "/v", "L7_TLS_KEY": "/k"})
    assert [(one.cert, one.key) for one in loaded.config.tls.certificates] == [("/v", "/k")]
    assert errors([*file, "--tls-key", "/k"]) == ["--tls-key: write --tls-cert, too: the certificate of the key"]
    assert errors([*file, "--tls-cert", "/a", "--tls-cert", "/b", "--tls-key", "/k"]) == [
        "--tls-cert: 2 certificates and 1 keys are given: they go in pairs, in the same order"
    ]
    assert errors([], {"L7_TLS_KEY": "/k", "L7_SERVERS": "a=b"}) == [
        "L7_TLS_KEY: write L7_TLS_CERT, too: the certificate of the key"
    ]


def test_the_one_port_is_443_with_certificates(write: Callable[[str], str]) -> None:
    loaded = load(["-c", write("tls: {certificates: [/f]}\nbackends: {a: {servers: [b]}}\n")], {})
    (one,) = loaded.config.listened_on
    assert (one.address.port, one.scheme) == (443, b"https")
    assert "port: 443  # default" in render_dump(loaded)
    (one,) = load(["--tls-cert", "/f", "-p", "8443", "a=b"], {}).config.listened_on
    assert (one.address.port, one.scheme) == (8443, b"https")
    (one,) = load(["a=b"], {}).config.listened_on
    assert (one.address.port, one.scheme) == (80, b"http")


def test_the_walk_has_found_them() -> None:
    assert len(list(places())) > 60
    assert {("timeouts", "idle"), ("defaults", "health"), ("defaults", "health", "path")} <= set(places())


# ------------------------------------------------------------------------------------------------ sections by flag


FILE = """\
timeouts: {idle: 9s, head: 1s}
trusted-proxies: [10.0.0.0/8]
defaults:
  retries: 1
  health: {path: /h, interval: 5s}
  timeouts: {connect: 1s, response: 9s}
  balance: hash
  hash-key: target
backends:
  one: {servers: [a:1]}
  two:
    servers: [b:1]
    balance: first
    health: {interval: 7s}
    timeouts: {connect: 2s}
  three: {servers: [c:1], health: off, retries: 0, ejection: {failures: 9}}
"""


@pytest.fixture
def write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], str]:
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


def test_a_flag_changes_one_setting_of_a_section(write: Callable[[str], str]) -> None:
    argv = ["-c", write(FILE), "--timeouts-idle", "3s", "--trusted-proxies=10.1.0.0/16,::1", "--trusted-proxies", "::2"]
    loaded = load(argv, {"L7_TIMEOUTS_IDLE": "4s", "L7_TIMEOUTS_BODY": "5s", "L7_TRUSTED_PROXIES": "unix: 10.0.0.1"})
    timeouts = loaded.config.timeouts
    assert (timeouts.idle, timeouts.head, timeouts.body, timeouts.write) == (3.0, 1.0, 5.0, 60.0)
    assert list(map(str, loaded.config.trusted_proxies)) == ["10.1.0.0/16", "::1/128", "::2/128"]
    dump = render_dump(loaded)
    for line in ("idle: 3s  # --timeouts-idle", "head: 1s  # config.yml:1", "body: 5s  # L7_TIMEOUTS_BODY"):
        assert f"\n  {line}\n" in dump
    by_variable = load([], {"L7_TRUSTED_PROXIES": "unix: 10.0.0.1,10.0.0.2", "L7_SERVERS": "a=b"})
    assert list(map(str, by_variable.config.trusted_proxies)) == ["unix:", "10.0.0.1/32", "10.0.0.2/32"]


def test_wrong_ones_are_named(write: Callable[[str], str]) -> None:
    found = errors(
        ["-c", write("timeouts: 3\nbackends: {a: {servers: [b]}}\n"), "--timeouts-idle", "1s", "--resolver-max-ttl=1s",
         "--defaults-health=off", "--defaults-health-path", "/", "--defaults-sticky", "on", "--timeout-idle", "1s"],
        {"L7_RESOLVER_MIN_TTL": "2s", "L7_TIMEOUTS_IDEL": "1s", "L7_DEFAULTS_RETRIES": "many"},
    )  # fmt: skip
    assert found == [
        "--timeout-idle: unknown option; did you mean '--timeouts-idle'?",
        "--defaults-sticky: write off; each of its settings has a flag of its own",
        "--defaults-health-path: --defaults-health turns off what this is a setting of",
        "L7_RESOLVER_MIN_TTL, --resolver-max-ttl: resolver: max-ttl is shorter than min-ttl",
        "L7_DEFAULTS_RETRIES: 'many' is not a whole number; write 0 to 100",
        "config.yml:1: timeouts: write a mapping, `key: value`",
    ]


def test_a_section_is_turned_off_and_on_again_by_whoever_comes_later() -> None:
    off = {"L7_DEFAULTS_HEALTH": "off", "L7_DEFAULTS_EJECTION": "off"}
    backend = load(["a=b", "--defaults-health-path", "/x"], off).config.backends["a"]
    assert backend.health is not None and backend.health.path == "/x"
    assert backend.ejection is None
    backend = load(["a=b", "--defaults-health", "off"], {"L7_DEFAULTS_HEALTH_PATH": "/x"}).config.backends["a"]
    assert backend.health is None


# ------------------------------------------------------------------------------------------ defaults for backends


def test_a_backend_has_what_the_defaults_say_and_it_does_not(write: Callable[[str], str]) -> None:
    loaded = load(["-c", write(FILE), "--defaults-timeouts-response", "3s", "four=d:1"], {})
    one, two, three, four = (loaded.config.backends[name] for name in ("one", "two", "three", "four"))
    assert one.model_copy(update={"servers": ()}) == four.model_copy(update={"servers": ()})
    assert (one.retries, one.balance, one.hash_key, one.health and one.health.path) == (1, "hash", "target", "/h")
    assert (one.timeouts.connect, one.timeouts.response, one.timeouts.idle) == (1.0, 3.0, 60.0)
    # Its own wins, sections are taken together; a key for hashing is for those that hash.
    assert (two.balance, two.hash_key, two.retries) == ("first", "client", 1)
    assert two.health is not None
    assert (two.health.path, two.health.interval, two.timeouts.connect, two.timeouts.response) == ("/h", 7.0, 2.0, 3.0)
    assert (three.health, three.retries, three.ejection and three.ejection.failures) == (None, 0, 9)


def test_the_dump_shows_where_each_value_came_from_and_loads_back(write: Callable[[str], str]) -> None:
    loaded = load(["-c", write(FILE), "--defaults-timeouts-response", "3s"], {})
    dump = render_dump(loaded)
    two = dump[dump.index("  two:") : dump.index("  three:")]
    for line in (
        "retries: 1  # config.yml:4", "  path: /h  # config.yml:5", "  interval: 7s  # config.yml:14",
        "  connect: 2s  # config.yml:15", "  response: 3s  # --defaults-timeouts-response",
        "hash-key: client  # default", "balance: first  # config.yml:13",
    ):  # fmt: skip
        assert f"\n    {line}\n" in two
    own = dump[dump.index("defaults:") : dump.index("backends:")]
    assert "  retries: 1  # config.yml:4\n" in own
    assert "queue" not in own  # what nobody set is no default of the user's
    assert load(["-c", write(dump)], {}).digest == loaded.digest
    empty = render_dump(load(["a=b"], {}))
    assert "\ndefaults: {}  # default\n" in empty
    assert load(["-c", write(empty)], {}).digest == load(["a=b"], {}).digest
    nothing = write("defaults: {timeouts: {}}\nbackends: {a: {servers: [b]}}\n")
    assert load(["-c", write(render_dump(load(["-c", nothing], {})))], {}).digest == load(["a=b:80"], {}).digest


def test_what_is_wrong_among_defaults_is_said_once(write: Callable[[str], str]) -> None:
    text = """\
defaults:
  retries: many
  servers: [a]
  helth: {}
  health: {host: x}
backends:
  a: {servers: [b]}
  b: {servers: [c], retries: few}
  c: {servers: [c], health: {path: /}}
"""
    assert errors(["-c", write(text)]) == [
        "config.yml:2: defaults.retries: 'many' is not a whole number; write 0 to 100",
        "config.yml:3: defaults.servers: unknown key",
        "config.yml:4: defaults.helth: unknown key; did you mean 'health'?",
        "config.yml:5: defaults.health: host needs a path: without one the check is a TCP connection",
        "config.yml:8: backends.b.retries: 'few' is not a whole number; write 0 to 100",
    ]
    for wrong in ("defaults: 3", "defaults: [a]", "defaults:"):
        assert errors(["-c", write(f"{wrong}\nbackends: {{a: {{servers: [b]}}}}")])[0].startswith("config.yml:1: defau")
    assert errors(["-c", write("defaults: {hash-key: target}\nbackends: {a: {servers: [b]}, b: {servers: [c]}}")]) == [
        "config.yml:1: defaults: hash-key needs balance: hash"
    ]
    # Two that are right each by itself, and not together.
    text = "defaults: {health: {path: /, body: ok}}\nbackends:\n  a:\n    servers: [b]\n    health: {method: HEAD}\n"
    assert errors(["-c", write(text)]) == [
        "config.yml:5: backends.a.health: a response to HEAD has no body; write method: GET"
    ]


# ------------------------------------------------------------------------------------------------------- the help


def l7(*words: str) -> str:
    environ = {**os.environ, "COLUMNS": "80"}
    command = [sys.executable, "-m", "l7", *words]
    return subprocess.run(
        command, cwd=CHECKOUT, env=environ, capture_output=True, text=True, check=True, timeout=TIMEOUT
    ).stdout


def test_the_help_is_short_and_there_is_a_full_one() -> None:
    short, full = l7("--help"), l7("--help-all")
    assert len(short.splitlines()) < 170
    assert "--help-all" in short
    assert "--timeouts-idle" not in short
    assert not re.search("^(limits|defaults):", short, re.MULTILINE)
    for place in places():
        flag, variable = names(place)
        assert re.search(rf"^  (-\w \w+, )?{flag}\b", full, re.MULTILINE), flag
        assert f"[{variable}]" in full
    assert re.search("^defaults:\n  What all backends have", full, re.MULTILINE)
