"""The merging of a partition number's sources."""

from dataclasses import dataclass

from hypothesis import given
from hypothesis import strategies as st

from streams.merging import WAIT_SECONDS, SourceMerger


@dataclass(frozen=True)
class Record:
    """What the merger looks at."""

    timestamp: int
    name: str = ""


def merger(lag: dict[str, int | None]) -> SourceMerger[Record]:
    """Two topics with the given lag."""
    return SourceMerger(["clicks", "purchases"], lambda topic: lag[topic])


@given(st.lists(st.integers(0, 50)), st.lists(st.integers(0, 50)), st.integers(1, 7))
def test_merges_sorted_topics_into_one_order(clicks: list[int], purchases: list[int], limit: int) -> None:
    """Two topics in time order come out in time order, whole, whatever the size of a take."""
    merged = merger({"clicks": 0, "purchases": 0})
    merged.add("clicks", [Record(t, "c") for t in sorted(clicks)])
    merged.add("purchases", [Record(t, "p") for t in sorted(purchases)])
    out: list[Record] = []
    while taken := merged.take(limit, now_seconds=0.0):
        assert len(taken) <= limit
        out += taken
    assert [r.timestamp for r in out] == sorted(clicks + purchases)
    assert sum(r.name == "c" for r in out) == len(clicks)


def test_order_within_a_topic_is_the_log_order() -> None:
    """A topic whose timestamps go back is not reordered."""
    merged = merger({"clicks": 0, "purchases": 0})
    merged.add("clicks", [Record(5, "first"), Record(3, "second")])
    merged.add("purchases", [Record(4, "between")])
    assert [r.name for r in merged.take(10, 0.0)] == ["between", "first", "second"]


def test_a_topic_with_lag_is_waited_for_but_not_longer() -> None:
    """While a lagging topic has nothing here, nothing is given for 200 ms, and then everything."""
    merged = merger({"clicks": 0, "purchases": 7})
    merged.add("clicks", [Record(1), Record(2)])
    assert merged.take(10, 100.0) == []
    assert merged.take(10, 100.0 + WAIT_SECONDS * 0.9) == []
    assert len(merged.take(10, 100.0 + WAIT_SECONDS)) == 2


def test_a_topic_that_was_given_up_is_waited_for_again_once_it_delivered() -> None:
    """Giving up on a topic lasts until it delivers something."""
    lag: dict[str, int | None] = {"clicks": 0, "purchases": 7}
    merged = merger(lag)
    merged.add("clicks", [Record(1)])
    merged.take(10, 0.0)
    merged.take(10, WAIT_SECONDS)
    merged.add("clicks", [Record(2)])
    assert len(merged.take(10, 5.0)) == 1
    merged.add("purchases", [Record(3)])
    assert len(merged.take(10, 6.0)) == 1
    merged.add("clicks", [Record(4)])
    assert merged.take(10, 7.0) == []


def test_a_topic_without_lag_never_holds_the_others() -> None:
    """A topic that is read to its end is not waited for."""
    merged = merger({"clicks": 0, "purchases": 0})
    merged.add("clicks", [Record(1)])
    assert len(merged.take(10, 0.0)) == 1
    assert merged.wait_seconds(0.0) is None


def test_an_unknown_lag_is_waited_for() -> None:
    """Before the first fetch answered, a topic may have older records: it is waited for."""
    merged = merger({"clicks": 0, "purchases": None})
    merged.add("clicks", [Record(1)])
    assert merged.take(10, 0.0) == []
    wait = merged.wait_seconds(0.0)
    assert wait is not None
    assert 0 < wait <= WAIT_SECONDS
