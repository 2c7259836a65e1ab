"""Made-up streams for the interest model: who does what, and what decides it."""

import numpy as np
from numpy.typing import NDArray

from models.columns import KEPT
from models.interest import InterestModel, InterestSettings, Sequences

BATCH = 16
ITEMS = 40
SMALL = InterestSettings(
    dimensions=16,
    history=8,
    text_dimensions=4,
    events_a_step=16,
    replayed=16,
    memory=600,
    recent=200,
    shared_negatives=32,
    learning_rate=0.05,
)
_NOW_MS = 1_700_000_000_000
_SOON_MS, _LATE_MS = 2_000, 40 * 86_400_000


class Batch:
    """A step's worth of events, with the arguments of `learn` and `logits`."""

    def __init__(
        self, sequences: Sequences, targets: NDArray[np.int32], candidates: NDArray[np.int32]
    ) -> None:
        self.sequences = sequences
        self.targets = targets
        self.candidates = candidates
        self.sizes = np.full(len(targets), candidates.shape[1], np.int32)
        self.weights = np.ones(len(targets), np.float32)

    def teach(self, model: InterestModel, users: NDArray[np.uint64] | None = None) -> None:
        """Let a model learn from it."""
        model.learn(self.sequences, self.targets, self.candidates, self.sizes, self.weights, users)


def batch(random: np.random.Generator, items: int = ITEMS, length: int = 8) -> Batch:
    """Return events whose item follows from the last one and from the elapsed time.

    After item k comes k + 1 if it comes soon, and k + 2 if it comes late; histories are of any length from 1.
    """
    rows = random.integers(0, items, (BATCH, length)).astype(np.int32)
    lengths = random.integers(1, length + 1, BATCH).astype(np.int32)
    last = rows[np.arange(BATCH), lengths - 1]
    is_late = random.random(BATCH) < 0.5
    times_ms = _NOW_MS + 60_000 * np.tile(np.arange(length, dtype=np.int64), (BATCH, 1))
    now_ms = times_ms[np.arange(BATCH), lengths - 1] + np.where(is_late, _LATE_MS, _SOON_MS)
    targets = ((last + 1 + is_late) % items).astype(np.int32)
    candidates = np.stack([random.permutation(items)[: min(items, KEPT)] for _ in range(BATCH)])
    actions = np.zeros(rows.shape, np.uint8)
    return Batch(Sequences(rows, actions, times_ms, now_ms, lengths), targets, _wide(candidates))


def _wide(candidates: NDArray[np.int64]) -> NDArray[np.int32]:
    """Return candidates [B, KEPT]: what there is, over again."""
    wide: NDArray[np.int32] = np.take(candidates, np.arange(KEPT) % candidates.shape[1], axis=1).astype(
        np.int32
    )
    return wide


def first_rank_share(model: InterestModel, batches: list[Batch]) -> float:
    """Return the share of the events whose target has the highest score."""
    hits = []
    for each in batches:
        best = model.logits(each.sequences, each.candidates).argmax(1)
        hits.append(each.candidates[np.arange(BATCH), best] == each.targets)
    return float(np.mean(hits))


def taught(
    settings: InterestSettings = SMALL, steps: int = 30, seed: int = 3, device: str = "cpu"
) -> InterestModel:
    """Return a model that has learned for some steps from the stream of a seed."""
    model, random = InterestModel(settings, device=device, seed=1), np.random.default_rng(seed)
    for _ in range(steps):
        batch(random).teach(model)
    return model
