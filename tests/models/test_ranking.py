"""Candidates, features, lists and reasons."""

import numpy as np
import pytest

from models.catalog import Catalog, item_key
from models.counts import Counts
from models.popularity import POPULAR, RISING
from models.ranking import Query, Ranker
from models.repeats import COMES_BACK, RECENT
from tests.models.histories import NOW_MS, history


def counted(rows: list[int], items: int = 200) -> tuple[Catalog, Counts, Ranker]:
    """Return a ranker over a catalogue of some items, these rows counted in this order."""
    catalog, counts = Catalog(), Counts()
    for number in range(items):
        catalog.admit(f"i{number}")
    for row in rows:
        counts.count(row)
    return catalog, counts, Ranker(catalog, counts)


def feature(ranker: Ranker, query: Query, name: str, row: int) -> float:
    """Return one feature of one candidate."""
    place = query.place(row)
    assert place is not None
    return float(query.features[place, [f.name for f in ranker.features].index(name)])


def test_candidates_are_the_leaders_and_the_users_own_each_once() -> None:
    """Whatever leads or was had by the user is a candidate once, unknown items of the history are none."""
    _, counts, ranker = counted([1, 2, 3, 3, 7])
    query = ranker.query(history([50, -1, 3, 60, 50]), NOW_MS)
    assert sorted(query.rows.tolist()) == sorted({*counts.pool.tolist(), 50, 60})
    assert query.features.shape == (len(query.rows), len(ranker.features))
    assert query.features.dtype == np.float32
    assert np.isfinite(query.features).all()


def test_a_query_for_nobody_of_nothing_is_empty() -> None:
    """Before the first event there are no candidates, and the list is empty, not an error."""
    _, _, ranker = counted([])
    query = ranker.query(history(), NOW_MS)
    assert query.features.shape == (0, len(ranker.features))
    assert ranker.top(query, 10) == []


def test_excluded_items_are_no_candidates() -> None:
    """Neither a leader nor an own item is a candidate once it is excluded."""
    catalog, _, ranker = counted([1, 2, 3] * 5)
    excluded = [item_key(f"i{row}") & 0xFFFFFFFF for row in (2, 50)]
    query = ranker.query(history([50, 3], excluded), NOW_MS)
    assert sorted(query.rows.tolist()) == [1, 3]
    assert np.isfinite(query.features).all()
    assert {catalog.item_id(s.row) for s in ranker.top(query, 10)} == {"i1", "i3"}


def test_items_that_were_never_counted_here_can_be_ranked() -> None:
    """A restored user's items, not counted in this process yet, are candidates with finite features."""
    _, _, ranker = counted([], items=5000)
    query = ranker.query(history([4999, 7]), NOW_MS)
    assert sorted(query.rows.tolist()) == [7, 4999]
    assert np.isfinite(query.features).all()


def test_the_untaught_softmax_is_the_blended_share() -> None:
    """With the initial weights, probabilities over the candidates are proportional to blended shares."""
    _, counts, ranker = counted([1] * 6 + [2] * 3 + [3] * 1)
    query = ranker.query(history(), NOW_MS)
    scores = ranker.scores(query)
    chances = np.exp(scores) / np.exp(scores).sum()
    shares = 2.0 ** counts.log2_shares(query.rows)
    blend = np.array([0.3, 1.0, 2.0, 2.0, 1.0, 0.5]) @ shares
    np.testing.assert_allclose(chances, blend / blend.sum(), rtol=1e-3)


def test_features_of_own_items_say_how_they_were_had() -> None:
    """Recency, counts, the last item, elapsed time and what followed the last one are as defined."""
    _, _, ranker = counted([1, 2, 3])
    query = ranker.query(history([5, 6, 7, 5, 6, 5], gap_ms=10_000), NOW_MS)

    def value(name: str, row: int) -> float:
        return feature(ranker, query, name, row)

    assert [value("had", row) for row in (5, 6, 7, 1)] == [1, 1, 1, 0]
    assert [value("had last", row) for row in (5, 6, 7)] == [1, 0, 0]
    assert value("log count", 5) == pytest.approx(np.log1p(3))
    assert value("log recency", 6) == pytest.approx(np.log(1 / 5 + 1 / 2 + 0.005))
    assert value("log followed", 6) == pytest.approx(np.log1p(2))
    assert value("log followed", 7) == 0
    assert value("log elapsed", 6) == pytest.approx(np.log1p(20) / 10)
    assert value("habit", 5) == pytest.approx(np.log(3.5 / 3.5))
    assert value("log recency", 1) == 0


def test_a_list_is_the_best_by_score_and_never_longer_than_asked() -> None:
    """The list holds the highest scores in order, for any length up to and beyond the candidates."""
    rows = np.random.default_rng(1).geometric(0.05, 2000).tolist()
    _, _, ranker = counted(rows)
    query = ranker.query(history([1, 2, 1]), NOW_MS)
    best = np.sort(ranker.scores(query))[::-1]
    for length in (1, 10, len(query.rows), len(query.rows) + 5):
        scored = ranker.top(query, length)
        assert [s.score for s in scored] == [float(score) for score in best[:length]]
        assert len({s.row for s in scored}) == len(scored)


def test_exact_ties_are_ordered_by_key_and_never_by_row() -> None:
    """Items with equal features come in the order of their keys, whichever was admitted first."""
    ids = [f"t{number}" for number in range(40)]
    for order in (ids, ids[::-1]):
        catalog, counts = Catalog(), Counts()
        for item_id in order:
            catalog.admit(item_id)
        ranker = Ranker(catalog, counts)
        ranker.weights = np.zeros_like(ranker.weights)
        query = ranker.query(history([catalog.admit(item_id) for item_id in ids]), NOW_MS)
        listed = [catalog.item_id(s.row) for s in ranker.top(query, 10)]
        assert listed == sorted(ids, key=item_key)[:10]


def test_reasons_are_true_and_are_what_lifted_the_item() -> None:
    """A new hit rises, an old one is popular, an own item is had or come back to: where that gave points."""
    _, _, ranker = counted([1, 2, 1, 3] * 500 + [9] * 40)
    names = [f.name for f in ranker.features]

    def reasons(weights: dict[str, float]) -> dict[int, list[str]]:
        ranker.weights = np.array([weights.get(name, 0.0) for name in names], np.float32)
        query = ranker.query(history([60, 61, 60]), NOW_MS)
        return {s.row: s.reasons for s in ranker.top(query, 10)}

    by_share = reasons({"log share at 30": 1.0, "log share at inf": 1.0})
    assert by_share[9] == [RISING, POPULAR]
    assert by_share[1] == [POPULAR]
    assert by_share[60] == []
    by_past = reasons({"had": 1.0, "log count": 1.0, "log elapsed": 1.0})
    assert by_past[60] == [COMES_BACK, RECENT]
    assert COMES_BACK not in by_past[61]
    assert by_past[1] == []
    assert all(not any(r) for r in reasons({}).values())


def test_asking_changes_nothing() -> None:
    """A thousand questions between two events leave features and scores as they were, to the last bit."""
    _, _, ranker = counted(np.random.default_rng(2).geometric(0.05, 500).tolist())
    asked = history([3, 4, 3])
    before = ranker.query(asked, NOW_MS)
    for row in range(100):
        ranker.query(history([row, row + 1]), NOW_MS)
    after = ranker.query(asked, NOW_MS)
    np.testing.assert_array_equal(before.rows, after.rows)
    np.testing.assert_array_equal(before.features, after.features)
