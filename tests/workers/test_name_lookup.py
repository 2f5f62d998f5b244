"""dnspython is imported where a server has a name, before processes are forked, and nowhere else."""

from __future__ import annotations

import subprocess
import sys

import pytest

from l7.config.schema import Resolver
from l7.config.values.addresses import Address
from l7.workers.monitor import name_lookup
from tests.harness.l7process import ROOT

SCRIPT = """
import sys
from l7.config.schema import Config
from l7.master.build import serve
from l7.workers.monitor.name_lookup import prepare

assert "dns" not in sys.modules
prepare(Config.model_validate({"backends": {"a": {"servers": [sys.argv[1]]}}}))
print("dns" in sys.modules)
"""


@pytest.mark.parametrize(
    ("server", "imported"),
    [("127.0.0.1:1", "False"), ("unix:/run/a", "False"), ("app.test:1", "True"), ("[::1]:1", "False")],
)
def test_who_has_no_names_has_no_resolver(server: str, imported: str) -> None:
    command = [sys.executable, "-c", SCRIPT, server]
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, timeout=60, check=False)
    assert done.stdout.strip() == imported, done.stderr


def test_a_name_is_looked_up_by_who_asks_first() -> None:
    look_up = name_lookup.look_up_by(Resolver())
    for _ in range(2):
        assert [found.host for found in look_up(Address("localhost", 80)).found][:1] == ["127.0.0.1"]


def test_one_that_cannot_be_imported_is_an_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, name_lookup.MODULE, None)
    answer = name_lookup.look_up_by(Resolver())(Address("app.test", 80))
    assert answer.why.startswith("the resolver cannot be imported: ") and not answer.found
