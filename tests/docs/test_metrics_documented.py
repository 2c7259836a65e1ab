"""docs/metrics.md is what dashboards are made from, so it must say what streams/metrics.py exports."""

import re
from pathlib import Path

import pytest
from prometheus_client.metrics import MetricWrapperBase

from models.prequential import BASELINES
from streams.events import ACTIONS
from streams.metrics import Metrics
from streams.recommender import Recommender
from streams.scoreboard import SCORER
from streams.settings import Settings

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "metrics.md").read_text(encoding="utf-8")
UNITS = {"_seconds": "seconds", "_bytes": "bytes"}


def rows_of(column: str) -> list[dict[str, str]]:
    """Return the rows of all tables whose first column is this one: column -> cell."""
    rows = []
    for table in re.findall(r"(?:^\|.*\|\n)+", PAGE, re.MULTILINE):
        header, _, *lines = [
            [cell.strip() for cell in line.strip("\n").removeprefix("|").removesuffix("|").split("|")]
            for line in table.splitlines()
        ]
        if header[0] == column:
            rows += [dict(zip(header, cells, strict=True)) for cells in lines]
    return rows


def words(cell: str) -> list[str]:
    """Return every `word` of a cell."""
    return re.findall(r"`([^`]+)`", cell)


def exported() -> dict[str, MetricWrapperBase]:
    """Return every series of a worker: the name that is scraped, a histogram's without its suffix."""
    series = [each for each in vars(Metrics()).values() if isinstance(each, MetricWrapperBase)]
    return {f"{each._name}_total" if each._type == "counter" else each._name: each for each in series}


ROWS = {words(row["name"])[0]: row for row in rows_of("name")}
LABELS = {name: words(row["values"]) for row in rows_of("label") for name in words(row["label"])}


def test_every_metric_is_documented_and_nothing_else() -> None:
    """The tables name all series, each once, and none that is not exported."""
    assert sorted(words(row["name"])[0] for row in rows_of("name")) == sorted(exported())


@pytest.mark.parametrize("name", exported())
def test_the_documented_series_is_the_exported_one(name: str) -> None:
    """Type and labels of a row are the series' own, its unit is the name's, its meaning is said."""
    row, series = ROWS[name], exported()[name]
    assert row["type"] == series._type
    assert words(row["labels"]) == list(series._labelnames)
    for suffix, unit in UNITS.items():
        assert (row["unit"] == unit) == name.endswith(suffix)
    assert row["meaning"].endswith(".")


def test_every_label_is_documented() -> None:
    """The table of labels has all that a series carries, but those that build_info explains by itself."""
    carried = {label for series in exported().values() for label in series._labelnames}
    itself = set(exported()["freshet_build_info"]._labelnames)
    assert set(LABELS) | {"reason"} == carried - itself


def test_the_documented_values_of_labels_are_real() -> None:
    """Actions, stages, variants and scorers on the page are those in the code."""
    streams = [file.read_text(encoding="utf-8") for file in (ROOT / "streams").glob("*.py")]
    assert tuple(LABELS["action"]) == ACTIONS
    assert set(LABELS["stage"]) == {
        stage for text in streams for stage in re.findall(r'\btimed\("(\w+)"\)', text)
    }
    assert LABELS["scorer"] == [SCORER, *BASELINES]
    variants = {
        Recommender(Settings(exclude=exclude, device="cpu"), "w").variant
        for exclude in ("nothing", "seen", "purchased")
    }
    assert set(LABELS["variant"]) - {"exclude"} == variants
    assert set(LABELS["part"]) == {
        part for text in streams for part in re.findall(r'\.loss\.labels\("(\w+)"\)', text)
    }
