"""Candidates, features and lists, checked against what they are said to be."""

from itertools import pairwise

import numpy as np
import pytest

from models.catalog import Catalog, item_key
from models.columns import CONTEXT, FEATURES, KEPT, ROOTS, F, Q
from models.counts import Counts
from models.effort import EFFORTS, FULL, LOW
from models.history import History
from models.lessons import Lesson, Past, in_columns
from models.ranking import FeatureArray, Ranker
from models.waiting import Waiting
from tests.models.histories import NOW_MS, baseline_ranks, history

NAMES = [feature.name for feature in FEATURES]
RANDOM = np.random.default_rng(7)


def shop(items: int = 300, events: int = 3000, seed: int = 0) -> tuple[Catalog, Counts, Ranker]:
    """Return a shop after a stream in which item i is often followed by item i + 1."""
    random = np.random.default_rng(seed)
    catalog = Catalog()
    for number in range(items):
        catalog.admit(f"i{number}")
    counts = Counts(catalog, slots=1 << 16)
    for _ in range(events):
        row = int(random.random() ** 2 * (items - 1))
        counts.count(history([row]), row + 1, NOW_MS)
    return catalog, counts, Ranker(catalog, counts)


def teach(
    ranker: Ranker,
    catalog: Catalog,
    asked: History,
    row: int,
    waiting: Waiting | None = None,
    weight: float = 1.0,
) -> None:
    """Test and count an event by a ranker, with what is to be seen of it in the first slot of `waiting`."""
    keys = catalog.keys[asked.rows]
    past = Past(keys, asked.actions, asked.times_ms, *(np.zeros(0),) * 3, asked.excluded)
    lesson = Lesson(row, 0, NOW_MS, past, past, len(catalog), True, False, weight, 0)
    ranker.teach(in_columns([lesson], catalog, 0), 0, 1, 1, waiting or Waiting(1), 0)


def linear(features: FeatureArray, context: FeatureArray) -> FeatureArray:
    """Score by the features' initial weights, added up one after the other."""
    total = np.zeros(len(features), np.float32)
    for number, feature in enumerate(FEATURES):
        total += np.float32(feature.initial_weight) * features[:, number]
    return total


def test_candidates_are_distinct_known_and_bounded() -> None:
    """Every candidate comes once and is known; as many as the effort says reach the second stage."""
    catalog, _, ranker = shop()
    for effort in EFFORTS.values():
        ranker.effort = effort
        query = ranker.query(history([50, -1, 3, 60, 50]), NOW_MS, length=200)
        rows = [*query.rows.tolist(), *query.others.tolist()]
        assert len(query.rows) == effort.kept
        assert effort.kept < len(set(rows)) == len(rows) <= 200
        assert all(0 <= row < len(catalog) for row in rows)
        assert query.features.shape == (effort.kept, F)
        assert query.context.shape == (Q,)


def test_an_empty_shop_recommends_nothing() -> None:
    """Nothing was ever seen: no candidates, an empty list, and a context that is finite."""
    catalog = Catalog()
    ranker = Ranker(catalog, Counts(catalog, slots=1024))
    query = ranker.query(history(), NOW_MS)
    assert query.features.shape == (0, F)
    assert np.isfinite(query.context).all()
    assert ranker.top(query, 10, linear) == []


def test_features_are_finite_and_roots_are_shares() -> None:
    """Whatever the history, every value is finite, and the root columns lie in [0, 1]."""
    _, _, ranker = shop()
    for rows in ([], [5], [5, 5, 5], [-1, -1], RANDOM.integers(0, 300, 50).tolist()):
        query = ranker.query(history(rows, gap_ms=86_400_000), NOW_MS)
        assert np.isfinite(query.features).all()
        assert np.isfinite(query.context).all()
        assert query.features[:, :ROOTS].min() >= 0
        assert query.features[:, :ROOTS].max() <= 1.0000001
        assert query.features[:, ROOTS:].min() >= -1
        assert query.features[:, ROOTS:].max() < 4


