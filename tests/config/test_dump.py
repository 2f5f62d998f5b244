"""The dump: valid YAML, loads back to the same, says where everything came from, tells no secret."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from l7.config.reading.loading import load
from l7.config.rendering.dump import render_dump, scalar
from l7.config.schema import Config

TEXT = """\
port: 81
users: {admin: 0123, 'off': hunter2}
trusted-proxies: [10.0.0.0/8, '::1']
access-log: off
pid-file: "/tmp/\u00e9 # x"
limits: {head: 10KB, body: 1MiB}
timeouts: {idle: 1500ms}
backends:
  Example.com.:
    servers:
    - http://a:1
    - b
    retries: 0
  '*.other/api': {servers: [{address: 'unix:/a/b c'}, 'http://[::1]:80']}
  none: {servers: []}
  '*':
    servers:
    - '::'
"""


@pytest.fixture
def name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.chdir(tmp_path)
    Path("config.yml").write_text(TEXT.replace("  '*':\n    servers:\n    - '::'\n", ""), "utf-8")
    return "config.yml"


def test_the_dump_loads_back_to_the_same(name: str) -> None:
    loaded = load(["-c", name, "example.com=q:8", "--bind", "127.0.0.1,::1", "-d"], {"L7_WORKERS": "3"})
    dump = render_dump(loaded)
    Path("dump.yml").write_text(f"---\n{dump}...\n", "utf-8")
    again = load(["-c", "dump.yml"], {})
    without_passwords = {"users": {}}
    assert again.config.model_copy(update=without_passwords) == loaded.config.model_copy(update=without_passwords)
    assert again.config.users.keys() == loaded.config.users.keys()
    assert yaml.safe_load(render_dump(again)) == yaml.safe_load(dump)


def test_each_value_is_followed_by_its_source(name: str) -> None:
    argv = ["-c", name, "example.com=q:8", "-p", "8080", "--bind", "::1"]
    lines = render_dump(load(argv, {"L7_WORKERS": "3", "L7_SERVERS": "x=y"})).splitlines()
    for line in (
        "port: 8080  # --port",
        "bind: '::1'  # --bind",
        "workers: 3  # L7_WORKERS",
        "  admin: '***'  # config.yml:2",
        "access-log: 'off'  # config.yml:4",
        "graceful-timeout: 8s  # default",
        "drain-timeout: 5m  # default",
        "- 10.0.0.0/8  # config.yml:3",
        "  head: 10KB  # config.yml:6",
        "  body: 1MiB  # config.yml:6",
        "  idle: 1500ms  # config.yml:7",
        "    - address: q:8  # argument",
        "    - address: y:80  # L7_SERVERS",
        "    - address: 'unix:/a/b c'  # config.yml:14",
        "    retries: 0  # config.yml:13",
        "    retries: 2  # default",
        "    servers: []  # config.yml:15",
    ):
        assert line in lines, line
    sections = [line for line in lines if "  # " not in line]
    assert all(line.endswith(":") for line in sections)


def test_the_dump_tells_no_secret(name: str) -> None:
    assert "hunter2" not in render_dump(load(["-c", name], {}))
    assert "hunter2" not in render_dump(load(["a=b"], {"L7_USERS": "a:hunter2"}))


def test_workers_are_a_comment_block(name: str) -> None:
    loaded = load(["-c", name], {})
    dump = render_dump(loaded.generation(4), ["worker 1 pid 7", "worker\n2"])
    assert dump.splitlines()[:2] == ["# worker 1 pid 7", "# worker\\x0a2"]
    assert yaml.safe_load(dump) == yaml.safe_load(render_dump(loaded))


def test_plain_yaml_readers_see_numbers_and_texts() -> None:
    data = yaml.safe_load(render_dump(load(["a=b"], {})))
    assert (data["port"], data["users"], data["run-as"], data["bind"]) == (80, {}, None, "*")
    assert data["limits"]["body"] == "unlimited"
    assert Config.model_validate(data, by_alias=True, by_name=False) == load(["a=b"], {}).config


@given(st.text(st.characters(codec="utf-8")))
def test_every_text_is_read_back(text: str) -> None:
    written = scalar(text)
    assert "\n" not in written
    assert yaml.safe_load(f"k: {written}  # source")["k"] == text
    assert yaml.safe_load(f"{written}: 1" if len(text) < 100 else "") in ({text: 1}, None)
