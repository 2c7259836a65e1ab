"""How often every item occurs, at several half-lives, with the leaders of each.

A count at half-life h is the sum over the item's events e of weight_e * 2^(-(now - e) / h), with time counted
in events. What is kept is its level = log2(count) + now / h. Decay lowers every count alike, so the level of
an item that did not occur never changes: nothing is ever rescaled, and a leader list changes only when the
item just counted passes the list's weakest. So the cost of an event depends neither on the size of the
catalogue nor on the age of the stream.
"""

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from models.catalog import RowArray

LevelArray = NDArray[np.float64]
FeatureArray = NDArray[np.float32]

HALF_LIVES = (30.0, 100.0, 300.0, 1500.0, 6000.0, math.inf)
LEADERS = 100
LOOK_BACK = 0
"""How many events of a user's history these counts look at."""
_FIRST_CAPACITY = 1024


class Counts:
    """Decayed popularity of rows at H half-lives, in events, and the leaders of each, always exact."""

    def __init__(self, half_lives: tuple[float, ...] = HALF_LIVES, leaders: int = LEADERS) -> None:
        shape = (len(half_lives), leaders)
        self.half_lives = half_lives
        self.events = 0
        self._rates = 1.0 / np.array(half_lives)
        # One event of nothing in particular came before the stream, so that a share is always a number.
        self._totals: LevelArray = np.zeros(len(half_lives))
        self._levels: LevelArray = np.full((_FIRST_CAPACITY, len(half_lives)), -np.inf)
        # Where a row stands in each list, -1 where it does not.
        self._places = np.full((_FIRST_CAPACITY, len(half_lives)), -1, np.int32)
        self._lists = np.arange(len(half_lives))
        self._leaders: RowArray = np.full(shape, -1, np.int32)
        self._leader_levels: LevelArray = np.full(shape, -np.inf)
        # Lower bounds of each list's weakest level: levels only rise, so an old minimum stays one.
        self._floors: LevelArray = np.full(len(half_lives), -np.inf)
        self._pool: RowArray = np.zeros(len(half_lives) * leaders, np.int32)
        self._pool_size = 0
        self._pool_places: dict[int, int] = {}
        self._occurrences = np.zeros(_FIRST_CAPACITY, np.int64)

    @property
    def pool(self) -> RowArray:
        """Return int32[n], a view: every row that leads at some half-life, each once, in no order."""
        return self._pool[: self._pool_size]

    @property
    def leaders(self) -> RowArray:
        """Return int32[H, leaders], a view: the leaders at each half-life, unordered, -1 where none is."""
        return self._leaders

    @property
    def leader_levels(self) -> LevelArray:
        """Return float64[H, leaders], a view: the levels of `leaders`, -inf where there is none yet."""
        return self._leader_levels

    def leads(self, row: int, half_life: int) -> bool:
        """Return whether a row is among the leaders at the half-life of this index."""
        return row < len(self._places) and bool(self._places[row, half_life] >= 0)

    def is_counted(self, row: int) -> bool:
        """Return whether a row was ever counted."""
        return row < len(self._levels) and bool(self._levels[row, 0] > -np.inf)

    def levels(self, rows: RowArray | int) -> LevelArray:
        """Return float64[n, H], or [H]: log2 of the counts, plus what all rows have alike at a half-life.

        -inf for what was never counted.
        """
        levels: LevelArray = self._levels[rows]
        return levels

    def log2_shares(self, rows: RowArray) -> FeatureArray:
        """Return float32[H, n], log2 of each row's share of all that was counted; -inf: never counted."""
        # (n, H) -> (H, n), contiguous along the rows
        return (self._levels[rows] - self._totals).T.astype(np.float32, order="C")

    def occurrences(self, rows: int) -> NDArray[np.int64]:
        """Return int64[rows], how many events each of the first rows had, whatever their weights."""
        self.reserve(rows)
        return self._occurrences[:rows]

    def snapshot(self, rows: int) -> dict[str, NDArray[Any]]:
        """Return a copy of everything that is known of the first rows, which are all there are."""
        self.reserve(rows)
        return {
            "events": np.array([self.events]),
            "totals": self._totals.copy(),
            "levels": self._levels[:rows].copy(),
            "occurrences": self._occurrences[:rows].copy(),
            "leaders": self._leaders.copy(),
            "leader_levels": self._leader_levels.copy(),
            "floors": self._floors.copy(),
            "pool": self.pool.copy(),
        }

    def restore(self, arrays: Mapping[str, NDArray[Any]]) -> None:
        """Become what the snapshot was of. Raises ValueError for one of another shape."""
        if arrays["leaders"].shape != self._leaders.shape:
            raise ValueError(f"leaders of shape {arrays['leaders'].shape}, expected {self._leaders.shape}")
        rows = len(arrays["levels"])
        self.reserve(rows)
        self.events = int(arrays["events"][0])
        self._totals[:] = arrays["totals"]
        self._levels[:rows] = arrays["levels"]
        self._occurrences[:rows] = arrays["occurrences"]
        self._leaders[:] = arrays["leaders"]
        self._leader_levels[:] = arrays["leader_levels"]
        self._floors[:] = arrays["floors"]
        for half_life, place in zip(*(self._leaders >= 0).nonzero(), strict=True):
            self._places[self._leaders[half_life, place], half_life] = place
        self._pool_size = len(arrays["pool"])
        self._pool[: self._pool_size] = arrays["pool"]
        self._pool_places = {int(row): place for place, row in enumerate(arrays["pool"])}

    def reserve(self, size: int) -> None:
        """Make room for this many rows; by doubling, so that the cost of an event stays constant."""
        while len(self._levels) < size:
            self._levels = np.concatenate([self._levels, np.full_like(self._levels, -np.inf)])
            self._places = np.concatenate([self._places, np.full_like(self._places, -1)])
            self._occurrences = np.concatenate([self._occurrences, np.zeros_like(self._occurrences)])

    def count(self, row: int, *, weight: float = 1.0) -> None:
        """Count one event of a row, as `weight` (above 0) events of weight 1 at the same moment."""
        self.reserve(row + 1)
        self.events += 1
        self._occurrences[row] += 1
        increment = self._rates * self.events + math.log2(weight)
        np.logaddexp2(self._totals, increment, out=self._totals)
        levels = self._levels[row]
        np.logaddexp2(levels, increment, out=levels)
        places = self._places[row]
        inside = places >= 0
        self._leader_levels[self._lists[inside], places[inside]] = levels[inside]
        for half_life in (~inside & (levels >= self._floors)).nonzero()[0].tolist():
            self._enter(half_life, row, float(levels[half_life]))

    def _enter(self, half_life: int, row: int, level: float) -> None:
        """Put a row into a leader list in the place of its weakest, if it is at least as strong."""
        list_levels = self._leader_levels[half_life]
        place = int(list_levels.argmin())
        self._floors[half_life] = list_levels[place]
        if level < list_levels[place]:
            return
        weakest = int(self._leaders[half_life, place])
        self._leaders[half_life, place] = row
        list_levels[place] = level
        self._places[row, half_life] = place
        if row not in self._pool_places:
            self._pool_places[row] = self._pool_size
            self._pool[self._pool_size] = row
            self._pool_size += 1
        if weakest >= 0:
            self._places[weakest, half_life] = -1
            self._leave_pool(weakest)

    def _leave_pool(self, row: int) -> None:
        """Take a row out of the pool unless it still leads somewhere."""
        if (self._places[row] >= 0).any():
            return
        place = self._pool_places.pop(row)
        self._pool_size -= 1
        last = int(self._pool[self._pool_size])
        if last != row:
            self._pool[place] = last
            self._pool_places[last] = place
