"""Asks the counters for candidates and their features, ranks them, and says why."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from models.candidates import Limits, Scratch, begin, empty_scratch, gather, place_of
from models.catalog import Catalog, RowArray
from models.columns import FEATURES, KEPT
from models.compiled import compiled
from models.counts import Counts
from models.effort import FULL
from models.exclusion import Banned, ban, empty_banned
from models.features import describe, describe_moment
from models.first_stage import FIRST_SQUARES, keep_best, learn, rank, score
from models.history import History
from models.waiting import Waiting

__all__ = ["History", "Query", "Ranker", "Scored"]

FeatureArray = NDArray[np.float32]
Scores = Callable[[FeatureArray, FeatureArray], FeatureArray]
"""The second stage: float32[n] scores of float32[n, F] features in a float32[Q] context."""

_FIRST_ROWS = 1024
_FIRST_EXCLUSIONS = 256
_WEIGHT_MOVES = 0.01


@dataclass(slots=True)
class Query:
    """One moment of one user: the candidates that reach the second stage, and what is known of each."""

    rows: RowArray  # int32[n], each once
    features: FeatureArray  # float32[n, F]
    context: FeatureArray  # float32[Q]
    others: RowArray  # int32[m], the candidates that do not, best first


@dataclass(frozen=True, slots=True)
class Scored:
    """An item of a list: its row, its score (larger is better, comparable within the list), and why."""

    row: int
    score: float
    reasons: list[str]


class Ranker:
    """The candidates and the first stage; the second is the learner's, which every call that needs it is given."""

    def __init__(self, catalog: Catalog, counts: Counts) -> None:
        self._catalog = catalog
        self._counts = counts
        self._scratch: Scratch = empty_scratch(_FIRST_ROWS)
        self._banned: Banned = empty_banned(_FIRST_EXCLUSIONS)
        self._asked = Waiting(1)
        self.effort = FULL
        self.weights = np.array([feature.initial_weight for feature in FEATURES], np.float64)
        self.squares = np.full(len(FEATURES), FIRST_SQUARES)
        self._mean_weight = np.zeros(1)  # 0: no event was weighed

    def weigh(self, weight: float) -> float:
        """Return an event's weight as a share of the mean of late, so that only differences in weight count."""
        mean = self._mean_weight[0] or weight
        self._mean_weight[0] = mean + _WEIGHT_MOVES * (weight - mean)
        return float(weight / mean)

    def test(
        self, history: History, now_ms: int, target_row: int, weight: float, waiting: Waiting, slot: int
    ) -> None:
        """Ask what could be next just before an event, write it into a slot, and let the first stage learn.

        `weight` is the event's sample weight, about 1.
        """
        self._ask(history, now_ms, waiting, slot, target_row, weight)

    def query(self, history: History, now_ms: int) -> Query:
        """Return what could be next for a user, as of now; asking changes nothing."""
        asked = self._asked
        self._ask(history, now_ms, asked, 0, -1, 0.0)
        size = int(asked.sizes[0])
        return Query(
            rows=asked.rows[0, :size].copy(),
            features=asked.features[0, :size].copy(),
            context=asked.contexts[0].copy(),
            others=np.zeros(0, np.int32),
        )

    def top(self, query: Query, length: int, scores: Scores) -> list[Scored]:
        """Return the best `length` candidates, best first; exact ties are ordered by the items' keys."""
        if not len(query.rows):
            return []
        values = scores(query.features, query.context)  # [n]
        order = np.lexsort((self._catalog.keys[query.rows], -values))
        return [Scored(int(query.rows[place]), float(values[place]), []) for place in order[:length]]

    def snapshot(self) -> dict[str, NDArray[Any]]:
        """Return a copy of what was learned."""
        return {
            "weights": self.weights.copy(),
            "squares": self.squares.copy(),
            "mean_weight": self._mean_weight.copy(),
        }

    def restore(self, arrays: Mapping[str, NDArray[Any]]) -> None:
        """Become what the snapshot was of; raises ValueError for one of other features."""
        if arrays["weights"].shape != self.weights.shape:
            raise ValueError(f"{len(arrays['weights'])} weights, expected {len(self.weights)}")
        self.weights[:] = arrays["weights"]
        self.squares[:] = arrays["squares"]
        self._mean_weight[:] = arrays["mean_weight"]

    def _ask(
        self, history: History, now_ms: int, waiting: Waiting, slot: int, target: int, weight: float
    ) -> None:
        self._counts.reserve()
        self._reserve(len(self._counts.tables.facts), len(history.excluded))
        effort, catalog = self.effort, self._catalog
        _ask(
            self._counts.tables,
            self._scratch,
            self._banned,
            catalog.items(len(history.excluded) > 0),
            history,
            now_ms,
            Limits(effort.history, effort.candidates, effort.leaders, min(effort.kept, KEPT)),
            target,
            weight,
            self.weights,
            self.squares,
            *(waiting.rows, waiting.features, waiting.contexts),
            *(waiting.sizes, waiting.targets, waiting.first_ranks),
            slot,
        )

    def _reserve(self, rows: int, exclusions: int) -> None:
        """Make room to work for as many items as are counted, and for as many exclusions."""
        if rows > len(self._scratch.marks):
            self._scratch = empty_scratch(rows)
        if 4 * exclusions > len(self._banned.table):
            self._banned = empty_banned(exclusions)


@compiled
def _ask(
    tables: Any,
    scratch: Any,
    banned: Any,
    items: Any,
    history: Any,
    now_ms: int,
    limits: Any,
    target: int,
    weight: float,
    weights: Any,
    squares: Any,
    rows: Any,
    features: Any,
    contexts: Any,
    sizes: Any,
    targets: Any,
    first_ranks: Any,
    slot: int,
) -> None:
    """Work out a query into a slot; learn from it, with this sample weight, if there is a target."""
    begin(scratch)
    if items.has_exclusions:
        ban(banned, history.excluded)
    gather(tables, scratch, banned, items, history, now_ms, limits)
    describe(tables, scratch, history, now_ms)
    describe_moment(tables, history, now_ms, contexts[slot])
    score(scratch, weights)
    goal = place_of(scratch, target) if target >= 0 else -1
    sizes[slot], targets[slot] = keep_best(scratch, goal, limits.kept, rows[slot], features[slot])
    first_ranks[slot] = rank(scratch, goal) if goal >= 0 else 0
    if goal >= 0:
        learn(scratch, goal, weight, weights, squares)
