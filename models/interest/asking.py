"""The interest model beside the learner: what it says of the events that wait, and learns from them."""

from collections.abc import Sequence

import numpy as np

from models.arrays import Floats, Rows
from models.columns import KEPT, SEQUENCE
from models.history import History
from models.interest.columns import INTEREST_FEATURES, columns
from models.interest.model import InterestModel
from models.interest.sequences import Sequences, in_sequences
from models.waiting import Waiting

_COLUMNS = len(INTEREST_FEATURES)


def fill_in(model: InterestModel, waiting: Waiting, start: int, stop: int) -> None:
    """Write the last columns of the events in these slots, by the weights of now."""
    slots = slice(start, stop)
    rows, sizes = waiting.rows[slots], waiting.sizes[slots]
    waiting.features[slots, :, -_COLUMNS:] = columns(model.logits(_sequences(waiting, slots), rows), sizes)


def ranks_alone(waiting: Waiting, start: int, stop: int) -> list[int | None]:
    """Return the ranks that events in these slots have by the filled-in logits alone, among the kept.

    As in `Learner.scored`, ties count against the model; None: the target was not kept.
    """
    slots = slice(start, stop)
    logits, targets = waiting.features[slots, :, -_COLUMNS], waiting.targets[slots]
    is_there = np.arange(logits.shape[1]) < waiting.sizes[slots, None]  # [B, K]
    theirs = np.take_along_axis(logits, np.maximum(targets, 0)[:, None], 1)  # [B, 1]
    ranks = ((logits >= theirs) & is_there).sum(1)  # [B, K] -> [B]
    return [
        rank if target >= 0 else None for rank, target in zip(ranks.tolist(), targets.tolist(), strict=True)
    ]


def learn_from(model: InterestModel, waiting: Waiting) -> None:
    """Take a step on the events that wait."""
    every, known = slice(None), waiting.slots
    weighed = np.where(known.weights > 0, known.items, -1).astype(np.int32)
    sequences = _sequences(waiting, every)
    model.learn(sequences, weighed, known.rows, known.sizes, known.weights, known.users)


def columns_of(
    model: InterestModel, histories: Sequence[History], moments_ms: Sequence[int], rows: Sequence[Rows]
) -> list[Floats]:
    """Return float32[n, columns] of each of several users' candidates int32[n], at most KEPT."""
    candidates, sizes = (
        np.zeros((len(rows), KEPT), np.int32),
        np.array([len(each) for each in rows], np.int32),
    )
    for number, each in enumerate(rows):
        candidates[number, : len(each)] = each
    logits = model.logits(in_sequences(histories, moments_ms, SEQUENCE), candidates)
    every = columns(logits, sizes)  # [users, KEPT, columns]
    return [every[number, :size] for number, size in enumerate(sizes.tolist())]


def _sequences(waiting: Waiting, slots: slice) -> Sequences:
    known = waiting.slots
    return Sequences(
        rows=known.past_rows[slots],
        actions=known.past_actions[slots],
        times_ms=known.past_times_ms[slots],
        now_ms=known.now_ms[slots],
        lengths=known.lengths[slots],
    )
