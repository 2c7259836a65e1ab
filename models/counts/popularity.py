"""How often every item occurs, at several half-lives, with the leaders of each, always exact.

Decay lowers all counts alike, so it never reorders items that did not occur: a list of leaders changes only
when the item just counted rises in it, or enters it.
"""

import numpy as np

from models.arrays import Rows
from models.compiled import compiled, inlined
from models.counts.layout import (
    BY_GAP,
    BY_LENGTH,
    COUNT,
    DEPTHS,
    HALF_LIVES,
    LASTING,
    LEADERS,
    POPULARITY,
    Tables,
    scale,
)

_DEPTHS = np.array(DEPTHS)
_SLOW = 4  # the half-life of popularity by gap and by length


@inlined
def popularity(tables: Tables, row: int, half_life: int, last: int) -> np.float32:
    """Return an item's count at a half-life, in units of now, float32; `last` is its last event."""
    value: np.float32 = tables.values[row, POPULARITY + half_life] * scale(tables, half_life, last)
    return value


@compiled
def find(row_ids: Rows, size: int, row: int) -> int:
    """Return the place of an item among the first `size` of int32[n], -1 if it is not there."""
    found, wanted = np.int32(-1), np.int32(row)
    for place in range(size):  # without a branch, so that it is done many at a time
        found = max(found, np.int32(place) if row_ids[place] == wanted else np.int32(-1))
    return int(found)


@compiled
def count_popularity(tables: Tables, row: int, gap: int, length: int) -> None:
    """Count one event of an item whose values are settled."""
    values, units = tables.values, tables.units
    for half_life in range(len(HALF_LIVES)):
        values[row, POPULARITY + half_life] += np.float32(units[half_life])
        if _DEPTHS[half_life] > 0:
            _rise(tables, half_life, row)
    slow = np.float32(units[_SLOW])
    values[row, BY_GAP + gap] += slow
    values[row, BY_LENGTH + length] += slow
    values[row, LASTING] += np.float32(units[LASTING])
    values[row, COUNT] += np.float32(1.0)


@compiled
def _rise(tables: Tables, half_life: int, row: int) -> None:
    """Put an item that was just counted into its place among the leaders."""
    rows, values = tables.leaders[half_life], tables.leader_values[half_life]
    size, depth = tables.clock[LEADERS + half_life], _DEPTHS[half_life]
    value = tables.values[row, POPULARITY + half_life]
    if size == depth and value < values[size - 1]:
        return
    place = find(rows, size, row)
    if place < 0:
        if size < depth:
            place = size
            tables.clock[LEADERS + half_life] = size + 1
        else:
            place = size - 1
    while place > 0 and values[place - 1] < value:
        values[place] = values[place - 1]
        rows[place] = rows[place - 1]
        place -= 1
    values[place] = value
    rows[place] = row
