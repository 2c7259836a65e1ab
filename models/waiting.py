"""The events that were asked about and wait for their learner step: written once, in place."""

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from models.arrays import Floats, Rows, Times
from models.columns import KEPT, F, Q


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
        )
        self.features, self.contexts, self.rows, self.sizes = self.slots[:4]
        self.targets, self.first_ranks, self.weights, self.tickets, self.users = self.slots[4:]

    def snapshot(self) -> dict[str, NDArray[Any]]:
        """Return a copy of every column."""
        return {name: array.copy() for name, array in self.slots._asdict().items()}

    def restore(self, arrays: Mapping[str, NDArray[Any]]) -> None:
        """Become what the snapshot was of; raises ValueError for one of another shape."""
        for name, array in self.slots._asdict().items():
            if arrays[name].shape != array.shape:
                raise ValueError(f"{name} of shape {arrays[name].shape}, expected {array.shape}")
            array[:] = arrays[name]
