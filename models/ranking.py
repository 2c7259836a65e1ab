"""Candidates from several sources, their features side by side, and the list the weights make of them."""

from dataclasses import dataclass

import numpy as np

from models.catalog import Catalog, RowArray
from models.counts import Counts, FeatureArray
from models.exclusion import ExclusionFilter
from models.popularity import Popularity
from models.repeats import Repeats
from models.sources import Candidates, History, Source

__all__ = ["History", "Query", "Ranker", "Scored"]

_FIRST_CAPACITY = 1024
REASONS = 2


@dataclass(slots=True)
class Query:
    """One moment of one user: the allowed candidates and what is known of each."""

    rows: RowArray  # int32[C], each once
    features: FeatureArray  # float32[C, F], stored feature by feature

    def place(self, row: int) -> int | None:
        """Return where a row is among the candidates, None where it is not."""
        places = np.flatnonzero(self.rows == row)
        return int(places[0]) if len(places) else None


@dataclass(frozen=True, slots=True)
class Scored:
    """An item of a list: its row, its score (larger is better, comparable within the list), and why."""

    row: int
    score: float
    reasons: list[str]


class Ranker:
    """Asks every source for candidates and features; scores them with the weights that the learner sets."""

    def __init__(self, catalog: Catalog, counts: Counts) -> None:
        sources: tuple[Source, ...] = (Popularity(counts), Repeats())
        self._catalog = catalog
        self._counts = counts
        self._sources = sources
        self.features = tuple(feature for source in sources for feature in source.features)
        self.weights: FeatureArray = np.array([f.initial_weight for f in self.features], np.float32)
        self._places = np.zeros(_FIRST_CAPACITY, np.int32)
        self._exclusions = ExclusionFilter(catalog)

    def query(self, history: History, now_ms: int) -> Query:
        """Return the allowed candidates of a user and their features, as of now; asking changes nothing."""
        self._counts.reserve(len(self._catalog))
        rows = self._distinct(np.concatenate([s.candidates(history) for s in self._sources]))
        rows = self._catalog.recommendable(rows)
        if len(history.excluded):
            rows = rows[~self._exclusions.is_excluded(rows, history.excluded)]
        self._places[rows] = np.arange(len(rows), dtype=np.int32)
        candidates = Candidates(rows, self._places)
        features = np.zeros((len(self.features), len(rows)), np.float32)  # [F, C]
        start = 0
        for source in self._sources:
            end = start + len(source.features)
            source.describe(candidates, history, now_ms, features[start:end])
            start = end
        return Query(rows, features.T)  # [C, F]

    def scores(self, query: Query) -> FeatureArray:
        """Return float32[C], the sum over the features of weight times value, added up in their order.

        The same additions in the same order as the learner's, so that a list and a test rank never disagree.
        """
        products = query.features.T * self.weights[:, None]  # [F, C]
        total: FeatureArray = np.add.reduce(products, axis=0)  # [F, C] -> [C]
        return total

    def top(self, query: Query, length: int) -> list[Scored]:
        """Return the best `length` candidates, best first; exact ties are ordered by the items' keys."""
        if not len(query.rows):
            return []
        scores = self.scores(query)
        if length < len(scores):
            worst = np.partition(scores, len(scores) - length)[len(scores) - length]
            kept = np.flatnonzero(scores >= worst)
        else:
            kept = np.arange(len(scores))
        order = np.lexsort((self._catalog.keys[query.rows[kept]], -scores[kept]))
        best = kept[order[:length]]
        # What each feature gave an item beyond what it gave the average candidate.
        gains = (query.features[best] - query.features.mean(axis=0)) * self.weights  # [length, F]
        return [
            Scored(
                int(query.rows[place]),
                float(scores[place]),
                self._reasons(query, int(place), gains[position]),
            )
            for position, place in enumerate(best)
        ]

    def _reasons(self, query: Query, place: int, gains: FeatureArray) -> list[str]:
        """Return the true reasons whose features lifted this candidate, the strongest first."""
        true: set[str] = set()
        start = 0
        for source in self._sources:
            end = start + len(source.features)
            true |= source.claims(int(query.rows[place]), query.features[place, start:end])
            start = end
        lifts: dict[str, float] = {}
        for feature, gain in zip(self.features, gains.tolist(), strict=True):
            if feature.reason in true:
                lifts[feature.reason] = lifts.get(feature.reason, 0.0) + gain
        lifted = [reason for reason, gain in lifts.items() if gain > 0]
        return sorted(lifted, key=lambda reason: -lifts[reason])[:REASONS]

    def _distinct(self, rows: RowArray) -> RowArray:
        """Return every row once: where one comes twice, the last."""
        while len(self._places) < len(self._catalog):
            self._places = np.concatenate([self._places, np.zeros_like(self._places)])
        order = np.arange(len(rows), dtype=np.int32)
        self._places[rows] = order
        distinct: RowArray = rows[self._places[rows] == order]
        return distinct
