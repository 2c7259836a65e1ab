"""What a batch of users did, and when they are asked about: as it comes in, and as the network reads it."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from models.actions import ACTIONS
from models.arrays import Actions, Rows, Times
from models.history import History

GAPS = 32
"""Buckets of elapsed time: bucket k is from 2^k - 1 to before 2^(k+1) - 1 seconds."""
KINDS = ACTIONS * GAPS
"""Kinds of events: what was done, and how long before."""
NEVER = GAPS
"""The bucket of the time since the last event where there is none."""


class Sequences(NamedTuple):
    """The newest events of B users, oldest first, at most N of each; what lies behind a length is nothing."""

    rows: Rows  # int32[B, N] of the catalogue, -1: unknown
    actions: Actions  # uint8[B, N]
    times_ms: Times  # int64[B, N]
    now_ms: Times  # int64[B], the moments of use
    lengths: Rows  # int32[B]


class Moments(NamedTuple):
    """Sequences as the network reads them, newest first: facts only, so that they can be kept for replay."""

    rows: Rows  # int32[B, N], -1: unknown, or no event
    kinds: NDArray[np.uint8]  # uint8[B, N]: action * GAPS + bucket of the time up to the last event
    kinds_now: NDArray[np.uint8]  # uint8[B, N]: the same, of the time up to the moment of use
    gaps: NDArray[np.uint8]  # uint8[B]: bucket of the time from the last event to the moment of use, or NEVER


def in_sequences(histories: Sequence[History], now_ms: Sequence[int], length: int) -> Sequences:
    """Return the newest `length` events of every history."""
    batch = Sequences(
        rows=np.full((len(histories), length), -1, np.int32),
        actions=np.zeros((len(histories), length), np.uint8),
        times_ms=np.zeros((len(histories), length), np.int64),
        now_ms=np.array(now_ms, np.int64),
        lengths=np.array([min(len(history.rows), length) for history in histories], np.int32),
    )
    for number, history in enumerate(histories):
        count = int(batch.lengths[number])
        if count:
            batch.rows[number, :count] = history.rows[-count:]
            batch.actions[number, :count] = history.actions[-count:]
            batch.times_ms[number, :count] = history.times_ms[-count:]
    return batch


def bucket(elapsed_ms: Times) -> NDArray[np.uint8]:
    """Return the buckets of elapsed times of any shape, in milliseconds; what is negative counts as 0."""
    # frexp takes the binary exponent apart, so that a bucket does not depend on how a logarithm is rounded.
    exponents = np.frexp(np.maximum(elapsed_ms, 0) / 1000.0 + 1.0)[1] - 1
    buckets: NDArray[np.uint8] = np.minimum(exponents, GAPS - 1).astype(np.uint8)
    return buckets


def as_moments(batch: Sequences, length: int) -> Moments:
    """Return the newest `length` events of every sequence, newest first."""
    places = batch.lengths[:, None] - 1 - np.arange(length)  # [B, N]
    is_there = places >= 0
    places = np.maximum(places, 0)
    times_ms = np.take_along_axis(batch.times_ms, places, 1)  # [B, N]
    actions = np.minimum(np.take_along_axis(batch.actions, places, 1), ACTIONS - 1) * np.uint8(GAPS)
    to_last, to_now = bucket(times_ms[:, :1] - times_ms), bucket(batch.now_ms[:, None] - times_ms)
    return Moments(
        rows=np.where(is_there, np.take_along_axis(batch.rows, places, 1), -1).astype(np.int32),
        kinds=actions + to_last,
        kinds_now=actions + to_now,
        gaps=np.where(batch.lengths > 0, to_now[:, 0], np.uint8(NEVER)),
    )
