"""What is measured and reported: how long lists were not fresh, what healed, what is wrong."""

import json
from pathlib import Path
from typing import Any

import pytest

from streams.settings import Settings
from tests.crash.crew import Crew
from tests.crash.faults import FAULTS
from tests.crash.freshness import Freshness
from tests.crash.report import Report
from tests.crash.soak import Plan
from tests.crash.tormentor import Happened


@pytest.fixture
def freshness(monkeypatch: pytest.MonkeyPatch) -> Freshness:
    """Give one of two partitions that watches nothing, at 1,000 s, when all lists are fresh."""
    monkeypatch.setattr("tests.crash.freshness.time.time", lambda: 1000.0)
    watching = Freshness("127.0.0.1:1", "lists", 2)
    watching.begin()
    return watching


def report(**changes: object) -> Report:
    """Return a report of a soak in which a worker was killed three times."""
    happened = [
        Happened(float(n), "kill worker", "worker-1 killed", 2.0, 8.0 + n, 7.0 + n, True) for n in range(3)
    ]
    fields: dict[str, Any] = {
        "again": Plan(seed=9).command,
        "seed": 9,
        "seconds": 60.0,
        "happened": happened,
        "longest_gap_seconds": 9.5,
        "facts": {"records": 10},
        "differences": [],
        "deaths": [],
        "deaths_without_broker": 0,
        "directory": "soak",
    }
    return Report(**fields | changes)


def test_fresh_is_when_the_last_partition_is(freshness: Freshness) -> None:
    """After a fault lists are fresh when every partition has one of an event of after it."""
    freshness.see(0, 1001.0, 1001.1)
    freshness.see(1, 999.0, 1001.2)
    assert freshness.fresh_at(1000.5) is None
    freshness.see(1, 1003.0, 1007.5)
    assert freshness.fresh_at(1000.5) == 1007.5


def test_the_longest_gap(freshness: Freshness) -> None:
    """A gap is from the newest event that a partition's lists knew to the moment when fresher ones came."""
    freshness.see(0, 1001.0, 1001.1)
    freshness.see(1, 1004.0, 1006.0)
    freshness.see(0, 1006.0, 1006.5)
    assert freshness.longest_gap_seconds() == 6.0


def test_who_is_stalest(freshness: Freshness) -> None:
    """The partition whose newest list is the oldest is named."""
    freshness.see(0, 1004.0, 1004.0)
    assert freshness.stalest() == (1, 0.0)
    assert not freshness.are_fresh_since(1002.0, 5.0)
    freshness.see(1, 1003.0, 1004.0)
    assert freshness.are_fresh_since(1002.0, 5.0)


def test_a_good_report() -> None:
    """Recovery is told as median, 99th percentile and maximum; nothing wrong is said to be nothing."""
    good = report()
    assert good.is_good
    found = good.recovery()["kill worker"]
    assert [found[name] for name in ("fresh_p50", "fresh_p99", "fresh_max")] == [8.0, 9.0, 9.0]
    assert "nothing lost, nothing twice, nothing stuck" in good.as_text()
    assert json.loads(good.as_json())["ok"] is True


@pytest.mark.parametrize(
    "change",
    [
        {"differences": ["events lost: u1: expected 3, found 2"]},
        {"deaths": ["worker-1 ended by itself with 1"]},
        {"happened": [Happened(0.0, "kill worker", "worker-1 killed", 2.0, None, None, False)]},
        {"happened": [Happened(0.0, "terminate worker", "worker-1 IT ENDED WITH None", 2.0, 1.0, 1.0, True)]},
    ],
    ids=["difference", "death", "stuck", "exit code"],
)
def test_a_bad_report(change: dict[str, object]) -> None:
    """A difference, a death, a stuck partition and a wrong exit code each fail, and tell the command."""
    bad = report(**change)
    assert not bad.is_good
    assert json.loads(bad.as_json())["ok"] is False
    assert "again: python -m tests.crash --seed 9" in bad.as_text()


def test_the_command_names_what_differs() -> None:
    """Who runs a soak with some faults only is told to do so again."""
    assert "--faults" not in Plan().command
    assert Plan(kinds=list(FAULTS)[:1]).command.endswith("--faults 'kill worker'")


def test_who_ends_by_itself_is_noticed_and_started_again(tmp_path: Path) -> None:
    """A worker that cannot start, here for want of its configuration, is a death with its exit code."""
    crew = Crew(tmp_path, Settings(bootstrap_servers="127.0.0.1:1"), 1)
    (tmp_path / "worker-1.toml").unlink()
    try:
        crew.slots[0].start()
        while not crew.deaths:
            crew.tend()
        assert (crew.deaths[0].worker, crew.deaths[0].code) == ("worker-1", 2)
        assert crew.slots[0].is_running
    finally:
        crew.close()
