"""Test-then-learn sums, and the baselines against a plain ranking of the whole catalogue."""

import math

import numpy as np
import pytest

from models.baselines import DEPTH
from models.catalog import Catalog, item_key
from models.counts import Counts
from models.history import History
from models.prequential import BASELINES, RECENT, Prequential
from tests.models.histories import baseline_ranks, history


def test_metrics_are_means_over_all_scored_events() -> None:
    """An event without a rank adds 0 to every metric and 1 to what they are divided by."""
    sums = Prequential()
    sums.add((1, 3, 11, None))
    assert sums.scored == 4
    assert sums.metrics() == pytest.approx(
        {
            "hit@10": 2 / 4,
            "ndcg@10": (1 + 0.5) / 4,
            "mrr@10": (1 + 1 / 3) / 4,
            "mrr": (1 + 1 / 3 + 1 / 11) / 4,
        }
    )
    assert Prequential().metrics()["mrr"] == 0


class Shop:
    """Baselines and the counters that they look at."""

    def __init__(self, items: int) -> None:
        self.catalog = Catalog()
        for number in range(items):
            self.catalog.admit(f"i{number}")
        self.counts = Counts(self.catalog, slots=1 << 12)

    def learn(self, row: int) -> None:
        """Count one event of somebody without a history."""
        self.counts.count(history(), row, 0)

    def test(self, asked: History, row: int) -> dict[str, int | None]:
        """Return the rank of an item by every baseline."""
        return baseline_ranks(self.catalog, self.counts, asked, row)


class PlainRanking:
    """Ranks the whole catalogue from the definition, looking at every item every time."""

    def __init__(self, items: int) -> None:
        self.recent = {life: np.zeros(items) for life in (300.0, 1500.0, 6000.0, math.inf)}
        self.seen = np.zeros(items, bool)

    def learn(self, row: int) -> None:
        """Count one more event, letting all earlier ones decay."""
        for life, counts in self.recent.items():
            counts *= 2.0 ** (-1 / life)
            counts[row] += 1
        self.seen[row] = True

    def ranks(self, past: list[int], excluded: set[int], target: int) -> dict[str, range | None]:
        """Return the target's rank by every baseline: 1 + the others at least as good, in (score, recent).

        A range, because what differs by less than a hundred thousandth may count as equal or not.
        """
        if not self.seen[target] or target in excluded:
            return dict.fromkeys(BASELINES)
        repeat = np.zeros(len(self.seen))
        for age, row in enumerate(reversed(past), 1):
            repeat[row] += 1 / age
        scores = [self.recent[math.inf], *(self.recent[life] for life in (300.0, 1500.0, 6000.0)), repeat]
        tie, allowed = self.recent[1500.0], self.seen.copy()
        allowed[list(excluded)] = False
        ranks: dict[str, range | None] = {}
        for name, score in zip(BASELINES, scores, strict=True):
            slack = 1 if name in RECENT else 0
            least, most = (
                int(
                    (
                        (
                            (score > score[target] * (1 + sign * slack * 1e-5))
                            | ((score == score[target]) & (tie >= tie[target] * (1 + sign * 1e-5)))
                            | (np.arange(len(score)) == target)
                        )
                        & allowed
                    ).sum()
                )
                for sign in (1, -1)
            )
            ranks[name] = range(least, most + 1)
        return ranks


@pytest.mark.parametrize("excludes", [False, True])
def test_baselines_rank_as_a_look_at_every_item_would(excludes: bool) -> None:
    """On a random stream every baseline's rank is the one by definition, with the seen excluded or not."""
    items, random = 80, np.random.default_rng(3)
    baselines, plain = Shop(items), PlainRanking(items)
    pasts: dict[int, list[int]] = {user: [] for user in range(6)}
    for row in np.minimum(random.geometric(0.05, 1500) - 1, items - 1).tolist():
        past = pasts[int(random.integers(6))]
        del past[:-50]
        excluded = set(past[: len(past) // 2]) if excludes else set()
        keys = [item_key(f"i{number}") & 0xFFFFFFFF for number in excluded]
        lawful = plain.ranks(past, excluded, row)
        for name, rank in baselines.test(history(past, keys), row).items():
            may_be = lawful[name]
            assert rank is None if may_be is None else rank in may_be, name
        baselines.learn(row)
        plain.learn(row)
        past.append(row)


def test_what_lies_below_the_depth_has_no_rank() -> None:
    """A target beyond the first 1,000 has no rank by popularity; the user's own have one by repeats."""
    baselines = Shop(2 * DEPTH)
    for row in range(2 * DEPTH):
        baselines.learn(row)
        if row >= DEPTH:
            baselines.learn(row)
    ranks = baselines.test(history(), 0)
    assert ranks == dict.fromkeys(BASELINES)
    assert baselines.test(history([5, 0]), 0)["repeat"] == 1
    assert baselines.test(history(), 2 * DEPTH - 1)["popularity"] == 1


def test_items_never_counted_here_harm_nothing() -> None:
    """A history of items that this process has not counted, or does not know, is ranked all the same."""
    baselines = Shop(5000)
    baselines.learn(3)
    ranks = baselines.test(history([4999, -1]), 3)
    assert ranks["popularity"] == 1
    assert ranks["repeat"] == 2
    assert baselines.test(history([4999]), 4999) == dict.fromkeys(BASELINES)
