"""The events that were asked about and wait for their learner step: written once, in place."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from models.columns import KEPT, F, Q


class Waiting:
    """Preallocated columns of `slots` events, as the ranker writes them and the learner reads them.

    What lies behind a slot's size is left over from earlier events.
    """

    def __init__(self, slots: int) -> None:
        self.features = np.zeros((slots, KEPT, F), np.float32)
        self.contexts = np.zeros((slots, Q), np.float32)
        self.rows = np.zeros((slots, KEPT), np.int32)
        self.sizes = np.zeros(slots, np.int32)  # candidates that reached the second stage
        self.targets = np.full(slots, -1, np.int32)  # the true item's place among them, -1: not there
        # Its rank among all candidates by the first stage, 0: no candidate.
        self.first_ranks = np.zeros(slots, np.int32)
        self.weights = np.ones(slots, np.float32)
        self.tickets = np.zeros(slots, np.int64)
        self.users = np.zeros(slots, np.uint64)

    def snapshot(self) -> dict[str, NDArray[Any]]:
        """Return a copy of every column."""
        return {name: array.copy() for name, array in vars(self).items()}

    def restore(self, arrays: Mapping[str, NDArray[Any]]) -> None:
        """Become what the snapshot was of; raises ValueError for one of another shape."""
        for name, array in vars(self).items():
            if arrays[name].shape != array.shape:
                raise ValueError(f"{name} of shape {arrays[name].shape}, expected {array.shape}")
            array[:] = arrays[name]
