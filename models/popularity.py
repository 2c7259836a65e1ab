"""The source of what everybody does: the leaders at every half-life, described by their shares."""

import math

import numpy as np

from models.catalog import RowArray
from models.counts import Counts, FeatureArray
from models.sources import Candidates, Feature, History

RISING = "rising"
POPULAR = "popular"
_SMALLEST_SHARE = np.float32(1e-4)  # a share of much less than this is as good as none
_SMALLEST_BLEND = np.float32(1e-6)
# How much each of HALF_LIVES counts in the blend: the middle ones most.
_BLEND = np.array([0.3, 1.0, 2.0, 2.0, 1.0, 0.5], np.float32) / np.float32(6.8)
_RISING_BY = np.float32(math.log(1.5))
# Half-lives up to this many events say what is rising, longer ones what is popular.
_SHORT = 300.0


class Popularity:
    """Candidates: every leader. Features: their shares s_h of what was counted, at H half-lives.

    They are log s_h; sqrt(s_h / the largest among the candidates), which tells the top apart where the
    logarithm looks at the whole; and the log of a blend of all s_h. The blend alone starts with a weight, so
    that the untaught softmax is the blend itself.
    """

    def __init__(self, counts: Counts) -> None:
        lives = counts.half_lives
        self._counts = counts
        self._short = [number for number, life in enumerate(lives) if life <= _SHORT]
        self._long = [number for number, life in enumerate(lives) if life > _SHORT]
        reasons = [RISING if life <= _SHORT else POPULAR for life in lives]
        self.features = (
            *(Feature(f"log share at {life:g}", reason=r) for life, r in zip(lives, reasons, strict=True)),
            *(Feature(f"root share at {life:g}", reason=r) for life, r in zip(lives, reasons, strict=True)),
            Feature("log blended share", 1.0, POPULAR),
        )

    def candidates(self, history: History) -> RowArray:
        """Return every row that leads at some half-life: the same for everybody."""
        return self._counts.pool

    def describe(self, candidates: Candidates, history: History, now_ms: int, out: FeatureArray) -> None:
        """Write the features, float32[2 H + 1, C]."""
        if not len(candidates.rows):
            return
        size = len(self._counts.half_lives)
        shares = np.exp2(self._counts.log2_shares(candidates.rows))  # [H, C]
        largest = np.maximum(shares.max(axis=1, keepdims=True), _SMALLEST_SHARE)  # [H, 1]
        np.log(shares + _SMALLEST_SHARE, out=out[:size])
        np.sqrt(shares / largest, out=out[size : 2 * size])
        # Added up one half-life after the other, so that equal shares make equal blends.
        blend = np.add.reduce(shares * _BLEND[:, None], axis=0)  # [H, C] -> [C]
        np.log(blend + _SMALLEST_BLEND, out=out[2 * size])

    def claims(self, row: int, values: FeatureArray) -> set[str]:
        """Rising: half as much again of what is recent as of the whole. Popular: a leader in the long run."""
        claims = set()
        if max(values[number] for number in self._short) > values[self._long[-1]] + _RISING_BY:
            claims.add(RISING)
        if any(self._counts.leads(row, number) for number in self._long):
            claims.add(POPULAR)
        return claims
