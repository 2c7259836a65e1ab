"""The source of what everybody does: the leaders at every half-life, described by their shares."""

import math

import numpy as np

from models.catalog import RowArray
from models.counts import Counts, FeatureArray
from models.sources import Candidates, Feature, History

RISING = "rising"
POPULAR = "popular"
# Less than this share, in log2 as Counts gives it, is as good as none.
_SMALLEST_LOG2_SHARE = -17.0
_LOG_2 = math.log(2.0)
_RISING_BY = math.log(1.5)
# Half-lives up to this many events say what is rising, longer ones what is popular.
_SHORT = 300.0
# This one at weight 1, the others at 0: the untaught softmax is that half-life's shares.
_STARTS_WITH = 1500.0


class Popularity:
    """Candidates: every leader. Features: the natural logarithm of the share at each half-life."""

    def __init__(self, counts: Counts) -> None:
        self._counts = counts
        self._short = [number for number, life in enumerate(counts.half_lives) if life <= _SHORT]
        self._long = [number for number, life in enumerate(counts.half_lives) if life > _SHORT]
        self.features = tuple(
            Feature(
                f"log share at {life:g}", float(life == _STARTS_WITH), RISING if life <= _SHORT else POPULAR
            )
            for life in counts.half_lives
        )

    def candidates(self, history: History) -> RowArray:
        """Return every row that leads at some half-life: the same for everybody."""
        return self._counts.pool

    def describe(self, candidates: Candidates, history: History, now_ms: int, out: FeatureArray) -> None:
        """Write the logarithms of the shares, float32[H, C]."""
        np.maximum(self._counts.log2_shares(candidates.rows), _SMALLEST_LOG2_SHARE, out=out)
        out *= _LOG_2

    def claims(self, row: int, values: FeatureArray) -> set[str]:
        """Rising: half as much again of what is recent as of the whole. Popular: a leader in the long run."""
        claims = set()
        if max(values[number] for number in self._short) > values[self._long[-1]] + _RISING_BY:
            claims.add(RISING)
        if any(self._counts.leads(row, number) for number in self._long):
            claims.add(POPULAR)
        return claims
