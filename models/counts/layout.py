"""The arrays that the counters are: what stands in which column, and how values decay without being touched.

Whatever halves every h events is kept in units that grow: an event now adds `units[h]`, which doubles every h
events, so that nothing older has to be rescaled. When the unit passes 2^40, an epoch ends: the unit is
divided by 2^40, and what was written in the epoch before counts 2^-40 of what stands there, what is older
nothing. So the cost of an event depends neither on the size of the catalogue nor on the age of the stream.
"""

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from models.actions import ACTIONS
from models.compiled import compiled, inlined

HALF_LIVES = (30.0, 100.0, 300.0, 1500.0, 6000.0, math.inf)
LASTING_HALF_LIFE = 10_000.0
LOOK_BACK = 20
"""How many events of a user's history the counters look at."""
DEPTHS = (0, 100, 100, 1000, 1000, 1000)
"""How many leaders are known at each of HALF_LIVES, the best first."""
DEPTH = max(DEPTHS)

# Columns of `values`, what is counted of an item.
POPULARITY = 0  # at each of HALF_LIVES
LASTING = 6  # at LASTING_HALF_LIFE
COUNT = 7  # events
REPEATED = 8  # events whose user had had the item lately
FOLLOWED = 9  # what followed it, decayed by position
FOLLOWED_LAST = 10  # what came right after it
BY_GAP = 11  # popularity at a half-life of 6,000 events, by the time since the user's last event
FOLLOWED_BY_GAP = 16  # what followed it, by the time in between
BY_LENGTH = 20  # popularity at a half-life of 6,000 events, by the length of the user's history
BOUGHT = 26  # purchases
FOLLOWED_EARNEST = 27  # what came right after it where the user had done more than click on it
VALUES = 32
GAPS = 4  # an instant, minutes, hours, days; the fifth, of BY_GAP: no history
LENGTHS = 6
DECAYED = 7  # the leading columns that each have a half-life, LASTING included
_SLOW = 4  # index of the half-life of BY_GAP and BY_LENGTH

# Columns of `facts`, integers.
OFFSET, CAPACITY, SIZE = 0, 1, 2  # the item's neighbours, in the pool
EVENTS, FIRST, LAST = 3, 4, 5  # how often; numbers of its first and last event
EPOCH = 6  # the epoch of its neighbours' lasting weights
USED = 7  # 1: seen since the sweep last came by
FACTS = 8

# Columns of `pairs`, what is counted of an item and a neighbour.
FORWARD = 0  # the neighbour came after the item, by the time in between, decayed by position
BACKWARD = 4  # before
NEXT = 5  # right after
TOGETHER = 6  # either, undecayed
PAIR_LASTING = 7  # either, decayed by position and at LASTING_HALF_LIFE
BACKWARD_INSTANT = 8
NEXT_EARNEST = 9  # right after, where the user had done more than click on the item
PAIRS = 10

# Entries of `clock`.
NOW = 0  # events counted
POOL_USED = 1
HAND = 2  # where the sweep of unused rows goes on
LASTING_EPOCH = 3
LEADERS = 4  # how many there are at each of HALF_LIVES
STARTS = 10  # the number of the event with which each half-life's epoch began
EARLIER = 17  # the same of the epoch before
FREE = 24  # the first free block of each size class, -1: none
CLASSES = 6
BY_ACTION = FREE + CLASSES  # events counted of each action
CLOCK = BY_ACTION + ACTIONS

_EPOCH_BITS = 40
_EPOCH_UNIT = 2.0**_EPOCH_BITS
_EPOCH_SCALE = np.float32(2.0**-_EPOCH_BITS)
_GROWTH = np.exp2(1.0 / np.array((*HALF_LIVES, LASTING_HALF_LIFE)))


class Tables(NamedTuple):
    """All that is counted. R: items, P: slots of neighbours."""

    values: NDArray[np.float32]  # [R, VALUES]
    facts: NDArray[np.int64]  # [R, FACTS]
    neighbours: NDArray[np.int32]  # [P], items
    pairs: NDArray[np.float32]  # [P, PAIRS]
    leaders: NDArray[np.int32]  # [half-lives, DEPTH], items, best first
    leader_values: NDArray[np.float32]  # [half-lives, DEPTH], their popularity in units of now
    units: NDArray[np.float64]  # [DECAYED], what an event adds now
    clock: NDArray[np.int64]  # [CLOCK]


def empty_tables(rows: int, slots: int) -> Tables:
    """Return tables of a stream that has not begun."""
    clock = np.zeros(CLOCK, np.int64)
    clock[FREE : FREE + CLASSES] = -1
    return Tables(
        values=np.zeros((rows, VALUES), np.float32),
        facts=np.zeros((rows, FACTS), np.int64),
        neighbours=np.zeros(slots, np.int32),
        pairs=np.zeros((slots, PAIRS), np.float32),
        leaders=np.zeros((len(HALF_LIVES), DEPTH), np.int32),
        leader_values=np.zeros((len(HALF_LIVES), DEPTH), np.float32),
        units=np.ones(DECAYED),
        clock=clock,
    )


@compiled
def gap_bucket(gap_ms: int) -> int:
    """Return 0 for what belongs together, 1 for minutes, 2 for hours, 3 for days."""
    if gap_ms <= 2_000:
        return 0
    if gap_ms <= 600_000:
        return 1
    return 2 if gap_ms <= 86_400_000 else 3


@compiled
def length_bucket(length: int) -> int:
    """Return 0, 1, 2, ... for histories of 0, 1, 2 to 3, ... 16 and more events."""
    bucket = 0
    while length > 0 and bucket < LENGTHS - 1:
        length >>= 1
        bucket += 1
    return bucket


@inlined
def scale(tables: Tables, half_life: int, last: int) -> np.float32:
    """Return what a value at a half-life counts that was written last at event `last`, float32."""
    if last >= tables.clock[STARTS + half_life]:
        return np.float32(1.0)
    if last >= tables.clock[EARLIER + half_life]:
        return _EPOCH_SCALE
    return np.float32(0.0)


@compiled
def settle(tables: Tables, row: int) -> None:
    """Bring what decays of an item into the units of now, before something is added."""
    values, last = tables.values, tables.facts[row, LAST]
    for half_life in range(DECAYED):
        values[row, half_life] *= scale(tables, half_life, last)
    slow = scale(tables, _SLOW, last)
    for column in range(GAPS + 1):
        values[row, BY_GAP + column] *= slow
    for column in range(LENGTHS):
        values[row, BY_LENGTH + column] *= slow


@compiled
def advance(tables: Tables) -> None:
    """Let an event pass: units grow, and epochs end."""
    clock, units = tables.clock, tables.units
    clock[NOW] += 1
    for half_life in range(DECAYED):
        units[half_life] *= _GROWTH[half_life]
        if units[half_life] > _EPOCH_UNIT:
            units[half_life] /= _EPOCH_UNIT
            clock[EARLIER + half_life] = clock[STARTS + half_life]
            clock[STARTS + half_life] = clock[NOW]
            if half_life == LASTING:
                clock[LASTING_EPOCH] += 1
            else:
                for place in range(clock[LEADERS + half_life]):
                    tables.leader_values[half_life, place] *= _EPOCH_SCALE
