"""The alerts ask for series that exist, ring when they should, and say what to do."""

import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.grafana.promql import labels_of

ROOT = Path(__file__).parents[2]
ALERTS = ROOT / "grafana" / "alerts"
RULES: list[dict[str, Any]] = [
    rule
    for group in yaml.safe_load((ALERTS / "freshet.rules.yml").read_text(encoding="utf-8"))["groups"]
    for rule in group["rules"]
]
CASES: list[dict[str, Any]] = [
    case
    for test in yaml.safe_load((ALERTS / "freshet.rules.test.yml").read_text(encoding="utf-8"))["tests"]
    for case in test["alert_rule_test"]
]
RUNBOOK = (ROOT / "docs" / "runbook.md").read_text(encoding="utf-8")
NAMES = [rule["alert"] for rule in RULES]


@pytest.mark.parametrize("rule", RULES, ids=NAMES)
def test_every_alert_asks_for_what_is_exported(
    rule: dict[str, Any], scraped: dict[str, dict[str, set[str]]]
) -> None:
    """Series, labels and their values exist, vectors match, and the summary names labels that are left."""
    labels = labels_of(rule["expr"], scraped)
    assert labels is not None
    assert "job" in labels
    assert set(re.findall(r"\$labels\.(\w+)", rule["annotations"]["summary"])) <= labels


@pytest.mark.parametrize("rule", RULES, ids=NAMES)
def test_every_alert_leads_to_its_section_of_the_runbook(rule: dict[str, Any]) -> None:
    """The link's anchor is a heading there: the alert's own, with its meaning and what to do."""
    assert rule["annotations"]["runbook_url"] == f"docs/runbook.md#{rule['alert'].lower()}"
    section = RUNBOOK.split(f"\n## {rule['alert']}\n")[1].split("\n## ")[0]
    assert "**Means.**" in section
    assert "**Do.**" in section
    assert rule["labels"]["severity"] in {"critical", "warning"}


def test_the_runbook_has_no_section_of_an_alert_that_is_gone() -> None:
    """Alerts and their sections come in the same order, and no section is left over."""
    assert re.findall(r"^## (Freshet\w+)$", RUNBOOK, re.MULTILINE) == NAMES


@pytest.mark.parametrize("name", NAMES)
def test_every_alert_is_tested_ringing_and_silent(name: str) -> None:
    """The unit tests for promtool have a moment at which each alert rings, and one at which it does not."""
    rings = [bool(case.get("exp_alerts")) for case in CASES if case["alertname"] == name]
    assert set(rings) == {True, False}


@pytest.mark.skipif(shutil.which("promtool") is None, reason="promtool is not installed")
def test_the_alerts_ring_when_they_should() -> None:
    """Promtool runs the unit tests of the rules, and all pass."""
    command = ["promtool", "test", "rules", str(ALERTS / "freshet.rules.test.yml")]
    tested = subprocess.run(command, capture_output=True, text=True, check=False)
    assert tested.returncode == 0, tested.stdout + tested.stderr
