"""Test-then-learn: what the ranks of a stream add up to, and the baselines tested beside the model."""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from models.catalog import Catalog, RowArray
from models.counts import Counts
from models.sources import History

CUTOFF = 10
DEPTH = 1000
_HALF_LIVES = (300.0, 1500.0, 6000.0, math.inf)
_TIE_BREAK = 1  # index of the half-life that orders what is equal otherwise
_FOR_EVER = 3
POPULARITY = "popularity"
RECENT = tuple(f"recent_popularity_{half_life:g}" for half_life in _HALF_LIVES[:_FOR_EVER])
REPEAT = "repeat"
BASELINES = (POPULARITY, *RECENT, REPEAT)


@dataclass(slots=True)
class Prequential:
    """Sums over the scored events of one scorer; sums of several workers add up to those of all."""

    scored: int = 0
    hits: int = 0
    ndcg_sum: float = 0.0
    mrr_at_10_sum: float = 0.0
    mrr_sum: float = 0.0

    def add(self, rank: int | None) -> None:
        """Add one scored event: the rank of what happened, None (0 in every metric) if it had none.

        With one relevant item NDCG@10 is 1 / log2(1 + rank), up to rank 10.
        """
        self.scored += 1
        if rank is None:
            return
        self.mrr_sum += 1.0 / rank
        if rank <= CUTOFF:
            self.hits += 1
            self.ndcg_sum += 1.0 / math.log2(1.0 + rank)
            self.mrr_at_10_sum += 1.0 / rank

    def metrics(self) -> dict[str, float]:
        """Return hit@10, ndcg@10, mrr@10 and mrr: means over the scored events, 0 if there are none."""
        count = max(1, self.scored)
        return {
            "hit@10": self.hits / count,
            "ndcg@10": self.ndcg_sum / count,
            "mrr@10": self.mrr_at_10_sum / count,
            "mrr": self.mrr_sum / count,
        }


class Baselines:
    """Popularity, recent popularity and the user's own repeats, tested and taught beside the model.

    Every event counts 1, whatever its action. Each list is known down to its first 1,000 items, so that the
    cost of an event does not grow with the catalogue: a target below them has no rank, and every mrr is a
    lower bound (by less than 0.001). Equal scores are ordered by recent popularity at half-life 1,500; what
    is equal even then counts against the target.
    """

    def __init__(self, catalog: Catalog) -> None:
        self._catalog = catalog
        self._counts = Counts(_HALF_LIVES, DEPTH)

    def learn(self, row: int) -> None:
        """Count an event, after it was tested."""
        self._counts.count(row)

    def test(self, history: History, target_row: int) -> dict[str, int | None]:
        """Return the target's rank by scorer among all items but the excluded, None if it is too deep."""
        if not self._counts.is_counted(target_row) or self._is_excluded(history, target_row):
            return dict.fromkeys(BASELINES)
        above_by_list = [self._above(half_life, target_row) for half_life in range(len(_HALF_LIVES))]
        ranks: dict[str, int | None] = {}
        for scorer, half_life in zip((*RECENT, POPULARITY), range(len(_HALF_LIVES)), strict=True):
            above = above_by_list[half_life]
            ranks[scorer] = None if above is None else 1 + len(self._allowed(history, above))
        ranks[REPEAT] = self._repeat_rank(history, target_row, above_by_list[_TIE_BREAK])
        return ranks

    def _above(self, half_life: int, target_row: int) -> RowArray | None:
        """Return int32[n], the other leaders at least as good as the target, None if it is no leader."""
        if not self._counts.leads(target_row, half_life):
            return None
        leaders, levels = self._counts.leaders(half_life), self._counts.leader_levels(half_life)
        target = self._counts.level(target_row, half_life)
        above = leaders[levels >= target]
        if half_life == _FOR_EVER:
            is_tied = self._counts.levels(above, half_life) == target
            recent = self._counts.level(target_row, _TIE_BREAK)
            above = above[~is_tied | (self._counts.levels(above, _TIE_BREAK) >= recent)]
        others: RowArray = above[above != target_row]
        return others

    def _repeat_rank(self, history: History, target_row: int, above: RowArray | None) -> int | None:
        """Rank by sum over the user's events of 1 / age, age 1 being the last; then by recent popularity."""
        known = history.rows >= 0
        rows = history.rows[known]
        scores: dict[int, float] = {}
        for row, score in zip(rows.tolist(), _by_age(len(history.rows))[known].tolist(), strict=True):
            scores[row] = scores.get(row, 0.0) + score
        own = np.array(list(scores), np.int32)
        target = scores.get(target_row, 0.0)
        if target == 0.0:
            if above is None:
                return None
            others = self._allowed(history, above[~np.isin(above, own)])
            return 1 + len(self._allowed(history, own)) + len(others)
        own_scores = np.array(list(scores.values()))
        level = self._counts.level(target_row, _TIE_BREAK)
        at_least = (own_scores > target) | (
            (own_scores == target) & (self._counts.levels(own, _TIE_BREAK) >= level)
        )
        return len(self._allowed(history, own[at_least]))

    def _allowed(self, history: History, rows: RowArray) -> RowArray:
        if not len(history.excluded):
            return rows
        return rows[~np.isin(self._catalog.fingerprints[rows], history.excluded)]

    def _is_excluded(self, history: History, row: int) -> bool:
        return bool((history.excluded == self._catalog.fingerprints[row]).any())


def _by_age(length: int) -> NDArray[np.float64]:
    """Return float64[length], 1 / age of every event of a history, oldest first; the last one's age is 1."""
    return 1.0 / np.arange(length, 0, -1)
