"""Earlier events to learn from again: what there was to see before each of them, as facts.

Vectors are worked out anew with the weights of now; that leaks nothing, as what is learned here reaches the
mixer by what it says of later events alone.
"""

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from models.arrays import Floats, Rows
from models.interest.sequences import Moments
from models.interest.settings import InterestSettings


class Learned(NamedTuple):
    """B events to be learned from: what the user had done, what came, and what could have come instead."""

    rows: Rows  # int32[B, N], as in Moments, and so are the next three
    kinds: NDArray[np.uint8]
    kinds_now: NDArray[np.uint8]
    gaps: NDArray[np.uint8]
    targets: Rows  # int32[B], rows of the catalogue
    candidates: Rows  # int32[B, K], those that the ranker kept
    sizes: Rows  # int32[B] of them
    weights: Floats  # float32[B]
    users: NDArray[np.uint64]  # uint64[B]

    def pick(self, which: NDArray[Any]) -> "Learned":
        """Return those events, by their numbers or by a mask."""
        columns: list[Any] = [column[which] for column in self]
        return Learned(*columns)

    def and_then(self, others: "Learned") -> "Learned":
        """Return these events and then the others."""
        ours, theirs = tuple[NDArray[Any], ...](self), tuple[NDArray[Any], ...](others)
        columns: list[Any] = [np.concatenate(pair) for pair in zip(ours, theirs, strict=True)]
        return Learned(*columns)

    @property
    def moments(self) -> Moments:
        """What the network reads of it."""
        return Moments(*self[:4])


class Memory:
    """A ring of the newest events, and how often each item is the target among the most recent of them."""

    def __init__(self, settings: InterestSettings, candidates: int) -> None:
        self._settings = settings
        size, n = settings.memory, settings.history
        self._ring = Learned(
            rows=np.full((size, n), -1, np.int32),
            kinds=np.zeros((size, n), np.uint8),
            kinds_now=np.zeros((size, n), np.uint8),
            gaps=np.zeros(size, np.uint8),
            targets=np.zeros(size, np.int32),
            candidates=np.zeros((size, candidates), np.int32),
            sizes=np.zeros(size, np.int32),
            weights=np.zeros(size, np.float32),
            users=np.zeros(size, np.uint64),
        )
        self._recent: Rows = np.zeros(1024, np.int32)  # events of each row among the most recent
        self.stored = 0

    def __len__(self) -> int:
        return min(self.stored, self._settings.memory)

    def reserve(self, rows: int) -> None:
        """Make room for so many rows of the catalogue, by doubling."""
        if rows > len(self._recent):
            room = max(rows, 2 * len(self._recent)) - len(self._recent)
            self._recent = np.concatenate([self._recent, np.zeros(room, np.int32)])

    def take_in(self, events: Learned) -> None:
        """Store events over the oldest; not more of them than there are recent ones."""
        size, recent = self._settings.memory, self._settings.recent
        numbers = self.stored + np.arange(len(events.targets))
        leaving = self._ring.targets[(numbers - recent)[numbers >= recent] % size]
        np.subtract.at(self._recent, leaving, 1)
        np.add.at(self._recent, events.targets, 1)
        theirs = events._asdict()
        for name, column in self._ring._asdict().items():
            column[numbers % size] = theirs[name]
        self.stored += len(numbers)

    def newest(self, count: int) -> Learned:
        """Return the newest events."""
        return self._ring.pick((self.stored - np.arange(count, 0, -1)) % self._settings.memory)

    def recall(self, count: int, skipped: int, random: np.random.Generator) -> Learned:
        """Return `count` random events, half of them recent, none of the `skipped` newest."""
        last = self.stored - skipped
        old = random.integers(max(0, self.stored - self._settings.memory), last, count - count // 2)
        new = random.integers(max(0, self.stored - self._settings.recent), last, count // 2)
        at = np.concatenate([old, new]) % self._settings.memory
        return self._ring.pick(at)

    def recent_targets(self, count: int, random: np.random.Generator) -> Rows:
        """Return the targets of random recent events; there must be one."""
        lowest = max(0, self.stored - self._settings.recent)
        return self._ring.targets[random.integers(lowest, self.stored, count) % self._settings.memory]

    def share(self, rows: Rows) -> Floats:
        """Return the share of each of int32[n] rows in the recent targets, at least that of half an event."""
        counted = min(self.stored, self._settings.recent)
        return (np.maximum(self._recent[rows], 0.5) / counted).astype(np.float32)

    def forget(self, user: int) -> int:
        """Blot out what is stored of a user; return how many events that were.

        Their targets remain where they are counted: how often an item was taken is no longer about anyone.
        """
        theirs = np.flatnonzero((self._ring.users == np.uint64(user)) & (self._ring.weights > 0))
        for name, column in self._ring._asdict().items():
            column[theirs] = column[theirs] if name == "targets" else 0
        self._ring.rows[theirs] = -1
        return len(theirs)

    def snapshot(self) -> dict[str, NDArray[Any]]:
        """Return a copy of what is there."""
        arrays = {name: column[: len(self)].copy() for name, column in self._ring._asdict().items()}
        return {**arrays, "recent": self._recent.copy(), "stored": np.array([self.stored])}

    def restore(self, arrays: Mapping[str, NDArray[Any]]) -> None:
        """Become what the snapshot was of. Raises ValueError if it does not fit."""
        self.stored = int(arrays["stored"][0])
        for name, column in self._ring._asdict().items():
            expected = (len(self), *column.shape[1:])
            if arrays[name].shape != expected:
                raise ValueError(f"{name} of shape {arrays[name].shape}, expected {expected}")
            column[: len(self)] = arrays[name]
        self._recent = arrays["recent"].copy()
