"""What runs l7 on machines, as files in ``docs/``: units for systemd, the image, the rotation of logs."""

from __future__ import annotations

import configparser
import json
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from l7.config.schema import Config
from tests.container import instructions

DOCS = Path(__file__).resolve().parents[1] / "docs"


def test_systemd_takes_the_units(tmp_path: Path) -> None:
    if shutil.which("systemd-analyze") is None:
        pytest.skip("needs systemd")
    for name in ("l7.service", "l7.socket"):
        text = (DOCS / name).read_text("utf-8")
        # Commands that are there: verify looks.
        (tmp_path / name).write_text(text.replace("/usr/local/bin/l7", "/bin/true"), "utf-8")
    done = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", str(tmp_path / "l7.service"), str(tmp_path / "l7.socket")],
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert (done.returncode, done.stdout + done.stderr) == (0, "")


def test_systemd_waits_longer_than_a_graceful_stop() -> None:
    unit = configparser.ConfigParser(interpolation=None, strict=False)
    unit.optionxform = str  # type: ignore[assignment,method-assign]
    unit.read(DOCS / "l7.service", "utf-8")
    service = unit["Service"]
    assert service.getfloat("TimeoutStopSec") >= Config().graceful_timeout + 2
    control = service["Environment"].removeprefix("L7_CONTROL=")
    assert service["ExecReload"].endswith(f"/l7 reload --control {control}")
    assert control == f"/run/{service['RuntimeDirectory']}/control"
    assert "KillMode" not in service, "with mixed, what is in flight is lost"


def test_the_image_keeps_its_promises() -> None:
    said = dict(instructions((DOCS / "Containerfile").read_text("utf-8")))
    stages = [rest for word, rest in instructions((DOCS / "Containerfile").read_text("utf-8")) if word == "FROM"]
    assert len(stages) == 2
    assert stages[0].removesuffix(" AS build") == stages[1], (
        "the interpreter that it is compiled for is the one that runs"
    )
    assert re.fullmatch(r"[1-9]\d*:[1-9]\d*", said["USER"])
    assert json.loads(said["ENTRYPOINT"]) == ["l7"], "no shell stands before process 1"
    assert json.loads(said["HEALTHCHECK"].partition("CMD ")[2]) == ["l7", "status"]
    assert said["STOPSIGNAL"] == "SIGTERM"
    (volume,) = json.loads(said["VOLUME"])
    assert f"L7_CONTROL={volume}/" in said["ENV"]
