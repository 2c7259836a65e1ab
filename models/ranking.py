"""Asks the counters for candidates and their features, ranks them, and says why."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from models.asking import ask
from models.candidates import STATE_SIZE, Limits, Scratch, empty_scratch
from models.catalog import Catalog, RowArray
from models.columns import FEATURES, KEPT, Feature, features_of
from models.content import Content
from models.counts import Counts
from models.effort import FULL
from models.exclusion import Banned, empty_banned
from models.first_stage import FIRST_SQUARES
from models.graph import Relations
from models.history import History
from models.lessons import Lessons, teach
from models.reasons import FeatureArray, Known, Scores, explain
from models.remapping import places_of, remap_ranker
from models.waiting import Waiting

__all__ = ["History", "Query", "Ranker", "Scored"]

_FIRST_ROWS = 1024
_FIRST_EXCLUSIONS = 256
_WEIGHT_MOVES = 0.01


@dataclass(slots=True)
class Query:
    """One moment of one user: the candidates that reach the second stage, and what is known of each."""

    history: History
    now_ms: int
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
    """The candidates and the first stage; the second is the learner's, given to the call that needs it."""

    def __init__(self, catalog: Catalog, counts: Counts) -> None:
        self._catalog = catalog
        self._counts = counts
        self._content, self._relations = Content(kinds=0), Relations()
        self._banned: Banned = empty_banned(_FIRST_EXCLUSIONS)
        self.effort = FULL
        self._mean_weight = 0.0  # no event was weighed
        self._lay_out(FEATURES)

    def use_content(self, content: Content, relations: Relations) -> None:
        """Ask also what the catalogue says, from now on, and explain by what items have in common."""
        self._content, self._relations = content, relations
        self.use_columns(features_of(has_content=True))

    def use_columns(self, features: Sequence[Feature]) -> None:
        """Go on over other columns, known by their names: those that are new have their initial weight."""
        theirs, columns = self.snapshot(), places_of(features, self.features)
        self._lay_out(features)
        self.restore(remap_ranker(theirs, self.snapshot(), columns))

    def weigh(self, weight: float) -> float:
        """Return an event's weight as a share of the mean of late: only differences in weight count."""
        mean = self._mean_weight or weight
        self._mean_weight = mean + _WEIGHT_MOVES * (weight - mean)
        return weight / mean

    def teach(
        self, lessons: Lessons, start: int, stop: int, at_once: int, waiting: Waiting, slot: int
    ) -> None:
        """Test and count the lessons from `start` to before `stop`, writing into slots from `slot` on.

        `at_once` of them are tested together, by what was known before the first of them.
        """
        self._counts.reserve()
        self._reserve(len(self._counts.tables.facts), lessons.most_excluded)
        content = self._content.tables
        teach(
            self._counts.tables,
            content if at_once == 1 else content._replace(scoring=content.weights.copy()),
            self._scratch,
            self._banned,
            self._catalog.items(lessons.most_excluded > 0),
            lessons,
            start,
            stop,
            at_once,
            self._limits(),
            self.weights if at_once == 1 else self.weights.copy(),
            self.weights,
            self.squares,
            waiting.slots,
            slot,
        )

    def query(self, history: History, now_ms: int, length: int = KEPT) -> Query:
        """Return what could be next for a user, as of now; asking changes nothing.

        `length` is that of the list that it is for: one longer than what the second stage looks at is filled
        up with other candidates.
        """
        asked = self._asked
        self._counts.reserve()
        self._reserve(len(self._counts.tables.facts), len(history.excluded))
        nothing, no_weight, slot = -1, 0.0, 0
        ask(
            self._counts.tables,
            self._content.tables,
            self._scratch,
            self._banned,
            self._catalog.items(len(history.excluded) > 0),
            history,
            now_ms,
            self._limits(),
            nothing,
            no_weight,
            self.weights,
            self.weights,
            self.squares,
            asked.slots,
            slot,
        )
        size = int(asked.sizes[0])
        rows = asked.rows[0, :size].copy()
        return Query(
            history=history,
            now_ms=now_ms,
            rows=rows,
            features=asked.features[0, :size].copy(),
            context=asked.contexts[0].copy(),
            others=self._others(rows, length - size),
        )

    def top(self, query: Query, length: int, scores: Scores) -> list[Scored]:
        """Return the best `length` candidates, best first; exact ties are ordered by the items' keys.

        Those that the second stage did not look at come last, by the first stage, and without reasons.
        """
        if not len(query.rows):
            return []
        values = scores(query.features, query.context)  # [n]
        order = np.lexsort((self._catalog.keys[query.rows], -values))[:length]
        rows, features = query.rows[order], query.features[order]
        known = Known(self._counts.tables, self._catalog, self._relations, self._content.kinds)
        reasons = explain(
            *(known, query.history, query.now_ms, rows, features, query.features, query.context, scores)
        )
        scored = zip(rows.tolist(), values[order].tolist(), reasons, strict=True)
        listed = [Scored(row, value, why) for row, value, why in scored]
        lowest = listed[-1].score
        rest = query.others[: max(0, length - len(listed))].tolist()
        return [*listed, *(Scored(row, lowest - place, []) for place, row in enumerate(rest, 1))]

    def snapshot(self) -> dict[str, NDArray[Any]]:
        """Return a copy of what was learned."""
        return {
            "weights": self.weights.copy(),
            "squares": self.squares.copy(),
            "mean_weight": np.array([self._mean_weight]),
        }

    def restore(self, arrays: Mapping[str, NDArray[Any]]) -> None:
        """Become what the snapshot was of; raises ValueError for one of other features."""
        if arrays["weights"].shape != self.weights.shape:
            raise ValueError(f"{len(arrays['weights'])} weights, expected {len(self.weights)}")
        self.weights[:] = arrays["weights"]
        self.squares[:] = arrays["squares"]
        self._mean_weight = float(arrays["mean_weight"][0])

    def _lay_out(self, features: Sequence[Feature]) -> None:
        """Begin anew over these columns."""
        self.features = tuple(features)
        self._scratch: Scratch = empty_scratch(_FIRST_ROWS, len(features))
        self._asked = Waiting(1, len(features))
        self.weights = np.array([feature.initial_weight for feature in features], np.float64)
        self.squares = np.full(len(features), FIRST_SQUARES)

    def _limits(self) -> Limits:
        effort = self.effort
        return Limits(effort.history, effort.candidates, effort.leaders, min(effort.kept, KEPT), effort.kinds)

    def _others(self, rows: RowArray, count: int) -> RowArray:
        """Return the best candidates of the query just asked that are not among int32[n] rows."""
        if count <= 0:
            return np.zeros(0, np.int32)
        size = int(self._scratch.state[STATE_SIZE])
        candidates, scores = self._scratch.rows[:size], self._scratch.scores[:size]
        left = ~np.isin(candidates, rows)
        candidates, scores = candidates[left], scores[left]
        order = np.lexsort((self._catalog.keys[candidates], -scores))
        others: RowArray = candidates[order[:count]]
        return others

    def _reserve(self, rows: int, exclusions: int) -> None:
        """Make room to work for as many items as are counted, and for as many exclusions."""
        self._content.reserve(rows)
        if rows > len(self._scratch.marks):
            self._scratch = empty_scratch(rows, len(self.features))
        if 4 * exclusions > len(self._banned.table):
            self._banned = empty_banned(exclusions)
