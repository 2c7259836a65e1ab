"""What is learned from: minibatches of the true item and a sample of the others; a bounded memory of them.

The features kept are those of before the event: computed again later, they would know what came after it.
"""

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from models.compiled import allocating, compiled
from models.mixer.layout import Floats, Integers
from models.waiting import Waiting

# Stored features are whole numbers of 1/4096, which is finer than any of them is meant.
UNITS = 4096.0
_LARGEST = 32767


class Minibatch(NamedTuple):
    """Columns of B events of at most S rows each: the true item first, then others.

    An event of size 0 or weight 0 is none. What lies behind a size is left over from earlier events.
    """

    features: Floats  # [B, S, F]
    contexts: Floats  # [B, Q]
    sizes: Integers  # [B]
    totals: Integers  # [B] rows there were before the others were sampled
    corrections: Floats  # [B] added to the others' scores, so that few stand for all
    weights: Floats  # [B]
    users: NDArray[np.uint64]  # [B]


def empty_minibatch(events: int, rows: int, features: int, contexts: int) -> Minibatch:
    """Return a minibatch [B, S, F] of no events, to be filled."""
    return Minibatch(
        features=np.zeros((events, rows, features), np.float32),
        contexts=np.zeros((events, contexts), np.float32),
        sizes=np.zeros(events, np.int32),
        totals=np.zeros(events, np.int32),
        corrections=np.zeros(events, np.float32),
        weights=np.zeros(events, np.float32),
        users=np.zeros(events, np.uint64),
    )


class _Stored(NamedTuple):
    """A ring of R events, as a minibatch but for the features, which are in units."""

    features: NDArray[np.int16]  # [R, S, F]
    contexts: Floats  # [R, Q]
    sizes: Integers  # [R]
    totals: Integers  # [R]
    weights: Floats  # [R]
    users: NDArray[np.uint64]  # [R]


class Memory:
    """The newest `capacity` learned events with at most `rows` of the items of each; the ring of all of them.

    Its random numbers are its own, so that the same events draw the same ones again.
    """

    def __init__(self, capacity: int, rows: int, features: int, contexts: int, seed: int) -> None:
        self._ring = _Stored(
            features=np.zeros((capacity, rows, features), np.int16),
            contexts=np.zeros((capacity, contexts), np.float32),
            sizes=np.zeros(capacity, np.int32),
            totals=np.zeros(capacity, np.int32),
            weights=np.zeros(capacity, np.float32),
            users=np.zeros(capacity, np.uint64),
        )
        self._random = np.array([seed], np.uint64)
        self.stored = 0  # events ever taken in

    def sample(self, waiting: Waiting, sampled: int, into: Minibatch) -> int:
        """Fill a minibatch with `sampled` rows of each event whose target is there; return how many weigh."""
        into.weights[:] = waiting.weights
        into.users[:] = waiting.users
        rows = min(sampled, into.features.shape[1])
        return _sample(
            waiting.features, waiting.contexts, waiting.sizes, waiting.targets, rows, self._random, into
        )

    def take_in(self, batch: Minibatch) -> None:
        """Store the events of a minibatch."""
        self.stored = _take_in(batch, self._ring, self.stored)

    def recall(self, newest: int, sampled: int, into: Minibatch) -> int:
        """Fill a minibatch with random ones of the newest events; return how many of them weigh anything."""
        low = max(0, self.stored - min(newest, len(self._ring.sizes)))
        return _recall(self._ring, low, self.stored, sampled, self._random, into)

    def forget(self, user: int) -> int:
        """Blot out all that is stored of a user; return how many events that were."""
        theirs = np.flatnonzero((self._ring.users == np.uint64(user)) & (self._ring.sizes > 0))
        for array in self._ring:
            array[theirs] = 0
        return len(theirs)

    def snapshot(self) -> dict[str, NDArray[Any]]:
        """Return a copy of what is there."""
        used = min(self.stored, len(self._ring.sizes))
        arrays = {name: array[:used].copy() for name, array in self._ring._asdict().items()}
        return {**arrays, "random": self._random.copy(), "stored": np.array([self.stored])}

    def restore(self, arrays: Mapping[str, NDArray[Any]]) -> None:
        """Become what the snapshot was of. Raises ValueError if it does not fit."""
        stored = int(arrays["stored"][0])
        columns = self._ring._asdict()
        for name, array in columns.items():
            expected = (min(stored, len(array)), *array.shape[1:])
            if arrays[name].shape != expected:
                raise ValueError(f"{name} of shape {arrays[name].shape}, expected {expected}")
        for name, array in columns.items():
            array[:] = 0
            array[: len(arrays[name])] = arrays[name]
        self._random[:] = arrays["random"]
        self.stored = stored