def test_who_follows_is_a_candidate_and_stands_out() -> None:
    """The item that always comes next has the largest transition and co-occurrence of all candidates."""
    _, _, ranker = shop()
    query = ranker.query(history([200], gap_ms=500), NOW_MS)
    for name in ("followed", "followed the last", "transition", "followed at this gap"):
        column = query.features[:, NAMES.index(name)]
        assert query.rows[column.argmax()] == 201, name
        assert column.max() == 1


def test_own_items_are_described_and_others_are_not() -> None:
    """The columns of a user's own items are above 0 for these, and exactly 0 for all others."""
    _, _, ranker = shop()
    query = ranker.query(history([5, 6, 7, 5, 6, 5], gap_ms=10_000), NOW_MS)
    own = np.isin(query.rows, [5, 6, 7])
    columns = [number for number, name in enumerate(NAMES) if name.startswith("own")]
    assert own.sum() == 3
    assert not query.features[~own][:, columns].any()
    values = dict(zip(query.rows[own].tolist(), query.features[own], strict=True))
    recency, count = NAMES.index("own recency"), NAMES.index("own count")
    assert [values[row][recency] for row in (5, 6, 7)] == pytest.approx([1, 1 / 2, 1 / 4])
    assert values[5][count] > values[6][count] > values[7][count] > 0


def test_excluded_hidden_and_nameless_items_are_no_candidates() -> None:
    """What is excluded by its fingerprint, removed from the catalogue or known by its key never comes."""
    catalog, counts, ranker = shop()
    nameless = catalog.reserve_key(item_key("somebody else's"))
    for _ in range(50):
        counts.count(history([10]), nameless, NOW_MS)
    before = ranker.query(history([10, 20]), NOW_MS, length=250)
    assert {11, 21, 10, 20} <= set(before.rows.tolist())
    assert nameless not in {*before.rows.tolist(), *before.others.tolist()}
    catalog.remove(11)
    excluded = [int(catalog.fingerprints[row]) for row in (20, 21)]
    after = ranker.query(history([10, 20], excluded), NOW_MS, length=250)
    rows = {*after.rows.tolist(), *after.others.tolist()}
    assert 10 in rows
    assert not rows & {11, 20, 21, nameless}


def test_asking_changes_nothing() -> None:
    """A query gives the same whatever was asked in between."""
    _, _, ranker = shop()
    before = ranker.query(history([4, 9]), NOW_MS)
    for row in range(0, 200, 7):
        ranker.query(history([row, row + 1]), NOW_MS)
    after = ranker.query(history([4, 9]), NOW_MS)
    np.testing.assert_array_equal(before.rows, after.rows)
    np.testing.assert_array_equal(before.features, after.features)
    np.testing.assert_array_equal(before.context, after.context)


def test_a_list_is_the_best_in_order_whatever_its_length() -> None:
    """Lists of any length are prefixes of the longest; beyond the second stage the first goes on."""
    _, _, ranker = shop()
    longest = ranker.top(ranker.query(history([1, 2, 1]), NOW_MS, 140), 140, linear)
    assert len({scored.row for scored in longest}) == 140
    assert all(one.score >= other.score for one, other in pairwise(longest))
    for length in (1, 10, KEPT, KEPT + 1, 139):
        listed = ranker.top(ranker.query(history([1, 2, 1]), NOW_MS, length), length, linear)
        assert [scored.row for scored in listed] == [scored.row for scored in longest[:length]]


def test_exact_ties_are_ordered_by_keys() -> None:
    """Candidates with equal scores stand in the order of their items' keys, not of their rows."""
    catalog, _, ranker = shop()
    query = ranker.query(history([1]), NOW_MS)
    listed = ranker.top(query, KEPT, lambda features, context: np.zeros(len(features), np.float32))
    keys = [catalog.key(scored.row) for scored in listed]
    assert keys == sorted(keys)


