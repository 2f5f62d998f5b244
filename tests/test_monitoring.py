"""The dashboard and the alert rules in ``docs/``: they use figures that there are, and fire where they should."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from collections.abc import Iterator
from typing import Any

import pytest
import yaml

from l7.telemetry.catalogue import FIGURES
from tests.harness.checkout import CHECKOUT

DOCS = CHECKOUT / "docs"
RULES = DOCS / "alerts.yml"
OF_PROMETHEUS = {"instance", "job", "le"}
"""Labels that Prometheus adds, and that of buckets."""

LABELS = {
    f"{figure.name}{suffix}": {*figure.labels}
    for figure in FIGURES
    for suffix in (("_bucket", "_sum", "_count") if figure.kind == "histogram" else ("",))
}
"""The labels of each series that ``/metrics`` has."""


def complaints(expression: str) -> Iterator[str]:
    """Yield what an expression uses and ``/metrics`` has not."""
    used = set(re.findall(r"\bl7_\w+", expression))
    yield from (f"no figure is {name}" for name in used - LABELS.keys())
    known = OF_PROMETHEUS.union(*(LABELS.get(name, set()) for name in used))
    for name, matchers in re.findall(r"\b(l7_\w+)\{([^}]*)\}", expression):
        own = LABELS.get(name, set()) | OF_PROMETHEUS
        found = re.findall(r"(\w+)\s*(?:=~|!=|!~|=)\s*\"", matchers)
        yield from (f"{name} has no label {label}" for label in found if label not in own)
    for names in re.findall(r"\b(?:by|on|without|ignoring)\s*\(([^)]*)\)", expression):
        found = {one.strip() for one in names.split(",")}
        yield from (f"no label is {label}" for label in found - known)


def dashboard() -> Any:
    return json.loads((DOCS / "grafana.json").read_text("utf-8"))


def targets() -> list[tuple[str, str, str]]:
    """The title of each panel with each of its expressions and legends."""
    return [
        (panel["title"], target["expr"], target["legendFormat"])
        for panel in dashboard()["panels"]
        for target in panel.get("targets", ())
    ]


def rules() -> list[dict[str, Any]]:
    return [rule for group in yaml.safe_load(RULES.read_text("utf-8"))["groups"] for rule in group["rules"]]


def test_what_is_wrong_is_found() -> None:
    wrong = 'sum by (hots) (rate(l7_request_total{code="5xx"}[5m])) / l7_retries_total{server="x"}'
    assert set(complaints(wrong)) == {
        "no figure is l7_request_total",
        "l7_request_total has no label code",
        "l7_retries_total has no label server",
        "no label is hots",
    }
    assert "no figure is l7_request_duration_seconds" in set(complaints("l7_request_duration_seconds"))


@pytest.mark.parametrize(("title", "expression", "legend"), targets())
def test_panels_use_figures_that_there_are(title: str, expression: str, legend: str) -> None:
    assert not list(complaints(expression)), title
    shown = set(re.findall(r"\{\{(\w+)\}\}", legend))
    grouped = {one.strip() for names in re.findall(r"\bby \(([^)]*)\)", expression) for one in names.split(",")}
    assert shown <= grouped, f"{title}: its legend shows labels that its series do not have"


def test_the_dashboard_is_one() -> None:
    found = dashboard()
    panels = found["panels"]
    assert len({panel["id"] for panel in panels}) == len(panels)
    places: set[tuple[int, int]] = set()
    for panel in panels:
        at = panel["gridPos"]
        own = {(x, y) for x in range(at["x"], at["x"] + at["w"]) for y in range(at["y"], at["y"] + at["h"])}
        assert at["x"] + at["w"] <= 24, panel["title"]
        assert not own & places, f"{panel['title']} lies on another panel"
        places |= own
        assert panel["type"] == "row" or panel["description"], panel["title"]
    for variable in found["templating"]["list"]:
        query = variable.get("definition", "")
        matched = re.fullmatch(r"label_values\((.*), (\w+)\)", query)
        assert variable["type"] == "datasource" or matched
        assert matched is None or not list(complaints(f"sum by ({matched[2]}) ({matched[1]})")), query
    assert not list(complaints(found["annotations"]["list"][0]["expr"]))


@pytest.mark.parametrize("rule", rules(), ids=lambda rule: rule["alert"])
def test_alerts_use_figures_that_there_are(rule: dict[str, Any]) -> None:
    assert not list(complaints(rule["expr"]))
    assert rule["labels"]["severity"] in ("info", "warning", "critical")
    shown = set(re.findall(r"\$labels\.(\w+)", str(rule["annotations"])))
    known = OF_PROMETHEUS.union(*(LABELS.get(name, set()) for name in re.findall(r"\bl7_\w+", rule["expr"])))
    assert shown <= known


def test_each_alert_is_tried() -> None:
    tried = (CHECKOUT / "tests" / "alerts.yml").read_text("utf-8")
    missing = [rule["alert"] for rule in rules() if f'alertname="{rule["alert"]}"' not in tried]
    assert not missing


@pytest.mark.parametrize(
    "words", [("check", "rules", str(RULES)), ("test", "rules", str(CHECKOUT / "tests/alerts.yml"))]
)
def test_prometheus_takes_the_alerts(words: tuple[str, ...]) -> None:
    if shutil.which("promtool") is None:
        pytest.skip("needs promtool")
    done = subprocess.run(["promtool", *words], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
