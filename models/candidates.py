"""Which items could be next: the user's own, the leaders at every half-life, the neighbours of what they had.

Gathering candidates also sums up what the neighbours' rows say of each, as both read the same memory.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from models.actions import CLICK
from models.catalog import Items
from models.columns import F
from models.compiled import compiled, inlined
from models.counts.layout import (
    BACKWARD,
    BACKWARD_INSTANT,
    COUNT,
    FOLLOWED,
    FOLLOWED_BY_GAP,
    FOLLOWED_EARNEST,
    FOLLOWED_LAST,
    FORWARD,
    HALF_LIVES,
    LAST,
    LASTING,
    LEADERS,
    LOOK_BACK,
    NEXT,
    NEXT_EARNEST,
    OFFSET,
    PAIR_LASTING,
    SIZE,
    TOGETHER,
    Tables,
    gap_bucket,
    scale,
)
from models.counts.neighbours import lasting_scale
from models.exclusion import Banned, is_banned
from models.history import History, comes_again

MOST = 2048
"""Candidates of one query, at most, whatever the effort."""
# Columns whose distance is a power of two would all compete for the same few lines of the first-level cache.
_PADDING = 16
SUMS = 11
DIFFERENCE = 10
"""The last of the sums, which can be negative: what the last item's action adds to its transitions."""
BINS = 1024
# Columns of `marks`: who was marked by which query.
CANDIDATE, PLACE, BANNED = 0, 1, 2
_SHARP_DEPTH = 8
_WIDE, _STEEP, _SHARP = ((base ** np.arange(LOOK_BACK)).astype(np.float32) for base in (0.97, 0.85, 0.5))
_PRIOR = np.float32(5.0)
_ONE = np.float32(1.0)
_SHORT_GAP = 1  # the last gap bucket of what belongs to one session
_TIME_SCALE_MS = np.float32(300_000.0)


class Limits(NamedTuple):
    """How much a query looks at, and how many candidates it passes on."""

    history: int
    candidates: int
    leaders: int
    kept: int
    kinds: int = 0  # the likeliest values of each kind whose items are candidates


class Scratch(NamedTuple):
    """Where a query is worked out. S: MOST; R: items."""

    marks: NDArray[np.int32]  # [R, 4]
    rows: NDArray[np.int32]  # [S], the candidates
    sums: NDArray[np.float32]  # [S, SUMS]
    features: NDArray[np.float32]  # [F, S + padding]
    scores: NDArray[np.float32]  # [S], by the first stage
    spare: NDArray[np.float32]  # [S]
    bins: NDArray[np.int32]  # [BINS]
    state: NDArray[np.int64]  # [3]: the query's number, candidates, own candidates


STATE_QUERY, STATE_SIZE, STATE_OWN = 0, 1, 2
_LAST_QUERY = 0x7FFFFFFF  # marks are int32


def empty_scratch(rows: int, columns: int = F, most: int = MOST) -> Scratch:
    """Return room for queries over this many items, with at most so many candidates."""
    return Scratch(
        marks=np.zeros((rows, 4), np.int32),
        rows=np.zeros(most, np.int32),
        sums=np.zeros((most, SUMS), np.float32),
        features=np.zeros((columns, most + _PADDING), np.float32),
        scores=np.zeros(most, np.float32),
        spare=np.zeros(most, np.float32),
        bins=np.zeros(BINS, np.int32),
        state=np.zeros(3, np.int64),
    )


@compiled
def begin(scratch: Scratch) -> None:
    """Begin a query: forget the candidates of the last one."""
    state = scratch.state
    if state[STATE_QUERY] == _LAST_QUERY:
        scratch.marks[:] = 0
        state[STATE_QUERY] = 0
    state[STATE_QUERY] += 1
    state[STATE_SIZE] = 0


@inlined
def place_of(scratch: Scratch, row: int) -> int:
    """Return the place of an item among the candidates, -1 if it is none."""
    if scratch.marks[row, CANDIDATE] != scratch.state[STATE_QUERY]:
        return -1
    return int(scratch.marks[row, PLACE])


@inlined
def admit(scratch: Scratch, banned: Banned, items: Items, row: int, most: int) -> int:
    """Return the place of an item, made a candidate unless it may not be, or there are enough: then -1."""
    marks, state = scratch.marks, scratch.state
    query = state[STATE_QUERY]
    if marks[row, CANDIDATE] == query:
        return int(marks[row, PLACE])
    if state[STATE_SIZE] >= most or marks[row, BANNED] == query:
        return -1
    if (items.has_hidden and items.hidden[row]) or (
        items.has_exclusions and is_banned(banned, items.fingerprints[row])
    ):
        marks[row, BANNED] = query
        return -1
    place = state[STATE_SIZE]
    state[STATE_SIZE] = place + 1
    marks[row, CANDIDATE] = query
    marks[row, PLACE] = place
    scratch.rows[place] = row
    for column in range(SUMS):
        scratch.sums[place, column] = np.float32(0.0)
    return int(place)


@compiled
def gather_leaders(
    tables: Tables, scratch: Scratch, banned: Banned, items: Items, history: History, limits: Limits
) -> None:
    """Gather the candidates that come first where there is room for few: the user's own, and the leaders."""
    _gather_own(scratch, banned, items, history, limits.candidates)
    for half_life in range(len(HALF_LIVES)):
        for place in range(min(tables.clock[LEADERS + half_life], limits.leaders)):
            admit(scratch, banned, items, tables.leaders[half_life, place], limits.candidates)


