"""The events that were asked about and wait for their learner step: written once, in place."""

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from models.arrays import Actions, Floats, Rows, Times
from models.columns import KEPT, SEQUENCE, F, Q
from models.compiled import compiled
from models.history import History


class Slots(NamedTuple):
    """The columns of `Waiting`, as compiled code takes them. B: slots."""

    features: Floats  # [B, KEPT, F]
    contexts: Floats  # [B, Q]
    rows: Rows  # [B, KEPT]
    sizes: Rows  # [B], candidates that reached the second stage
    targets: Rows  # [B], the true item's place among them, -1: not there
    first_ranks: Rows  # [B], its rank among all candidates by the first stage, 0: no candidate
    weights: Floats  # [B]
    tickets: Times  # [B]
    users: NDArray[np.uint64]  # [B]
    items: Rows  # [B], what happened, whether it was a candidate or not
    now_ms: Times  # [B]
    lengths: Rows  # [B], of the user's newest events, oldest first, of which these are the columns:
    past_rows: Rows  # [B, SEQUENCE], -1: unknown
    past_actions: Actions  # [B, SEQUENCE]
    past_times_ms: Times  # [B, SEQUENCE]


class Waiting:
    """Preallocated columns of `slots` events, as the ranker writes them and the learner reads them.

    What lies behind a slot's size is left over from earlier events.
    """

    def __init__(self, slots: int, features: int = F) -> None:
        self.slots = Slots(
            features=np.zeros((slots, KEPT, features), np.float32),
            contexts=np.zeros((slots, Q), np.float32),
            rows=np.zeros((slots, KEPT), np.int32),
            sizes=np.zeros(slots, np.int32),
            targets=np.full(slots, -1, np.int32),
            first_ranks=np.zeros(slots, np.int32),
            weights=np.ones(slots, np.float32),
            tickets=np.zeros(slots, np.int64),
            users=np.zeros(slots, np.uint64),
            items=np.full(slots, -1, np.int32),
            now_ms=np.zeros(slots, np.int64),
            lengths=np.zeros(slots, np.int32),
            past_rows=np.full((slots, SEQUENCE), -1, np.int32),
            past_actions=np.zeros((slots, SEQUENCE), np.uint8),
            past_times_ms=np.zeros((slots, SEQUENCE), np.int64),
        )
        self.features, self.contexts, self.rows, self.sizes = self.slots[:4]
        self.targets, self.first_ranks, self.weights, self.tickets, self.users = self.slots[4:9]

    def snapshot(self) -> dict[str, NDArray[Any]]:
        """Return a copy of every column."""
        return {name: array.copy() for name, array in self.slots._asdict().items()}

    def restore(self, arrays: Mapping[str, NDArray[Any]]) -> None:
        """Become what the snapshot was of; raises ValueError for one of another shape."""
        for name, array in self.slots._asdict().items():
            if arrays[name].shape != array.shape:
                raise ValueError(f"{name} of shape {arrays[name].shape}, expected {array.shape}")
            array[:] = arrays[name]


@compiled
def write_past(history: History, now_ms: int, item: int, slots: Slots, slot: int) -> None:
    """Write the newest events of a history, and what came after them, -1 for nothing yet."""
    length = min(len(history.rows), SEQUENCE)
    start = len(history.rows) - length
    slots.items[slot], slots.now_ms[slot], slots.lengths[slot] = item, now_ms, length
    for place in range(length):
        slots.past_rows[slot, place] = history.rows[start + place]
        slots.past_actions[slot, place] = history.actions[start + place]
        slots.past_times_ms[slot, place] = history.times_ms[start + place]
