"""The arrays of what the catalogue says: the value that each item has of each kind, what is counted of it.

A kind is an attribute, such as the brand, or two of them together. What users do is, for every kind, a stream
of values, which is counted and ranked exactly as items are; so the arrays of one kind are those of the items.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from models.arrays import NONE, Doubles, Floats, Rows, Times
from models.candidates import Limits, Scratch, empty_scratch
from models.columns import FEATURES, KINDS, NEAR, F
from models.compiled import inlined
from models.counts.layout import Tables, empty_tables
from models.first_stage import FIRST_SQUARES

SHELF = 12
"""How many of the most popular items of a value are known."""
VALUE_LIMITS = Limits(history=4, candidates=96, leaders=6, kept=0)
HISTORY = 512  # events of a history, and repeats, at most, whose values are looked at
_MOST_VALUES = 96
_VALUE_SLOTS = 1 << 19  # neighbours of the values of one kind
_FIRST_VALUES = 64

TEXT_SUMS = 3  # likeness to the history; what goes with it; popularity

# What an item is, in `states`.
UNLISTED, COLD, WARM = range(3)


class Shelves(NamedTuple):
    """Items by value. K: kinds, R: items, V: values of a kind."""

    values: Rows  # [K, R], NONE for none
    states: NDArray[np.uint8]  # [R]
    following: Rows  # [K, R], of the cold items of a value the one listed before this, NONE at the end
    preceding: Rows  # [K, R], the one listed after it
    first: Rows  # [K, V], the cold item listed last
    cold: Rows  # [K, V], how many cold items there are
    warm: Rows  # [K, V], how many that occurred
    leaders: Rows  # [K, V, SHELF], the most popular, best first, NONE behind the last
    takes: Floats  # [K, V, 2], decayed: events that were the first of their item; all events
    usual: Doubles  # [K, 2], the same of all values


class ContentTables(NamedTuple):
    """All that compiled code has to know of what the catalogue says. G: texts."""

    used: Times  # [1], kinds in use
    shelves: Shelves  # by the kinds
    tables: Tables  # of each kind's values: every array has a leading K
    scratch: Scratch  # every array has a leading K
    scoring: Doubles  # [K, F], the weights that values are scored by: `weights`, or a copy of them
    weights: Doubles  # [K, F], of the first stage over values
    squares: Doubles  # [K, F]
    rows: Rows  # [2, HISTORY], room for a history's values
    texts: Shelves  # by their text, a single kind
    kindless: Shelves  # those listed that have no value of any kind, on a single shelf
    near: Rows  # [G, NEAR], the texts nearest to each, best first, NONE for none
    nearness: Floats  # [G, NEAR], their similarity
    sums: Floats  # [G, TEXT_SUMS], room to add up what a query says of texts
    queries: Times  # [G + 1], which query did; the last: the number of the query


def empty_shelves(kinds: int, rows: int, values: int) -> Shelves:
    """Return shelves without any item."""
    return Shelves(
        values=np.full((kinds, rows), NONE, np.int32),
        states=np.zeros(rows, np.uint8),
        following=np.full((kinds, rows), NONE, np.int32),
        preceding=np.full((kinds, rows), NONE, np.int32),
        first=np.full((kinds, values), NONE, np.int32),
        cold=np.zeros((kinds, values), np.int32),
        warm=np.zeros((kinds, values), np.int32),
        leaders=np.full((kinds, values, SHELF), NONE, np.int32),
        takes=np.zeros((kinds, values, 2), np.float32),
        usual=np.zeros((kinds, 2)),
    )


def empty_content(kinds: int = KINDS) -> ContentTables:
    """Return the content of a catalogue that says nothing; `kinds` 0 takes no memory to speak of."""
    slots = _VALUE_SLOTS if kinds else 1
    tables = empty_tables(_FIRST_VALUES, 1)
    scratch = empty_scratch(_FIRST_VALUES, len(FEATURES), _MOST_VALUES)
    stacked = {name: np.stack([array] * max(kinds, 1)) for name, array in tables._asdict().items()}
    pool = {
        "neighbours": np.zeros((max(kinds, 1), slots), np.int32),
        "pairs": np.zeros((max(kinds, 1), slots, tables.pairs.shape[1]), np.float32),
    }
    weights = np.array([feature.initial_weight for feature in FEATURES])
    stacked_weights = np.stack([weights] * max(kinds, 1))
    return ContentTables(
        used=np.zeros(1, np.int64),
        shelves=empty_shelves(max(kinds, 1), _FIRST_VALUES, _FIRST_VALUES),
        tables=Tables(**{**stacked, **pool}),
        scratch=Scratch(
            **{name: np.stack([array] * max(kinds, 1)) for name, array in scratch._asdict().items()}
        ),
        scoring=stacked_weights,
        weights=stacked_weights,
        squares=np.full((max(kinds, 1), len(FEATURES)), FIRST_SQUARES),
        rows=np.zeros((2, HISTORY), np.int32),
        texts=empty_shelves(1, _FIRST_VALUES, _FIRST_VALUES),
        kindless=empty_shelves(1, _FIRST_VALUES, 1),
        near=np.full((_FIRST_VALUES, NEAR), NONE, np.int32),
        nearness=np.zeros((_FIRST_VALUES, NEAR), np.float32),
        sums=np.zeros((_FIRST_VALUES, TEXT_SUMS), np.float32),
        queries=np.zeros(_FIRST_VALUES + 1, np.int64),
    )


@inlined
def has_content(scratch: Scratch) -> bool:
    """Return whether a query has the columns of a catalogue: something was listed, once."""
    return len(scratch.features) > F


@inlined
def tables_of(content: ContentTables, kind: int) -> Tables:
    """Return the tables of one kind's values, views."""
    tables = content.tables
    return Tables(
        tables.values[kind],
        tables.facts[kind],
        tables.neighbours[kind],
        tables.pairs[kind],
        tables.leaders[kind],
        tables.leader_values[kind],
        tables.units[kind],
        tables.clock[kind],
    )


@inlined
def scratch_of(content: ContentTables, kind: int) -> Scratch:
    """Return where the queries over one kind's values are worked out, views."""
    scratch = content.scratch
    return Scratch(
        scratch.marks[kind],
        scratch.rows[kind],
        scratch.sums[kind],
        scratch.features[kind],
        scratch.scores[kind],
        scratch.spare[kind],
        scratch.bins[kind],
        scratch.state[kind],
    )
