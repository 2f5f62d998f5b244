"""The documentation against the code: what is generated is fresh, what is named exists, what is shown works."""

from __future__ import annotations

import configparser
import importlib.util
import re
from pathlib import Path

import pytest
import yaml

from l7.config.schema import Config
from tests.harness.checkout import CHECKOUT

DOCS = CHECKOUT / "docs"


@pytest.mark.parametrize("name", ["comparison", "explained", "events", "failures", "metrics", "top"])
def test_generated_table_is_fresh(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(DOCS)
    spec = importlib.util.spec_from_file_location(name, DOCS / f"{name}.py")
    assert spec is not None and spec.loader is not None
    made = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(made)
    assert (DOCS / f"{name}.inc").read_text("utf-8") == made.table(), "run: make generated"


def test_map_names_what_exists() -> None:
    text = (DOCS / "architecture.rst").read_text("utf-8")
    rooms = "balancing|commands|config|http|master|telemetry|workers"
    named = set(re.findall(rf"``((?:{rooms})/[a-z]*|errors|exchange|units|clock|cli)``", text))
    assert len(named) > 20
    missing = [name for name in sorted(named) if not (CHECKOUT / "l7" / name).is_dir() and not _module(name).is_file()]
    assert not missing


def test_decisions_have_their_parts_and_name_what_exists() -> None:
    pages = sorted(path for path in (DOCS / "decisions").glob("*.rst") if path.stem != "index")
    assert len(pages) >= 12
    index = (DOCS / "decisions" / "index.rst").read_text("utf-8").split()
    for page in pages:
        text = page.read_text("utf-8")
        heads = re.findall(r"^(\w+)\n-+$", text, re.MULTILINE)
        assert heads == ["Context", "Decision", "Rejected", "Consequence"], page.name
        assert page.stem in index
        for name in re.findall(r"``l7/([a-z/]+)``", text):
            assert (CHECKOUT / "l7" / name).is_dir() or _module(name).is_file(), f"{page.name}: {name}"


def test_tests_that_are_named_outside_of_them_exist() -> None:
    pages = [*DOCS.glob("**/*.rst"), *DOCS.glob("*.inc"), *(CHECKOUT / ".ci").iterdir()]
    for path in [CHECKOUT / "Makefile", CHECKOUT / "README.rst", *pages]:
        for name in re.findall(r"\btests/[a-z0-9_/]+[a-z0-9_](?:\.py)?", path.read_text("utf-8")):
            assert (CHECKOUT / name).exists() or (CHECKOUT / f"{name}.py").exists(), f"{path.name}: {name}"


def _module(name: str) -> Path:
    return CHECKOUT / "l7" / f"{name}.py"


def test_supervisord_waits_longer_than_a_graceful_stop() -> None:
    stanza = configparser.ConfigParser(interpolation=None)
    stanza.read(DOCS / "supervisord.conf", "utf-8")
    program = stanza["program:l7"]
    assert program.getfloat("stopwaitsecs") >= Config().graceful_timeout + 2
    assert program["stopsignal"] == "TERM"


@pytest.mark.parametrize("path", [CHECKOUT / "README.rst", *sorted(DOCS.glob("*.rst"))], ids=lambda path: path.name)
def test_configurations_shown_are_valid(path: Path) -> None:
    blocks = re.findall(r"^\.\. code-block:: yaml\n\n((?:   .*\n|\n)+)", path.read_text("utf-8"), re.MULTILINE)
    assert blocks or path.name != "README.rst"
    for block in blocks:
        Config.model_validate(yaml.safe_load(re.sub(r"^   ", "", block, flags=re.MULTILINE)))
