"""Which items a user comes back to: decayed counts of the few best."""

from __future__ import annotations

from array import array
from typing import Final

import numpy as np

REPEATS: Final = 64
"""How many items are kept."""
HALF_LIFE_EVENTS: Final = 50
"""After so many further events of the user, an interaction counts half."""

_DECAY: Final = 0.5 ** (1 / HALF_LIFE_EVENTS)
_DECAY_ARRAY: Final = np.array(_DECAY)  # shape (); to make one of a number costs more than to multiply


def with_interaction(
    keys: array[int],
    counts: array[float],
    times_ms: array[int],
    *,
    item_key: int,
    time_ms: int,
    weight: float,
) -> tuple[array[int], array[float], array[int]]:
    """Return the columns (item key, decayed count, newest time) after one more interaction.

    First all counts are multiplied by 2^(-1/HALF_LIFE_EVENTS), then the item's count grows by `weight`. So
    what happened n of the user's events ago counts weight * 2^(-n/HALF_LIFE_EVENTS): time plays no part, and
    a user who was away for a year finds everything as it was. An item that is new takes the place of the
    smallest count, the first of them if several are equal, once REPEATS items are kept. A late interaction
    counts like any other but does not move its item's time back. The given columns stay as they are.
    """
    keys, counts, times_ms = keys[:], counts[:], times_ms[:]
    view = np.frombuffer(counts)  # (repeats,)
    view *= _DECAY_ARRAY
    if item_key in keys:
        place = keys.index(item_key)
        counts[place] += weight
        times_ms[place] = max(times_ms[place], time_ms)
    elif len(keys) == REPEATS:
        place = int(view.argmin())
        keys[place], counts[place], times_ms[place] = item_key, weight, time_ms
    else:
        del view  # an array that lends its buffer cannot grow
        keys.append(item_key)
        counts.append(weight)
        times_ms.append(time_ms)
    return keys, counts, times_ms


def without_interaction(
    keys: array[int],
    counts: array[float],
    times_ms: array[int],
    *,
    item_key: int,
    age: int,
    length: int,
    time_ms: int | None,
) -> tuple[array[int], array[float], array[int]]:
    """Return the columns after one interaction of an item was taken back, as if it had counted 1.

    `age` is how many of the user's events came after it, `length` how many are known to have come at all, and
    `time_ms` when the item's newest interaction happened that is left of these, None if none is. What is left
    of a count is then of older events, each of which counts less than the oldest known; below half of that it
    is nothing but the error of ages that were told by time and not by arrival. The columns stay as they are.
    """
    if item_key not in keys:
        return keys, counts, times_ms
    keys, counts, times_ms = keys[:], counts[:], times_ms[:]
    place = keys.index(item_key)
    left = counts[place] - _DECAY**age
    oldest = _DECAY**length
    if time_ms is None and left < oldest / 2:
        for column in (keys, counts, times_ms):
            del column[place]
    else:
        counts[place] = max(left, oldest)
        times_ms[place] = times_ms[place] if time_ms is None else time_ms
    return keys, counts, times_ms
