"""What the counters say after a stream, compared with counting anew from all its events."""

from itertools import pairwise

import numpy as np
import pytest

from models.catalog import Catalog
from models.counts import HALF_LIVES, Counts
from models.counts.layout import (
    BACKWARD,
    COUNT,
    DEPTHS,
    FORWARD,
    LAST,
    LASTING_HALF_LIFE,
    LEADERS,
    NEXT,
    OFFSET,
    PAIR_LASTING,
    SIZE,
    TOGETHER,
)
from models.counts.neighbours import KEPT_NEIGHBOURS, MOST, lasting_scale
from models.counts.popularity import popularity
from tests.models.histories import history

LASTING = len(HALF_LIVES)


def catalog_of(items: int) -> Catalog:
    """Return a catalogue of this many items."""
    catalog = Catalog()
    for number in range(items):
        catalog.admit(f"i{number}")
    return catalog


def stream(events: int, items: int, seed: int = 0) -> list[int]:
    """Return rows, a few of them often."""
    random = np.random.default_rng(seed)
    return [int(row) for row in (random.random(events) ** 3 * items)]


def counted(rows: list[int], items: int) -> Counts:
    """Return the counts of a stream of users without history."""
    counts = Counts(catalog_of(items), slots=1 << 12)
    for row in rows:
        counts.count(history(), row, 0)
    return counts


@pytest.mark.parametrize("half_life", range(len(HALF_LIVES)))
def test_popularity_is_the_decayed_sum(half_life: int) -> None:
    """After thousands of events, and many epochs, each share is that of a sum taken anew."""
    rows, items = stream(6000, 200), 200
    tables = counted(rows, items).tables
    decay = 0.5 ** (np.arange(len(rows), 0, -1) / HALF_LIVES[half_life])
    expected = np.bincount(rows, decay, items)
    shares = np.array(
        [popularity(tables, row, half_life, tables.facts[row, LAST]) for row in range(items)], np.float64
    )
    shares /= tables.units[half_life]
    np.testing.assert_allclose(shares, expected, rtol=1e-3, atol=1e-9)


@pytest.mark.parametrize("half_life", [number for number, depth in enumerate(DEPTHS) if depth])
def test_leaders_are_exact_and_in_order(half_life: int) -> None:
    """At any moment the leaders' counts are the largest there are, best first."""
    items = 1500
    counts = Counts(catalog_of(items), slots=1 << 12)
    tables = counts.tables
    for number, row in enumerate(stream(5000, items), 1):
        counts.count(history(), row, 0)
        tables = counts.tables
        if number % 1000 == 0:
            size = int(tables.clock[LEADERS + half_life])
            lasts = tables.facts[:, LAST]
            everyone = [popularity(tables, row, half_life, lasts[row]) for row in range(items)]
            best = np.sort(np.array(everyone, np.float32))[::-1]
            leading = tables.leaders[half_life, :size]
            assert len(set(leading.tolist())) == size == min(DEPTHS[half_life], int((best > 0).sum()))
            np.testing.assert_array_equal(tables.leader_values[half_life, :size], best[:size])
            np.testing.assert_array_equal([everyone[row] for row in leading], best[:size])


def test_pairs_count_who_follows_whom() -> None:
    """An item's neighbours hold position-decayed counts, once a history, by direction and time in between."""
    counts = Counts(catalog_of(4), slots=1 << 12)
    counts.count(history([0, 1, 0], gap_ms=1000), 2, history().times_ms.sum() + 1_700_000_000_000)
    forward = pair_of(counts, 0, 2)
    assert forward[FORWARD] == 1  # the last occurrence of item 0, 1 s before: an instant
    assert forward[NEXT] == forward[TOGETHER] == 1
    assert forward[BACKWARD] == 0
    assert pair_of(counts, 1, 2)[FORWARD] == pytest.approx(0.85)
    assert pair_of(counts, 1, 2)[NEXT] == 0
    assert pair_of(counts, 2, 1)[BACKWARD] == pytest.approx(0.85)


