"""What is known of every item by itself: a vector learned from events, a text's, and a graph's.

v_i' = W t_i + id_i + alpha * v_r, by a learned gate alpha. An item gets a vector of its own after a few
events, and loses it when it has not been used for long; before and after, all such items share one. So memory
follows the items in use, and the cost of an event does not grow with the catalogue.
"""

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from models.arrays import Floats, Rows, Times
from models.devices import on_device
from models.interest.optimizers import OPTIMIZERS, as_array, decayed, goes_on, name_in
from models.interest.parameters import Weights
from models.interest.settings import InterestSettings
from models.text.projection import TextVectors

SHARED = 0
"""The slot of the vector of all items that have none of their own."""
_FIRST_SLOTS, _FIRST_ROWS = 1024, 1024
_SWEPT = 4  # slots looked at a step, at least, to see whether they are still used
_NOBODY = -1
_SPREAD, _STARTS = 0.05, 4096
_MANY = 255


class Gathered(NamedTuple):
    """The distinct items of a batch: those with slots of their own, in order, then the others. U of them."""

    rows: Rows  # int32[U] of the catalogue
    slots: Times  # int64[A + 1], the last one SHARED
    values: Tensor  # float32[A + 1, D + 1]: id vectors and biases; a leaf to be differentiated
    related: Tensor | None = None  # float32[U, D]: what a graph says; as much a leaf


