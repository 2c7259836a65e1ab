"""The dashboard shows what a worker exports, all of it, and nothing else."""

import json
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.grafana.promql import labels_of, series_of

GRAFANA = Path(__file__).parents[2] / "grafana"
DASHBOARD: dict[str, Any] = json.loads((GRAFANA / "dashboards" / "freshet.json").read_text(encoding="utf-8"))
PANELS: list[dict[str, Any]] = DASHBOARD["panels"]
COLUMNS = 24
SUFFIXES = ("_total", "_bucket", "_sum", "_count", "_created")

Scraped = dict[str, dict[str, set[str]]]


def targets() -> list[dict[str, Any]]:
    """Return every query of every panel, with the panel's title beside it."""
    return [{**target, "title": panel["title"]} for panel in PANELS for target in panel.get("targets", ())]


def variable_queries() -> list[tuple[str, str]]:
    """Return (series, label) of every variable that Grafana fills by a query."""
    found = []
    for variable in DASHBOARD["templating"]["list"]:
        if variable["type"] == "query":
            match = re.fullmatch(r"label_values\((\w+), (\w+)\)", variable["query"]["query"])
            assert match
            found.append((match[1], match[2]))
    return found


def data_sources(part: object) -> Iterator[str]:
    """Walk a piece of the dashboard for the uids of the data sources that it asks."""
    if isinstance(part, dict):
        if isinstance(part.get("datasource"), dict):
            yield part["datasource"]["uid"]
        for each in part.values():
            yield from data_sources(each)
    elif isinstance(part, list):
        for each in part:
            yield from data_sources(each)


@pytest.mark.parametrize("target", targets(), ids=lambda target: f"{target['title']} {target['refId']}")
def test_every_query_works_on_what_is_exported(target: dict[str, Any], scraped: Scraped) -> None:
    """Series, labels and their values exist, vectors match, and the legend names labels that are left."""
    labels = labels_of(target["expr"], scraped)
    assert labels is not None
    assert set(re.findall(r"{{(\w+)}}", target.get("legendFormat", ""))) <= labels


def test_variables_ask_for_what_is_exported(scraped: Scraped) -> None:
    """What fills the variables exists, and queries use no variable that the dashboard does not have."""
    assert all(label in scraped[series] for series, label in variable_queries())
    own = {variable["name"] for variable in DASHBOARD["templating"]["list"]} | {"__rate_interval", "__range"}
    assert set(re.findall(r"\$(\w+)", json.dumps(targets()))) == own


def test_every_exported_series_is_shown(scraped: Scraped) -> None:
    """Nothing that a worker measures is missing from the dashboard."""
    shown = set().union(*(series_of(target["expr"]) for target in targets()))

    def family(name: str) -> str:
        return next((name.removesuffix(end) for end in SUFFIXES if name.endswith(end)), name)

    assert {family(name) for name in scraped if name != "up"} == {family(name) for name in shown}


def test_the_data_source_is_the_provisioned_one() -> None:
    """Dashboard and provisioning agree on one uid, so that an import needs no choice."""
    provisioned = yaml.safe_load(
        (GRAFANA / "provisioning" / "datasources" / "freshet.yml").read_text("utf-8")
    )
    (source,) = provisioned["datasources"]
    assert set(data_sources(DASHBOARD)) == {source["uid"]}
    assert all(target["datasource"]["type"] == source["type"] for target in targets())


def test_links_to_the_dashboard_stay_valid() -> None:
    """The dashboard has a uid of its own and no id, which another Grafana might have given away."""
    assert DASHBOARD["uid"] == "freshet"
    assert DASHBOARD["id"] is None


def test_panels_have_places_of_their_own() -> None:
    """No panel overlaps another or leaves the grid, and ids are unique."""
    taken: dict[tuple[int, int], str] = {}
    for panel in PANELS:
        place = panel["gridPos"]
        assert place["x"] + place["w"] <= COLUMNS, panel["title"]
        for x in range(place["x"], place["x"] + place["w"]):
            for y in range(place["y"], place["y"] + place["h"]):
                assert (x, y) not in taken, f"{panel['title']} lies on {taken[x, y]}"
                taken[x, y] = panel["title"]
    assert len({panel["id"] for panel in PANELS}) == len(PANELS)


def test_every_panel_says_what_it_shows() -> None:
    """Each panel but a row's title has a description, a unit where it needs one, and a letter a query."""
    for panel in PANELS:
        if panel["type"] != "row":
            assert panel["description"].endswith("."), panel["title"]
            assert panel["type"] in {"table", "heatmap"} or panel["fieldConfig"]["defaults"]["unit"]
            letters = [target["refId"] for target in panel["targets"]]
            assert len(set(letters)) == len(letters) > 0


@pytest.mark.skipif(shutil.which("promtool") is None, reason="promtool is not installed")
def test_prometheus_can_read_every_query(tmp_path: Path) -> None:
    """Promtool takes each query, as the expression of a rule, once Grafana's variables have values."""
    queries = [re.sub(r"\[\$\w+\]", "[5m]", target["expr"]) for target in targets()]
    rules = [{"record": f"query_{number}", "expr": query} for number, query in enumerate(queries)]
    file = tmp_path / "queries.yml"
    file.write_text(yaml.safe_dump({"groups": [{"name": "dashboard", "rules": rules}]}), encoding="utf-8")
    command = ["promtool", "check", "rules", str(file)]
    checked = subprocess.run(command, capture_output=True, text=True, check=False)
    assert checked.returncode == 0, checked.stdout + checked.stderr