def test_lasting_pairs_halve_every_ten_thousand_events() -> None:
    """A pair's lasting weight decays with the events, through epochs, though nothing touches it."""
    counts = Counts(catalog_of(3), slots=1 << 12)
    counts.count(history([0]), 1, 1_700_000_000_000)
    events = 4 * int(LASTING_HALF_LIFE)
    for _ in range(events):
        counts.count(history(), 2, 0)
    weight = pair_of(counts, 0, 1)[PAIR_LASTING] * lasting_scale(counts.tables, 0)
    assert weight / counts.tables.units[LASTING] == pytest.approx(
        0.5 ** ((events + 1) / LASTING_HALF_LIFE), rel=1e-3
    )


def test_a_row_keeps_its_strongest_neighbours() -> None:
    """However many items go with one, its row stays bounded and keeps those that go with it most."""
    items = 700
    counts = Counts(catalog_of(items), slots=1 << 17)
    for again in range(3):
        for other in range(1, items if again == 0 else 50):
            counts.count(history([0]), other, 1_700_000_000_000)
    facts = counts.tables.facts[0]
    size, offset = int(facts[SIZE]), int(facts[OFFSET])
    assert KEPT_NEIGHBOURS <= size <= MOST
    kept = set(counts.tables.neighbours[offset : offset + size].tolist())
    assert len(kept) == size
    assert set(range(1, 50)) <= kept


def test_a_pool_that_is_used_up_forgets_what_was_unused() -> None:
    """With room for few rows, the counters go on: what is in use keeps neighbours, the rest loses them."""
    items = 2000
    counts = Counts(catalog_of(items), slots=1 << 10)
    random = np.random.default_rng(1)
    for _ in range(8000):
        past, row = random.integers(10, items, 2).tolist()
        counts.count(history([past]), row, 1_700_000_000_000)
        counts.count(history([0]), 1, 1_700_000_000_000)
        counts.count(history([1]), 0, 1_700_000_000_000)
    facts = counts.tables.facts
    blocks = sorted((int(f[OFFSET]), int(f[OFFSET] + f[SIZE])) for f in facts[:items] if f[SIZE])
    assert all(end <= start for (_, end), (start, _) in pairwise(blocks))
    assert blocks[-1][1] <= 1 << 10
    assert pair_of(counts, 0, 1)[TOGETHER] > 1000
    assert counts.occurrences().sum() == 24_000


def test_a_late_event_counts_for_popularity_only() -> None:
    """It says how often an item occurs, and nothing of what follows what."""
    counts = Counts(catalog_of(3), slots=1 << 12)
    counts.count(history([0, 1]), 2, 1_600_000_000_000, is_late=True)
    assert counts.occurrences().tolist() == [0, 0, 1]
    assert counts.tables.values[2, COUNT] == 1
    assert not counts.tables.facts[:, SIZE].any()


def test_a_snapshot_goes_on_as_the_original() -> None:
    """Counters restored in the middle of a stream end with the same arrays, to the last bit."""
    rows, items = stream(3000, 100), 100
    straight, first = Counts(catalog_of(items), 1 << 14), Counts(catalog_of(items), 1 << 14)
    second = Counts(catalog_of(items), 1 << 14)
    for number, row in enumerate(rows):
        asked = history(rows[max(0, number - 5) : number])
        straight.count(asked, row, 1_700_000_000_000)
        if number < 1500:
            first.count(asked, row, 1_700_000_000_000)
        if number == 1500:
            second.restore(first.snapshot())
        if number >= 1500:
            second.count(asked, row, 1_700_000_000_000)
    ours, theirs = second.snapshot(), straight.snapshot()
    assert ours.keys() == theirs.keys()
    for name, array in ours.items():
        np.testing.assert_array_equal(array, theirs[name], err_msg=name)


def test_a_snapshot_of_another_shape_is_refused() -> None:
    """Arrays of another layout are named, and change nothing."""
    counts = counted(stream(50, 10), 10)
    arrays = counts.snapshot()
    arrays["values"] = arrays["values"][:, :5]
    with pytest.raises(ValueError, match="values"):
        counts.restore(arrays)


def pair_of(counts: Counts, row: int, other: int) -> np.ndarray:
    """Return what is counted of an item and its neighbour."""
    offset, size = counts.tables.facts[row, [OFFSET, SIZE]].tolist()
    place = counts.tables.neighbours[offset : offset + size].tolist().index(other)
    pair: np.ndarray = counts.tables.pairs[offset + place]
    return pair
