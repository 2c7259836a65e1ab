"""What one event teaches the counters."""

import numpy as np

from models.actions import CLICK, PURCHASE
from models.arrays import Actions, Rows, Times
from models.compiled import compiled
from models.counts.layout import (
    BACKWARD,
    BACKWARD_INSTANT,
    BOUGHT,
    BY_ACTION,
    EVENTS,
    FIRST,
    FOLLOWED,
    FOLLOWED_BY_GAP,
    FOLLOWED_EARNEST,
    FOLLOWED_LAST,
    FORWARD,
    GAPS,
    LAST,
    LASTING,
    LOOK_BACK,
    NEXT,
    NEXT_EARNEST,
    NOW,
    PAIR_LASTING,
    REPEATED,
    TOGETHER,
    USED,
    Tables,
    advance,
    gap_bucket,
    length_bucket,
    settle,
)
from models.counts.neighbours import pair
from models.counts.popularity import count_popularity
from models.history import comes_again

_POSITION_DECAY = (0.85 ** np.arange(LOOK_BACK)).astype(np.float32)


@compiled
def count_event(
    tables: Tables,
    rows: Rows,
    actions: Actions,
    times_ms: Times,
    row: int,
    action: int,
    time_ms: int,
    is_late: bool,
) -> None:
    """Count an event of an item after a history, oldest first.

    A late event says what is popular, and nothing of what follows what.
    """
    start = max(0, len(rows) - LOOK_BACK)
    _count_item(tables, rows[start:], times_ms[start:], row, time_ms)
    tables.clock[BY_ACTION + action] += 1
    if action == PURCHASE:
        tables.values[row, BOUGHT] += np.float32(1.0)
    if not is_late:
        is_earnest = len(rows) > 0 and actions[len(rows) - 1] != CLICK
        _count_pairs(tables, rows[start:], times_ms[start:], row, time_ms, is_earnest)
    advance(tables)


@compiled
def _count_item(tables: Tables, rows: Rows, times_ms: Times, row: int, time_ms: int) -> None:
    facts, length = tables.facts, len(rows)
    settle(tables, row)
    gap = gap_bucket(time_ms - times_ms[length - 1]) if length else GAPS
    count_popularity(tables, row, gap, length_bucket(length))
    for place in range(length):
        if rows[place] == row:
            tables.values[row, REPEATED] += np.float32(1.0)
            break
    if facts[row, EVENTS] == 0:
        facts[row, FIRST] = tables.clock[NOW]
    facts[row, EVENTS] += 1
    facts[row, LAST] = tables.clock[NOW]
    facts[row, USED] = 1


@compiled
def _count_pairs(
    tables: Tables, rows: Rows, times_ms: Times, row: int, time_ms: int, is_earnest: bool
) -> None:
    """Count what came before; `is_earnest`: its last event was more than a click."""
    length, earnest = len(rows), np.float32(is_earnest)
    for position in range(length):
        place = length - 1 - position
        other = rows[place]
        if other >= 0 and other != row and not comes_again(rows, place):
            gap = gap_bucket(time_ms - times_ms[place])
            _count_pair(tables, other, row, gap, position, earnest)
    if length and rows[length - 1] >= 0:
        last = rows[length - 1]
        if last == row:
            slot = pair(tables, row, row)
            if slot >= 0:
                tables.pairs[slot, NEXT] += np.float32(1.0)
                tables.pairs[slot, NEXT_EARNEST] += earnest
        tables.values[last, FOLLOWED_LAST] += np.float32(1.0)
        tables.values[last, FOLLOWED_EARNEST] += earnest


@compiled
def _count_pair(tables: Tables, other: int, row: int, gap: int, position: int, earnest: np.float32) -> None:
    """Count that `row` came after `other`, this many events later."""
    pairs, one = tables.pairs, np.float32(1.0)
    weight = _POSITION_DECAY[position]
    lasting = weight * np.float32(tables.units[LASTING])
    slot = pair(tables, other, row)
    if slot >= 0:
        pairs[slot, TOGETHER] += one
        pairs[slot, FORWARD + gap] += weight
        pairs[slot, PAIR_LASTING] += lasting
        if position == 0:
            pairs[slot, NEXT] += one
            pairs[slot, NEXT_EARNEST] += earnest
    slot = pair(tables, row, other)
    if slot >= 0:
        pairs[slot, TOGETHER] += one
        pairs[slot, BACKWARD] += weight
        pairs[slot, PAIR_LASTING] += lasting
        if gap == 0:
            pairs[slot, BACKWARD_INSTANT] += weight
    tables.values[other, FOLLOWED] += weight
    tables.values[other, FOLLOWED_BY_GAP + gap] += weight
