"""The logits as the mixer takes them: numbers of about 1 that tell the kept candidates of an event apart."""

import numpy as np

from models.arrays import Floats, Rows
from models.columns import Feature

INTEREST_FEATURES = (
    Feature("interest"),  # in standard deviations from the mean of the kept
    Feature("interest below the best"),  # in units of 4, down to -4
)
_UNIT, _LEAST = 4.0, -4.0
_SMALL = 1e-6


def columns(logits: Floats, sizes: Rows) -> Floats:
    """Return float32[B, K, 2] of logits [B, K], of which the first `sizes` [B] count; the others are 0."""
    is_there = np.arange(logits.shape[1]) < sizes[:, None]  # [B, K]
    counts = np.maximum(sizes, 1)[:, None].astype(np.float32)
    off = np.where(is_there, logits - (logits * is_there).sum(1, keepdims=True) / counts, 0.0)
    spread = np.sqrt((off * off).sum(1, keepdims=True) / counts + _SMALL)
    best = np.where(is_there, logits, -np.inf).max(1, keepdims=True, initial=-np.inf)
    below = np.where(
        is_there, np.maximum((logits - np.where(np.isfinite(best), best, 0.0)) / _UNIT, _LEAST), 0
    )
    both: Floats = np.stack([off / spread, below], axis=2).astype(np.float32)  # [B, K] -> [B, K, 2]
    return both
