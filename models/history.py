"""One user's past, as every part of the model reads it."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from models.catalog import FingerprintArray, RowArray
from models.compiled import compiled


class History(NamedTuple):
    """One user's past, oldest first; times in milliseconds since the epoch, rows -1 for unknown items.

    Compiled code takes it as it is, so the arrays are always of these types, in one piece; `actions` and
    `excluded` are read-only.
    """

    rows: RowArray  # int32[n]: what the user did last, every event
    actions: NDArray[np.uint8]  # uint8[n]
    times_ms: NDArray[np.int64]  # int64[n]
    repeat_rows: RowArray  # int32[m]: what the user comes back to, each item once
    repeat_counts: NDArray[np.float64]  # float64[m], decayed
    repeat_times_ms: NDArray[np.int64]  # int64[m]: when last
    excluded: FingerprintArray  # uint32[k]: never recommended


@compiled
def comes_again(rows: RowArray, place: int) -> bool:
    """Return whether the item at a place of a history comes again behind it."""
    for later in range(place + 1, len(rows)):  # noqa: SIM110 - compiled
        if rows[later] == rows[place]:
            return True
    return False
