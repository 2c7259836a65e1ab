"""The values of each kind, ranked as items are: by what the user had, what follows what, what is popular.

They have a first stage of their own, which learns at every event which value came next.
"""

import numpy as np

from models.arrays import NONE
from models.candidates import STATE_SIZE, Scratch, begin, gather_leaders, gather_neighbours, place_of
from models.catalog import Items
from models.compiled import compiled, inlined
from models.content.layout import HISTORY, VALUE_LIMITS, ContentTables, scratch_of, tables_of
from models.content.shelving import count_on_shelves, note_occurred
from models.counts.counting import count_event
from models.counts.layout import Tables
from models.exclusion import Banned
from models.fast_math import largest
from models.features import describe
from models.first_stage import learn, score
from models.history import History

SCALE = np.float32(1 / 14)
"""Chances are told as 1 + SCALE log(chance), which is about 0 to 1."""
LEAST = np.float32(1e-6)
_ONE = np.float32(1.0)


@inlined
def _as_values(content: ContentTables, kind: int, history: History) -> History:
    """Return the history as values of a kind; NONE stands for what has none, as for unknown items."""
    start = max(0, len(history.rows) - HISTORY)
    length, again = len(history.rows) - start, min(len(history.repeat_rows), HISTORY)
    values, rows = content.shelves.values[kind], content.rows
    for place in range(length):
        row = history.rows[start + place]
        rows[0, place] = values[row] if row >= 0 else NONE
    for place in range(again):
        row = history.repeat_rows[place]
        rows[1, place] = values[row] if row >= 0 else NONE
    return History(
        rows[0, :length],
        history.actions[start:],
        history.times_ms[start:],
        rows[1, :again],
        history.repeat_counts[:again],
        history.repeat_times_ms[:again],
        history.excluded,
    )


@compiled
def rank_values(
    content: ContentTables,
    banned: Banned,
    items: Items,
    history: History,
    now_ms: int,
    target: int,
    weight: float,
) -> None:
    """Score the values of every kind, as 1 + log(chance) / 14; learn from the target's, if there is one."""
    every = Items(items.fingerprints, items.hidden, False, False)
    for kind in range(content.used[0]):
        tables, scratch = tables_of(content, kind), scratch_of(content, kind)
        past = _as_values(content, kind, history)
        begin(scratch)
        gather_leaders(tables, scratch, banned, every, past, VALUE_LIMITS)
        gather_neighbours(tables, scratch, banned, every, past, now_ms, VALUE_LIMITS)
        describe(tables, scratch, past, now_ms)
        score(scratch, content.scoring[kind])
        value = content.shelves.values[kind, target] if target >= 0 else NONE
        goal = place_of(scratch, value) if value != NONE else -1
        if goal >= 0:
            learn(scratch, goal, weight, content.weights[kind], content.squares[kind])
        _into_chances(scratch)


@compiled
def _into_chances(scratch: Scratch) -> None:
    """Replace scores by 1 + log(chance + 1e-6) / 14."""
    size, scores = scratch.state[STATE_SIZE], scratch.scores
    if size == 0:
        return
    best, total = largest(scores, size), np.float32(0.0)
    for place in range(size):
        scores[place] = np.exp(scores[place] - best)
        total += scores[place]
    for place in range(size):
        scores[place] = _ONE + SCALE * np.log(scores[place] / total + LEAST)


@compiled
def count_content(
    content: ContentTables,
    tables: Tables,
    history: History,
    row: int,
    action: int,
    time_ms: int,
    is_late: bool,
    is_removed: bool,
) -> None:
    """Take in an event that was just counted: count its item's values, put its shelves in order."""
    used = content.used[0]
    for kind in range(used):
        value = content.shelves.values[kind, row]
        if value != NONE:
            past, theirs = _as_values(content, kind, history), tables_of(content, kind)
            count_event(theirs, past.rows, past.actions, past.times_ms, value, action, time_ms, is_late)
    count_on_shelves(content.shelves, used, tables, row, is_removed)
    count_on_shelves(content.texts, 1, tables, row, is_removed)
    note_occurred(content.kindless, row)