@compiled
def _below(random: NDArray[np.uint64], limit: int) -> np.int64:
    """Return the next random number in [0, limit): SplitMix64 (Steele, Lea, Flood 2014)."""
    random[0] += np.uint64(0x9E3779B97F4A7C15)
    mixed = random[0]
    mixed = (mixed ^ (mixed >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    mixed = (mixed ^ (mixed >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    mixed = mixed ^ (mixed >> np.uint64(31))
    return np.int64((mixed >> np.uint64(32)) * np.uint64(limit) >> np.uint64(32))


@compiled
def _correction(total: int, size: int) -> float:
    """Return what the scores of size - 1 others gain, so that they stand for total - 1 of them."""
    return np.log((total - 1) / (size - 1)) if size > 1 else 0.0


@allocating
def _sample(
    features: Floats,
    contexts: Floats,
    sizes: Integers,
    targets: Integers,
    sampled: int,
    random: NDArray[np.uint64],
    into: Minibatch,
) -> int:
    """Copy the target and random others of each event, any once; return how many have a weight, too.

    features [B, C, F], contexts [B, Q], sizes [B] of at most C rows, targets [B] or -1.
    """
    order = np.empty(features.shape[1], np.int32)
    known = 0
    for event in range(len(sizes)):
        total, target = sizes[event], targets[event]
        size = min(total, sampled) if target >= 0 else 0
        into.sizes[event], into.totals[event] = size, total
        if size == 0:
            continue
        known += into.weights[event] > 0
        for row in range(total):
            order[row] = row
        order[0], order[target] = target, 0
        for row in range(size):
            other = row + _below(random, total - row) if row > 0 and size < total else row
            order[row], order[other] = order[other], order[row]
            into.features[event, row] = features[event, order[row]]
        into.contexts[event] = contexts[event]
        into.corrections[event] = _correction(total, size)
    return known


@allocating
def _take_in(batch: Minibatch, ring: _Stored, stored: int) -> int:
    """Write the events of a minibatch that have weight over the oldest; return the number ever stored.

    What is not a number is stored as zero.
    """
    limit = np.float32(_LARGEST)
    for event in range(len(batch.sizes)):
        size, at = batch.sizes[event], stored % len(ring.sizes)
        if size == 0 or not batch.weights[event] > 0:
            continue
        for row in range(size):
            for column in range(batch.features.shape[2]):
                value = batch.features[event, row, column] * np.float32(UNITS)
                value = value if value == value else np.float32(0)
                ring.features[at, row, column] = np.int16(np.rint(min(max(value, -limit), limit)))
        ring.contexts[at] = batch.contexts[event]
        ring.sizes[at], ring.totals[at] = size, batch.totals[event]
        ring.weights[at], ring.users[at] = batch.weights[event], batch.users[event]
        stored += 1
    return stored


@allocating
def _recall(
    ring: _Stored, low: int, high: int, sampled: int, random: NDArray[np.uint64], into: Minibatch
) -> int:
    """Copy random events of those numbered low to high, of each the target and others in a row.

    Returns how many have a weight; what was blotted out has none.
    """
    known = 0
    for event in range(len(into.sizes)):
        at = (low + _below(random, high - low)) % len(ring.sizes)
        stored = ring.sizes[at]
        size = min(stored, sampled)
        start = _below(random, stored - 1) if 1 < size < stored else 0
        for row in range(size):
            other = 1 + (start + row - 1) % (stored - 1) if row > 0 else 0
            for column in range(ring.features.shape[2]):
                into.features[event, row, column] = ring.features[at, other, column] * np.float32(1 / UNITS)
        into.contexts[event] = ring.contexts[at]
        into.sizes[event], into.totals[event] = size, ring.totals[at]
        into.weights[event], into.users[event] = ring.weights[at], ring.users[at]
        into.corrections[event] = _correction(ring.totals[at], size)
        known += size > 0 and ring.weights[at] > 0
    return known
