"""Test-then-learn: what the ranks of a stream add up to, and the baselines tested beside the model."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from models.catalog import UNKNOWN, Catalog, RowArray
from models.counts import Counts, LevelArray
from models.exclusion import ExclusionFilter
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
        self._exclusions = ExclusionFilter(catalog)
        self._counts = Counts(_HALF_LIVES, DEPTH)

    def learn(self, row: int) -> None:
        """Count an event, after it was tested."""
        self._counts.count(row)

    def snapshot(self) -> dict[str, NDArray[Any]]:
        """Return a copy of what was counted."""
        return self._counts.snapshot(len(self._catalog))

    def restore(self, arrays: Mapping[str, NDArray[Any]]) -> None:
        """Become what the snapshot was of; raises ValueError for one of other baselines."""
        self._counts.restore(arrays)

    def test(self, history: History, target_row: int) -> dict[str, int | None]:
        """Return the target's rank by scorer among all items but the excluded, None if it is too deep."""
        counts = self._counts
        counts.reserve(len(self._catalog))
        if not counts.is_counted(target_row) or self._are_excluded([target_row], history)[0]:
            return dict.fromkeys(BASELINES)
        target = counts.levels(target_row)  # [H]
        is_above = counts.leader_levels >= target[:, None]  # [H, leaders]
        self._break_ties(is_above, target)
        lists, places = is_above.nonzero()
        rows = counts.leaders[lists, places]
        if len(history.excluded):
            lists = lists[~self._are_excluded(rows, history)]
        # The target is a leader above itself: its rank is 1 + the others.
        ranks = np.bincount(lists, minlength=len(_HALF_LIVES)).tolist()
        leads = [counts.leads(target_row, number) for number in range(len(_HALF_LIVES))]
        tested = {
            scorer: rank if is_leader else None
            for scorer, rank, is_leader in zip((*RECENT, POPULARITY), ranks, leads, strict=True)
        }
        tested[REPEAT] = self._repeat_rank(history, target_row, float(target[_TIE_BREAK]), tested[RECENT[1]])
        return tested

    def _break_ties(self, is_above: NDArray[np.bool_], target: LevelArray) -> None:
        """Take those out of the popular that are as popular as the target, but less so lately."""
        ties = (self._counts.leader_levels[_FOR_EVER] == target[_FOR_EVER]).nonzero()[0]
        recent = self._counts.levels(self._counts.leaders[_FOR_EVER, ties])[:, _TIE_BREAK]
        is_above[_FOR_EVER, ties] = recent >= target[_TIE_BREAK]

    def _repeat_rank(
        self, history: History, target_row: int, target_level: float, recent_rank: int | None
    ) -> int | None:
        """Rank by the sum over the user's events of 1 / age, age 1 being the last; then by `recent_rank`."""
        sums: dict[int, float] = {}
        for age, row in enumerate(reversed(history.rows.tolist()), 1):
            sums[row] = sums.get(row, 0.0) + 1.0 / age
        sums.pop(UNKNOWN, None)
        own = np.array(list(sums), np.int32)
        scores = np.array(list(sums.values()))
        is_allowed = ~self._are_excluded(own, history)
        is_as_recent = self._counts.levels(own)[:, _TIE_BREAK] >= target_level
        score = sums.get(target_row, 0.0)
        if score:
            is_above = (scores > score) | ((scores == score) & is_as_recent)
            return int(np.count_nonzero(is_above & is_allowed))
        if recent_rank is None:
            return None
        # All own items come first, then the others as they rank by recent popularity.
        return recent_rank + int(np.count_nonzero(is_allowed & ~is_as_recent))

    def _are_excluded(self, rows: RowArray | list[int], history: History) -> NDArray[np.bool_]:
        return self._exclusions.is_excluded(np.asarray(rows, np.int32), history.excluded)
