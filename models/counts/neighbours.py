"""Who goes with whom: of every item its strongest neighbours, in rows of one pool.

A row holds up to MOST neighbours; when it is full, it is cut to the KEPT_NEIGHBOURS that have been strongest
lately. Rows lie in blocks of 8, 16, ... 256 slots; a block that a row has grown out of is used again. When
the pool is used up, the neighbours of items that did not occur for long are forgotten.
"""

import numpy as np

from models.compiled import allocating, compiled
from models.counts.layout import (
    CAPACITY,
    EPOCH,
    FREE,
    HAND,
    LASTING_EPOCH,
    OFFSET,
    PAIR_LASTING,
    PAIRS,
    POOL_USED,
    SIZE,
    USED,
    Tables,
)
from models.counts.popularity import find

KEPT_NEIGHBOURS = 200
MOST = 250
_SMALLEST = 8
_EPOCH_SCALE = np.float32(2.0**-40)
_HALVINGS = 30
_SWEPT = 64  # rows that the sweep looks at, at most, when blocks run out


@compiled
def lasting_scale(tables: Tables, row: int) -> np.float32:
    """Return what the lasting weights of an item's neighbours count now, float32."""
    behind = tables.clock[LASTING_EPOCH] - tables.facts[row, EPOCH]
    if behind == 0:
        return np.float32(1.0)
    return _EPOCH_SCALE if behind == 1 else np.float32(0.0)


@compiled
def pair(tables: Tables, row: int, other: int) -> int:
    """Return the slot of a neighbour of an item, made if it had none; -1 if there is no room at all."""
    facts = tables.facts
    if facts[row, EPOCH] != tables.clock[LASTING_EPOCH]:
        _settle_pairs(tables, row)
    offset, size = facts[row, OFFSET], facts[row, SIZE]
    place = find(tables.neighbours[offset : offset + size], size, other)
    if place >= 0:
        return int(offset + place)
    if size == MOST:
        _keep(tables, row, KEPT_NEIGHBOURS)
    elif size == facts[row, CAPACITY] and not _enlarge(tables, row):
        if size == 0:
            return -1
        _keep(tables, row, size - size // 4)
    slot = int(facts[row, OFFSET] + facts[row, SIZE])
    facts[row, SIZE] += 1
    tables.neighbours[slot] = other
    tables.pairs[slot] = np.float32(0.0)
    return slot


@compiled
def _settle_pairs(tables: Tables, row: int) -> None:
    """Bring the lasting weights of a row into the units of now."""
    factor, offset = lasting_scale(tables, row), tables.facts[row, OFFSET]
    for slot in range(offset, offset + tables.facts[row, SIZE]):
        tables.pairs[slot, PAIR_LASTING] *= factor
    tables.facts[row, EPOCH] = tables.clock[LASTING_EPOCH]


@compiled
def _enlarge(tables: Tables, row: int) -> bool:
    """Move a row into a block of twice the size; return whether there was one."""
    facts, neighbours, pairs = tables.facts, tables.neighbours, tables.pairs
    capacity = max(_SMALLEST, 2 * facts[row, CAPACITY])
    block = _take(tables, capacity)
    if block < 0:
        _sweep(tables, row)
        block = _take(tables, capacity)
        if block < 0:
            return False
    old, size = facts[row, OFFSET], facts[row, SIZE]
    for place in range(size):
        neighbours[block + place] = neighbours[old + place]
        for column in range(PAIRS):
            pairs[block + place, column] = pairs[old + place, column]
    _give_back(tables, row)
    facts[row, OFFSET] = block
    facts[row, CAPACITY] = capacity
    return True


@compiled
def _size_class(capacity: int) -> int:
    size_class = 0
    while (_SMALLEST << size_class) < capacity:
        size_class += 1
    return size_class


@compiled
def _take(tables: Tables, capacity: int) -> int:
    """Return the first slot of a block of this size, -1 if there is none."""
    clock = tables.clock
    head = FREE + _size_class(capacity)
    block = clock[head]
    if block >= 0:
        clock[head] = tables.neighbours[block]
        return int(block)
    if clock[POOL_USED] + capacity > tables.neighbours.size:
        return -1
    clock[POOL_USED] += capacity
    return int(clock[POOL_USED] - capacity)


@compiled
def _give_back(tables: Tables, row: int) -> None:
    """Put a row's block, if it has one, in front of the free ones of its size; each names the next."""
    facts, clock = tables.facts, tables.clock
    if facts[row, CAPACITY] == 0:
        return
    head = FREE + _size_class(facts[row, CAPACITY])
    tables.neighbours[facts[row, OFFSET]] = clock[head]
    clock[head] = facts[row, OFFSET]


@compiled
def _sweep(tables: Tables, spared: int) -> None:
    """Free the neighbours of some items that did not occur since the sweep last came by (Corbato's clock)."""
    clock, facts = tables.clock, tables.facts
    rows = facts.shape[0]
    for _ in range(_SWEPT):
        row = clock[HAND] % rows
        clock[HAND] = row + 1
        if facts[row, USED] == 0 and row != spared:
            _release(tables, row)
        facts[row, USED] = 0


@compiled
def _release(tables: Tables, row: int) -> None:
    """Forget the neighbours of an item."""
    _give_back(tables, row)
    tables.facts[row, OFFSET] = 0
    tables.facts[row, CAPACITY] = 0
    tables.facts[row, SIZE] = 0


@allocating
def _keep(tables: Tables, row: int, kept: int) -> None:
    """Keep the neighbours with the largest lasting weights, in their order.

    The smallest weight kept is found by bisection, because counting is done many at a time.
    """
    facts, neighbours, pairs = tables.facts, tables.neighbours, tables.pairs
    offset, size = facts[row, OFFSET], facts[row, SIZE]
    weights = pairs[offset : offset + size, PAIR_LASTING].copy()
    low, high = np.float32(-1.0), weights.max()
    for _ in range(_HALVINGS):
        middle = np.float32(0.5) * (low + high)
        above = 0
        for place in range(size):
            above += weights[place] > middle
        if above > kept:
            low = middle
        else:
            high = middle
            if above == kept:
                break
    level = kept
    for place in range(size):
        level -= weights[place] > high
    written = 0
    for place in range(size):
        is_level = low < weights[place] <= high and level > 0
        if weights[place] > high or is_level:
            level -= is_level
            neighbours[offset + written] = neighbours[offset + place]
            for column in range(PAIRS):
                pairs[offset + written, column] = pairs[offset + place, column]
            written += 1
    facts[row, SIZE] = written