def test_the_rank_of_a_target_counts_all_others_that_score_as_much() -> None:
    """A slot has the target's place among the kept, and its rank among all candidates by the first stage."""
    catalog, _, ranker = shop()
    waiting, asked = Waiting(1), history([30, 40])
    start = ranker.snapshot()
    for target in (31, 41, 7, 299):
        query = ranker.query(asked, NOW_MS, length=2000)
        ranked = [*query.rows.tolist(), *query.others.tolist()]
        teach(ranker, catalog, asked, target, waiting)
        ranker.restore(start)  # what is learned by one target does not move the next
        place = int(waiting.targets[0])
        assert (place >= 0) == (target in query.rows)
        if place >= 0:
            assert waiting.rows[0, place] == target
            assert 1 <= waiting.first_ranks[0] <= KEPT + 5
        elif target in ranked:
            assert waiting.first_ranks[0] > KEPT - 5
        else:
            assert waiting.first_ranks[0] == 0


def test_the_first_stage_learns_what_is_taken() -> None:
    """When people always take what follows, its columns gain weight; without a target nothing is learned."""
    catalog, _, ranker = shop()
    start = ranker.weights.copy()
    unknown = catalog.admit("never seen")
    teach(ranker, catalog, history([3]), unknown)
    np.testing.assert_array_equal(ranker.weights, start)
    for row in RANDOM.integers(0, 250, 200).tolist():
        teach(ranker, catalog, history([row]), row + 1)
    following = [NAMES.index(name) for name in ("followed", "transition", "co-occurrence")]
    assert (ranker.weights[following] > start[following]).all()
    assert ranker.weights[NAMES.index("popularity 300")] < start[NAMES.index("popularity 300")]


def test_only_differences_in_weight_count() -> None:
    """A stream of weight 4 teaches what one of weight 1 does; a purchase among clicks teaches more."""
    _, _, ranker = shop()
    assert [ranker.weigh(4.0) for _ in range(5)] == [1.0] * 5
    _, _, ranker = shop()
    assert ranker.weigh(1.0) == 1.0
    assert ranker.weigh(4.0) > 3.5


def test_a_snapshot_carries_the_first_stage() -> None:
    """Weights, squared gradients and the mean weight come back exactly; other sizes are refused."""
    catalog, _, ranker = shop()
    for row in range(50):
        teach(ranker, catalog, history([row]), row + 1, weight=ranker.weigh(1.0 + row % 2))
    arrays = ranker.snapshot()
    _, _, other = shop()
    other.restore(arrays)
    for name, array in other.snapshot().items():
        np.testing.assert_array_equal(array, arrays[name])
    with pytest.raises(ValueError, match="expected"):
        other.restore({**arrays, "weights": arrays["weights"][:3]})


def test_less_effort_looks_at_fewer_but_the_same_candidates() -> None:
    """What low effort passes on is among all that full effort considers, and has as many columns."""
    _, _, ranker = shop()
    asked = history([30, 40, 50])
    ranker.effort = FULL
    full = ranker.query(asked, NOW_MS, length=2000)
    ranker.effort = LOW
    low = ranker.query(asked, NOW_MS)
    assert set(low.rows.tolist()) <= {*full.rows.tolist(), *full.others.tolist()}
    assert len(CONTEXT) == len(low.context)


def test_baselines_know_the_counters_lists() -> None:
    """A target that leads everywhere is first by every popularity; excluded, it has no rank at all."""
    catalog, counts, _ = shop()
    for _ in range(2000):
        counts.count(history(), 123, NOW_MS)
    assert list(baseline_ranks(catalog, counts, history(), 123).values()) == [1, 1, 1, 1, 1]
    excluded = history([], [int(catalog.fingerprints[123])])
    assert list(baseline_ranks(catalog, counts, excluded, 123).values()) == [None] * 5
