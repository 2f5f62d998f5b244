"""A child reads the configuration: what it returns, raises and asks for, and what is not read twice."""

from __future__ import annotations

import gc
import os
import subprocess
import sys
from pathlib import Path
from weakref import ref

import pytest

from l7.commands.serve import ConfigReader
from l7.config.codings import installed
from l7.config.generation import PackedSources, Reference
from l7.errors import ConfigError, StartError
from l7.master.children.reader import fork_reader
from l7.master.resources.privileged_opener import PrivilegedOpener
from tests.harness.l7process import ROOT

HERE = "tests.master.test_reader"


def adds(read_bytes, name, number):  # type: ignore[no-untyped-def]
    """Run in the reader."""
    return len(read_bytes(name)) + number


def fails(read_bytes, how):  # type: ignore[no-untyped-def]
    """Run in the reader."""
    if how == "exit":
        sys.exit(3)
    if how == "die":
        os._exit(1)
    read_bytes("nothing")


def test_it_returns_what_the_function_does_and_files_are_read_here() -> None:
    reader = fork_reader()
    asked = []
    try:
        for number in (1, 2):
            reader.begin((HERE, "adds"), "a file", number)
            assert reader.result(lambda name: asked.append(name) or b"four") == 4 + number
    finally:
        reader.close()
    assert asked == ["a file"] * 2


@pytest.mark.parametrize(
    ("how", "kind"), [("exit", SystemExit), ("die", StartError), ("read", FileNotFoundError), ("x", FileNotFoundError)]
)
def test_what_it_raises_is_raised_here(how: str, kind: type[BaseException]) -> None:
    with pytest.raises(kind):
        fork_reader().call((HERE, "fails"), how)


def loaded(reader: ConfigReader, reference: Reference | None = None):  # type: ignore[no-untyped-def]
    return reader.load(PrivilegedOpener(), reference)


def test_what_has_not_changed_is_not_read_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "l7.yml"
    file.write_text("backends: {a: {servers: ['127.0.0.1:1']}}")
    reader = ConfigReader(["-c", str(file)], {})
    first = loaded(reader)
    reference = Reference(first.config, False, False, 1024)
    assert isinstance(first.sources, PackedSources)
    assert first.sources["backends", "a"] == first.sources["backends",] == f"{file}:1"
    assert ("tls", "certificates") not in first.sources
    assert dict(first.sources.items()) == first.sources.unpacked()
    file.write_text("backends: {a: {servers: ['127.0.0.1:2']}}")
    second = loaded(reader, reference)
    assert second.changes == ("backends.a: server 127.0.0.1:2 added", "backends.a: server 127.0.0.1:1 removed")
    assert second.digest != first.digest
    file.write_text("port: many")
    with pytest.raises(ConfigError, match=r"l7.yml:1: port: .*many.* is not a whole number"):
        loaded(reader, reference)

    def never() -> None:
        raise AssertionError("it is read again")

    monkeypatch.setattr("l7.commands.serve.fork_reader", never)
    with pytest.raises(ConfigError):
        loaded(reader, reference)
    file.write_text("backends: {}")
    with pytest.raises(AssertionError):
        loaded(reader, reference)


def test_a_configuration_that_is_served_no_more_is_not_kept(tmp_path: Path) -> None:
    file = tmp_path / "l7.yml"
    file.write_text("backends: {a: {servers: ['127.0.0.1:1']}}")
    reader = ConfigReader(["-c", str(file)], {})
    first = loaded(reader)
    served = ref(first.config)
    file.write_text("backends: {b: {servers: ['127.0.0.1:1']}}")
    assert loaded(reader, Reference(first.config, False, False, 1024)).changes
    assert served() is first.config
    del first
    gc.collect()
    assert served() is None


def test_a_reload_of_the_same_changes_nothing(tmp_path: Path) -> None:
    file = tmp_path / "l7.yml"
    file.write_text("backends: {a: {servers: ['127.0.0.1:1']}}")
    reader = ConfigReader(["-c", str(file)], {})
    first = loaded(reader)
    again = loaded(reader, Reference(first.config, False, False, 1024))
    assert again.config is first.config
    assert (again.changes, again.needs_restart) == ((), ())


def test_a_package_that_was_installed_anew_reads_nothing_for_the_old_one() -> None:
    script = (
        "from l7 import validation\n"
        "validation.leave_to_others()\n"
        "validation._stamp = 1, 2, 3\n"
        "from l7.commands.serve import ConfigReader\n"
        "from l7.master.resources.privileged_opener import PrivilegedOpener\n"
        "try:\n"
        "    ConfigReader(['a=127.0.0.1'], {}).load(PrivilegedOpener())\n"
        "except Exception as error:\n"
        "    print(error)\n"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, cwd=ROOT, check=True)
    assert "installed anew: upgrade" in done.stdout


def test_who_can_import_no_more_reads_every_configuration_and_writes_it_down() -> None:
    """As a reader that has become an account which may not enter the installation."""
    script = (
        "import importlib, sys\n"
        "from l7 import validation\n"
        "validation.leave_to_others()\n"
        "from l7.commands import serve\n"
        "from l7.config.generation import Generation, Reference\n"
        "validation.bring_back()\n"
        "importlib.import_module('l7.config.reading.serving').warm_up()\n"
        "sys.meta_path.clear()\n"
        "load, dump = [getattr(importlib.import_module(at), name) for at, name in (serve._LOAD, serve._DUMP)]\n"
        "one = load(None, ['a=127.0.0.1:1', '--tls-cert', 'x.pem'], {}, None)\n"
        "text = b'backends: {a: {servers: [\"https://b:1\"], tls: {ca: x.pem}}}\\nerror-pages: {404: x.html}\\n'\n"
        "text += b'compress: true'\n"
        "two = load(lambda _: text, ['-c', 'x.yml'], {}, Reference(one.config, False, False, 0))\n"
        "shown = dump(None, Generation(2, two.config, '', two.sources), [])\n"
        "print(two.changes != (), *two.config.compress, 'error-pages' in shown)\n"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, cwd=ROOT, check=False)
    assert done.stdout.split() == ["True", *installed(), "True"], done.stderr