class ItemEncoder:
    """Vectors and biases of items by their rows in the catalogue."""

    def __init__(self, settings: InterestSettings, device: torch.device, seed: int) -> None:
        self._settings = settings
        self._device = device
        self._optimizer = OPTIMIZERS[settings.row_optimizer]
        self._width = settings.dimensions + 1
        random = np.random.default_rng(seed)
        starts = random.normal(0, _SPREAD, (_STARTS, self._width)).astype(np.float32)
        starts[:, -1] = 0  # the bias
        self._starts = self._tensor(starts)  # [_STARTS, D + 1]
        columns = self._width * (1 + self._optimizer.remembered)
        self._table = torch.zeros(_FIRST_SLOTS, columns, device=device)  # values, then what is remembered
        self._owners: Rows = np.full(_FIRST_SLOTS, _NOBODY, np.int32)  # the row of each slot
        self._used: Times = np.zeros(_FIRST_SLOTS, np.int64)  # events there had been at its last use
        self._slots: Rows = np.zeros(_FIRST_ROWS, np.int32)  # the slot of each row
        self._counts: NDArray[np.uint8] = np.zeros(_FIRST_ROWS, np.uint8)  # events of a row, up to _MANY
        self._free: list[int] = []
        self._next = SHARED + 1  # the first slot that was never used
        self._hand = SHARED  # where the sweep stands
        self.events = 0
        self.words: TextVectors | None = None
        self._texts: Floats = np.zeros((0, settings.text_dimensions), np.float32)

    def reserve(self, rows: int) -> None:
        """Make room for so many rows of the catalogue, by doubling."""
        if rows > len(self._slots):
            room = max(rows, 2 * len(self._slots)) - len(self._slots)
            self._slots = np.concatenate([self._slots, np.zeros(room, np.int32)])
            self._counts = np.concatenate([self._counts, np.zeros(room, np.uint8)])

    def describe(self, rows: Rows, texts: Floats) -> None:
        """Take in vectors of what rows say, float32[n, T].

        Whoever gives them keeps them: they are not in a snapshot. Raises ValueError for another width.
        """
        _check(texts, len(rows), self._settings.text_dimensions)
        self._texts = _put(self._texts, rows, texts)

    def admit(self, targets: Rows) -> None:
        """Count an event of each of int32[n] targets, give those a slot that have had enough, sweep."""
        self.events += len(targets)
        if not self._settings.uses_ids:
            return
        taken = 0
        for row in targets.tolist():
            self._counts[row] = min(int(self._counts[row]) + 1, _MANY)
            if not self._slots[row] and self._counts[row] >= min(self._settings.admit_after, _MANY):
                self._take_slot(row)
                taken += 1
        self._sweep(max(_SWEPT, 2 * taken))  # more than were taken, or they would become ever more

    def gather(self, rows: Rows) -> tuple[Gathered, NDArray[np.int64]]:
        """Return the distinct items among int32[n] rows, none of them negative, and each one's place."""
        slots = np.where(rows < len(self._slots), self._slots[np.minimum(rows, len(self._slots) - 1)], SHARED)
        # Those without a slot are told apart by their rows, behind those with one.
        keys, places = np.unique(
            np.where(slots > 0, slots, len(self._owners) + rows.astype(np.int64)), return_inverse=True
        )
        own = keys[: np.searchsorted(keys, len(self._owners))]
        distinct = np.concatenate([self._owners[own], keys[len(own) :] - len(self._owners)]).astype(np.int32)
        picked = np.append(own, SHARED).astype(np.int64)
        values = self._table[:, : self._width].index_select(0, self._tensor(picked))
        return Gathered(distinct, picked, values), places.astype(np.int64)

    def encode(self, weights: Weights, gathered: Gathered) -> tuple[Tensor, Tensor]:
        """Return the vectors [U, D] and biases [U] of the distinct items of a batch."""
        values, others = gathered.values, len(gathered.rows) - len(gathered.slots) + 1
        if others != 1:
            values = torch.cat([values[:-1], values[-1:].expand(others, -1)])  # [A + 1, D + 1] -> [U, D + 1]
        vectors, biases = values[:, :-1], values[:, -1]
        if not self._settings.uses_ids:
            vectors = torch.zeros_like(vectors)
        if len(self._texts):
            vectors = vectors + self._tensor(_take(self._texts, gathered.rows)) @ weights.text
        if self.words is not None and self._settings.uses_words:
            vectors = vectors + self._tensor(self.words.of(gathered.rows)) @ weights.words
        if gathered.related is not None:
            own = len(gathered.slots) - 1
            gates = torch.cat(
                [weights.gate[1:].expand(own, -1), weights.gate[:1].expand(len(vectors) - own, -1)]
            )
            vectors = vectors + gates * gathered.related  # [U, D]
        return vectors, biases

    def descend(self, gathered: Gathered, gradient: Tensor, rate: float, steps: int) -> None:
        """Take a step on the vectors that were gathered, and on no others; `steps` counts this one."""
        slots = self._tensor(gathered.slots)
        rows = self._table.index_select(0, slots)  # [A + 1, columns]
        values, *memory = torch.split(rows, self._width, dim=1)
        decayed(values, rate, self._settings.l2)
        self._optimizer.descend(values, gradient, tuple(memory), rate, steps)
        self._table.index_copy_(0, slots, rows)
        self._used[gathered.slots] = self.events

    def slot(self, row: int) -> int:
        """Return the slot of a row, SHARED if it has none of its own."""
        return int(self._slots[row]) if row < len(self._slots) else SHARED

    def snapshot(self) -> dict[str, NDArray[Any]]:
        """Return a copy of what was learned and who has a slot; texts and relations are not in it."""
        return {
            "optimizer": as_array(self._settings.row_optimizer),
            "table": self._table[: self._next].cpu().numpy().copy(),
            "owners": self._owners[: self._next].copy(),
            "used": self._used[: self._next].copy(),
            "counts": self._counts.copy(),
            "free": np.array(self._free, np.int32),
            "state": np.array([self._next, self._hand, self.events, len(self._table)], np.int64),
        }

    def restore(self, arrays: Mapping[str, NDArray[Any]]) -> None:
        """Become what the snapshot was of; what another optimizer remembered is left behind.

        Raises ValueError if it does not fit.
        """
        was = name_in(arrays["optimizer"])
        columns = self._width * (1 + OPTIMIZERS[was].remembered)
        if arrays["table"].shape[1] != columns:
            raise ValueError(f"items have {arrays['table'].shape[1]} numbers each, expected {columns}")
        if not goes_on("the interest model's vectors of items", was, self._settings.row_optimizer):
            columns = self._width
        self._next, self._hand, self.events, size = (int(number) for number in arrays["state"])
        self._table = torch.zeros(size, self._table.shape[1], device=self._device)
        self._table[: self._next, :columns] = self._tensor(arrays["table"][:, :columns])
        self._owners, self._used = np.full(size, _NOBODY, np.int32), np.zeros(size, np.int64)
        self._owners[: self._next], self._used[: self._next] = arrays["owners"], arrays["used"]
        self._counts, self._free = arrays["counts"].copy(), arrays["free"].tolist()
        self._slots = np.zeros(len(self._counts), np.int32)
        taken = np.flatnonzero(self._owners >= 0)
        self._slots[self._owners[taken]] = taken

    def _take_slot(self, row: int) -> None:
        """Give a row a slot: it starts from what all items without one share, which way off by its number."""
        if not self._free and self._next == len(self._table):
            self._grow()
        slot = self._free.pop() if self._free else self._next
        self._next = max(self._next, slot + 1)
        self._table[slot] = 0
        self._table[slot, : self._width] = self._table[SHARED, : self._width] + self._starts[row % _STARTS]
        self._owners[slot], self._slots[row], self._used[slot] = row, slot, self.events

    def _grow(self) -> None:
        """Double the slots."""
        self._table = torch.cat([self._table, torch.zeros_like(self._table)])
        self._owners = np.concatenate([self._owners, np.full_like(self._owners, _NOBODY)])
        self._used = np.concatenate([self._used, np.zeros_like(self._used)])

    def _sweep(self, slots: int) -> None:
        """Look at the next few slots in turn, and take those back that were not used for long."""
        oldest = self.events - self._settings.expire_after
        for _ in range(min(slots, self._next - 1)):
            self._hand = self._hand + 1 if self._hand + 1 < self._next else SHARED + 1
            owner = int(self._owners[self._hand])
            if owner >= 0 and self._used[self._hand] < oldest:
                self._owners[self._hand] = _NOBODY
                self._slots[owner] = SHARED
                self._counts[owner] = 0
                self._free.append(self._hand)

    def _tensor(self, array: NDArray[Any]) -> Tensor:
        return on_device(array, self._device)


def _check(vectors: Floats, count: int, width: int) -> None:
    if vectors.shape != (count, width):
        raise ValueError(f"vectors of shape {vectors.shape}, expected ({count}, {width})")


def _put(vectors: Floats, rows: Rows, new: Floats) -> Floats:
    """Return vectors with the new ones in their rows, in more room if they need it."""
    room = int(rows.max(initial=-1)) + 1
    if room > len(vectors) or vectors.shape[1] != new.shape[1]:
        grown = np.zeros((max(room, 2 * len(vectors)), new.shape[1]), np.float32)
        grown[: len(vectors), : vectors.shape[1]] = vectors
        vectors = grown
    vectors[rows] = new
    return vectors


def _take(vectors: Floats, rows: Rows) -> Floats:
    """Return the vectors [n, W] of rows, zeros for those that nothing was said of."""
    taken: Floats = np.zeros((len(rows), vectors.shape[1]), np.float32)
    is_known = rows < len(vectors)
    taken[is_known] = vectors[rows[is_known]]
    return taken
