"""What every source of candidates has to do with: a user's past, features, the candidates of one query."""

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from models.catalog import FingerprintArray, RowArray
from models.counts import FeatureArray

_NOWHERE = np.int32(-1)


@dataclass(frozen=True, slots=True)
class History:
    """One user's past, oldest first; times in milliseconds since the epoch, rows -1 for unknown items."""

    rows: RowArray  # int32[n]: what the user did last, every event
    actions: NDArray[np.uint8]  # uint8[n]
    times_ms: NDArray[np.int64]  # int64[n]
    repeat_rows: RowArray  # int32[m]: what the user comes back to, each item once
    repeat_counts: NDArray[np.float64]  # float64[m], decayed
    repeat_times_ms: NDArray[np.int64]  # int64[m]: when last
    excluded: FingerprintArray  # uint32[k]: never recommended


@dataclass(frozen=True, slots=True)
class Feature:
    """A number about a candidate, the weight it starts with, and the reason it speaks for, if it is one."""

    name: str
    initial_weight: float = 0.0
    reason: str = ""


class Candidates:
    """The candidates of one query, and where each row is among them."""

    def __init__(self, rows: RowArray, places: NDArray[np.int32]) -> None:
        self.rows = rows
        self._places = places

    def places(self, rows: RowArray) -> NDArray[np.int32]:
        """Return int32[n], the place of every row among the candidates, -1 for one that is not there."""
        if not len(self.rows):
            return np.full(len(rows), -1, np.int32)
        places = np.minimum(self._places[rows], len(self.rows) - 1)
        return np.where(self.rows[places] == rows, places, _NOWHERE)


class Source(Protocol):
    """Where candidates come from, and what it knows of any candidate."""

    @property
    def features(self) -> tuple[Feature, ...]:
        """Return the features that this source describes candidates with."""

    def candidates(self, history: History) -> RowArray:
        """Return int32[n], rows this source would recommend; a row may be there twice."""

    def describe(self, candidates: Candidates, history: History, now_ms: int, out: FeatureArray) -> None:
        """Write this source's features of all candidates into float32[features, C], which comes as zeros."""

    def claims(self, row: int, values: FeatureArray) -> set[str]:
        """Return the reasons that are true of a row with these values, float32[features]."""