@compiled
def gather_neighbours(
    tables: Tables,
    scratch: Scratch,
    banned: Banned,
    items: Items,
    history: History,
    now_ms: int,
    limits: Limits,
) -> None:
    """Gather the neighbours of a history, and add up what they have to do with it."""
    rows = history.rows
    for position in range(min(len(rows), limits.history)):
        place = len(rows) - 1 - position
        if rows[place] >= 0 and not comes_again(rows, place):
            at = (place, position)
            _gather_neighbours(tables, scratch, banned, items, history, at, now_ms, limits.candidates)


@compiled
def _gather_own(scratch: Scratch, banned: Banned, items: Items, history: History, most: int) -> None:
    for place in range(len(history.rows) - 1, -1, -1):
        if history.rows[place] >= 0:
            admit(scratch, banned, items, history.rows[place], most)
    for row in history.repeat_rows:
        if row >= 0:
            admit(scratch, banned, items, row, most)
    scratch.state[STATE_OWN] = scratch.state[STATE_SIZE]


@compiled
def shares(
    tables: Tables, history: History, place: int, position: int, now_ms: int
) -> tuple[np.float32, ...]:
    """Return what an item of the history gives to the sums of its neighbours, eleven of float32.

    The last two are of DIFFERENCE: for each transition from the last item, and for each of those in earnest.
    """
    row = history.rows[place]
    values = tables.values
    elapsed_ms = max(now_ms - history.times_ms[place], 0)
    gap = gap_bucket(elapsed_ms)
    root = _ONE / np.sqrt(values[row, COUNT] + _PRIOR)
    unit = np.float32(_ONE / np.float32(tables.units[LASTING]))
    recent = values[row, LASTING] * scale(tables, LASTING, tables.facts[row, LAST]) * unit
    steep = _STEEP[position]
    share = _ONE / (values[row, FOLLOWED] + _ONE)
    by_next, by_earnest = np.float32(0.0), np.float32(0.0)
    if position == 0:
        by_next, by_earnest = _difference(
            values[row, FOLLOWED_LAST], values[row, FOLLOWED_EARNEST], history.actions[place] != CLICK
        )
    return (
        steep * root,
        _WIDE[position] * root,
        steep * share,
        _SHARP[position] * share if position < _SHARP_DEPTH else np.float32(0.0),
        root / (_ONE + np.float32(elapsed_ms) / _TIME_SCALE_MS),
        _ONE / (values[row, FOLLOWED_LAST] + _ONE) if position == 0 else np.float32(0.0),
        steep / np.sqrt(recent + _PRIOR) * unit * lasting_scale(tables, row),
        steep / (values[row, FOLLOWED_BY_GAP + gap] + _ONE),
        steep * root if gap <= _SHORT_GAP else np.float32(0.0),
        by_next,
        by_earnest,
    )


@compiled
def _difference(all_: np.float32, earnest: np.float32, is_earnest: bool) -> tuple[np.float32, np.float32]:
    """Return the factors of an item's transitions to another, of all and of those in earnest.

    Their products add up to (n_a(j) - n_a n(j) / n) / (n_a + 5): how much oftener j follows after such an
    action than after any, shrunk while little is known of that. It is 0 where all actions are of one kind.
    """
    alike = earnest if is_earnest else all_ - earnest
    each = _ONE / (alike + _PRIOR)
    usual = each * (alike / max(all_, _ONE))
    return (-usual, each) if is_earnest else (each - usual, -each)


@compiled
def _gather_neighbours(
    tables: Tables,
    scratch: Scratch,
    banned: Banned,
    items: Items,
    history: History,
    at: tuple[int, int],
    now_ms: int,
    most: int,
) -> None:
    """Add up what the neighbours of one item of the history, at a place and position, have to do with it."""
    place, position = at
    row, gap = history.rows[place], gap_bucket(max(now_ms - history.times_ms[place], 0))
    facts, pairs, sums = tables.facts, tables.pairs, scratch.sums
    marks, query = scratch.marks, scratch.state[STATE_QUERY]
    by = shares(tables, history, place, position, now_ms)
    by_steep, by_wide, by_share, by_sharp, by_time, by_last = by[:6]
    by_lasting, by_gap, by_session, by_next, by_earnest = by[6:]
    for slot in range(facts[row, OFFSET], facts[row, OFFSET] + facts[row, SIZE]):
        other = tables.neighbours[slot]
        if marks[other, CANDIDATE] == query:
            to = int(marks[other, PLACE])
        else:
            to = admit(scratch, banned, items, other, most) if scratch.state[STATE_SIZE] < most else -1
            if to < 0:
                continue
        instant = pairs[slot, FORWARD]
        forward = instant + pairs[slot, FORWARD + 1] + pairs[slot, FORWARD + 2] + pairs[slot, FORWARD + 3]
        both, together = forward + pairs[slot, BACKWARD], pairs[slot, TOGETHER]
        sums[to, 0] += by_steep * both
        sums[to, 1] += by_wide * both
        sums[to, 2] += by_share * forward
        sums[to, 3] += by_sharp * forward
        sums[to, 4] += by_wide * together
        sums[to, 5] += by_time * together
        sums[to, 6] += by_last * pairs[slot, NEXT]
        sums[to, 7] += by_lasting * pairs[slot, PAIR_LASTING]
        sums[to, 8] += by_gap * pairs[slot, FORWARD + gap]
        sums[to, 9] += by_session * (instant + pairs[slot, BACKWARD_INSTANT])
        sums[to, DIFFERENCE] += by_next * pairs[slot, NEXT] + by_earnest * pairs[slot, NEXT_EARNEST]
