"""Decayed counts and their leaders, against a plain recount of the whole stream."""

import math

import numpy as np
import pytest

from models.counts import HALF_LIVES, Counts


def recount(events: list[tuple[int, float]], items: int, half_life: float) -> np.ndarray:
    """Count all again, from the definition: weight * 2^(-age / half_life), the last event being of age 0."""
    counts = np.zeros(items)
    for age, (row, weight) in enumerate(reversed(events)):
        counts[row] += weight * 2.0 ** (-age / half_life)
    return counts


def random_events(seed: int, length: int, items: int) -> list[tuple[int, float]]:
    """Draw events of skewed items with weights 1 and 4."""
    random = np.random.default_rng(seed)
    rows = np.minimum(random.geometric(0.02, length) - 1, items - 1)
    return list(zip(rows.tolist(), random.choice([1.0, 4.0], length).tolist(), strict=True))


def test_shares_are_those_of_a_recount() -> None:
    """After thousands of events every share equals the recounted share, at every half-life, to float32."""
    events, items = random_events(1, 3000, 200), 200
    counts = Counts()
    for row, weight in events:
        counts.count(row, weight=weight)
    seen = np.unique([row for row, _ in events]).astype(np.int32)
    shares = counts.log2_shares(seen)
    assert shares.shape == (len(HALF_LIVES), len(seen))
    for number, half_life in enumerate(HALF_LIVES):
        expected = recount(events, items, half_life)
        # Counts assumes one event of no item before the stream.
        total = expected.sum() + 2.0 ** (-len(events) / half_life)
        np.testing.assert_allclose(shares[number], np.log2(expected[seen] / total), rtol=1e-5, atol=1e-5)


def test_leaders_are_those_of_a_full_sort_after_every_event() -> None:
    """A leader list is exact at every moment though it only ever looks at the item just counted."""
    half_lives = (5.0, 40.0, math.inf)
    counts, random = Counts(half_lives, leaders=7), np.random.default_rng(2)
    levels = np.full((60, 3), -np.inf)
    for row in np.minimum(random.geometric(0.06, 1500) - 1, 59).tolist():
        counts.count(row)
        for number in range(3):
            levels[row, number] = counts.levels(row)[number]
            leaders = counts.leaders[number]
            leaders = leaders[leaders >= 0]
            best = np.sort(levels[:, number])[::-1][: len(leaders)]
            np.testing.assert_array_equal(np.sort(levels[leaders, number])[::-1], best)
            assert len(leaders) == min(7, np.isfinite(levels[:, number]).sum())
            stored = counts.leader_levels[number]
            np.testing.assert_array_equal(stored[np.isfinite(stored)], levels[leaders, number])


def test_the_pool_is_the_union_of_the_leaders() -> None:
    """Every leader is in the pool once, and nothing else is, through thousands of comings and goings."""
    counts = Counts(leaders=10)
    for row, weight in random_events(3, 4000, 300):
        counts.count(row, weight=weight)
        leaders = counts.leaders[counts.leaders >= 0]
        assert sorted(counts.pool.tolist()) == sorted(set(leaders.tolist()))


def test_a_weight_is_that_many_events_at_once() -> None:
    """A purchase of weight 4 adds what four clicks of one moment would."""
    counts = Counts((10.0,))
    counts.count(0, weight=4.0)
    counts.count(1, weight=1.0)
    share = 2.0 ** counts.log2_shares(np.array([0, 1], np.int32))[0]
    assert share[0] / share[1] == pytest.approx(4.0 * 2.0 ** (-1 / 10))


def test_nothing_overflows_or_drifts_in_a_stream_of_any_age() -> None:
    """A hundred thousand half-lives on, shares are as in a young stream: there is nothing to rescale."""
    young, old = Counts((3.0,)), Counts((3.0,))
    old.events = 300_000
    for counts in (young, old):
        for row in [0, 1, 1, 2] * 30:
            counts.count(row)
    rows = np.array([0, 1, 2], np.int32)
    np.testing.assert_allclose(young.log2_shares(rows), old.log2_shares(rows), atol=1e-6)


def test_rows_that_were_never_counted_are_known_as_such() -> None:
    """A row of the catalogue that nobody touched here has share zero and leads nowhere."""
    counts = Counts()
    counts.reserve(5000)
    counts.count(3)
    assert counts.log2_shares(np.array([4999], np.int32)).max() == -np.inf
    assert not counts.is_counted(4999)
    assert not counts.is_counted(10**6)
    assert not counts.leads(10**6, 0)
    assert counts.is_counted(3)
    assert counts.leads(3, 0)
