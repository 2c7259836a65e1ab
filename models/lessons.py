"""A chunk of events in columns: each is tested by what was known just before it, then counted, in one call.

Handing over one event costs more than to rank a list, so the events of a chunk are handed over together.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from models.arrays import Actions, Doubles, Rows, Times
from models.asking import ask
from models.baselines import rank_baselines
from models.candidates import Limits, Scratch
from models.catalog import Catalog, FingerprintArray, Items, RowArray
from models.compiled import compiled, inlined
from models.content.layout import ContentTables, has_content
from models.content.values import count_content
from models.counts.counting import count_event
from models.counts.layout import Tables
from models.exclusion import Banned
from models.history import History
from models.prequential import BASELINES
from models.waiting import Slots

Column = Any  # whatever lends its bytes: an array, bytes


class Past(NamedTuple):
    """One user's past as it is kept: the columns of a History, with keys in the place of rows."""

    item_keys: Column  # uint64[n]
    actions: Column  # uint8[n]
    times_ms: Column  # int64[n]
    repeat_keys: Column  # uint64[m]
    repeat_counts: Column  # float64[m]
    repeat_times_ms: Column  # int64[m]
    excluded: FingerprintArray  # uint32[k]


class Lesson(NamedTuple):
    """An event to be tested and counted."""

    row: int
    action: int
    time_ms: int
    asked: Past  # before the event, and before all others of its instant
    counted: Past  # before the event
    known: int  # how many items there were
    is_tested: bool
    is_late: bool
    weight: float  # the event's own, or what it counts in learning
    whose: int  # the hash of its user


class Lessons(NamedTuple):
    """Lessons in columns: E events; their histories, H of them, one behind the other."""

    rows: Rows  # [E]
    actions: Actions  # [E]
    times_ms: Times  # [E]
    is_tested: NDArray[np.bool_]  # [E]
    is_late: NDArray[np.bool_]  # [E]
    weights: Doubles  # [E], what they count in learning, about 1
    tickets: Times  # [E], their numbers
    whose: NDArray[np.uint64]  # [E]
    past_numbers: Times  # [E, 2], of the histories that an event is tested by, and counted after
    ends: Times  # [H + 1, 3], where histories end (and the next begin): events, repeats, exclusions
    past: History  # all of them
    most_excluded: int  # in one of them
    ranks: Times  # [E, BASELINES], filled in by `teach`; 0 for none


def in_columns(lessons: Sequence[Lesson], catalog: Catalog, first_ticket: int) -> Lessons:
    """Return lessons in columns, with tickets in a row; what was not `known` in time stays unknown."""
    rows, actions, times_ms, asked, counted, known, is_tested, is_late, weights, whose = zip(
        *lessons, strict=True
    )
    # A past that several lessons share is there once.
    pasts = {id(past): (past, then) for past, then in zip(asked + counted, known + known, strict=True)}
    places = {identity: place for place, identity in enumerate(pasts)}
    columns = [*zip(*(past for past, _ in pasts.values()), strict=True)]
    keys, _, _, repeat_keys, _, _, excluded = columns
    ends = np.zeros((len(pasts) + 1, 3), np.int64)
    for side, column in enumerate((keys, repeat_keys, excluded)):
        ends[1:, side] = np.fromiter(map(len, column), np.int64, len(pasts))
    most_excluded = int(ends[:, 2].max())
    ends = np.cumsum(ends, axis=0)
    return Lessons(
        rows=np.array(rows, np.int32),
        actions=np.array(actions, np.uint8),
        times_ms=np.array(times_ms, np.int64),
        is_tested=np.array(is_tested, np.bool_),
        is_late=np.array(is_late, np.bool_),
        weights=np.array(weights, np.float64),
        tickets=np.arange(first_ticket, first_ticket + len(lessons), dtype=np.int64),
        whose=np.array(whose, np.uint64),
        past_numbers=np.column_stack([[places[id(past)] for past in each] for each in (asked, counted)]),
        ends=ends,
        most_excluded=most_excluded,
        past=_joined(columns, np.array([then for _, then in pasts.values()], np.int32), ends, catalog),
        ranks=np.zeros((len(lessons), len(BASELINES)), np.int64),
    )


def _joined(columns: Sequence[Sequence[Column]], known: Rows, ends: Times, catalog: Catalog) -> History:
    """Return all the histories, one behind the other; each of the columns of a Past has a part of each."""
    keys, actions, times_ms, repeat_keys, repeat_counts, repeat_times_ms, excluded = columns
    rows = catalog.rows(_column(keys, np.uint64))
    repeat_rows = catalog.rows(_column(repeat_keys, np.uint64))
    _hide_unknown(rows, repeat_rows, known, ends)
    return History(
        rows=rows,
        actions=np.frombuffer(b"".join(actions), np.uint8),
        times_ms=_column(times_ms, np.int64),
        repeat_rows=repeat_rows,
        repeat_counts=_column(repeat_counts, np.float64),
        repeat_times_ms=_column(repeat_times_ms, np.int64),
        excluded=np.frombuffer(b"".join(excluded), np.uint32),
    )


def _column(parts: Sequence[Column], kind: type[np.generic]) -> NDArray[Any]:
    """Return the parts as one array. It can be written to: to compiled code that is another type."""
    return np.frombuffer(bytearray().join(parts), kind)


@compiled
def _hide_unknown(rows: RowArray, repeat_rows: RowArray, known: Rows, ends: Times) -> None:
    """Write -1 for the rows of every history that were not `known` at its time: rows are given in order."""
    for number in range(len(known)):
        for place in range(ends[number, 0], ends[number + 1, 0]):
            rows[place] = rows[place] if rows[place] < known[number] else -1
        for place in range(ends[number, 1], ends[number + 1, 1]):
            repeat_rows[place] = repeat_rows[place] if repeat_rows[place] < known[number] else -1


@inlined
def _history(lessons: Lessons, number: int) -> History:
    start, end, past = lessons.ends[number], lessons.ends[number + 1], lessons.past
    return History(
        past.rows[start[0] : end[0]],
        past.actions[start[0] : end[0]],
        past.times_ms[start[0] : end[0]],
        past.repeat_rows[start[1] : end[1]],
        past.repeat_counts[start[1] : end[1]],
        past.repeat_times_ms[start[1] : end[1]],
        past.excluded[start[2] : end[2]],
    )


@compiled
def teach(
    tables: Tables,
    content: ContentTables,
    scratch: Scratch,
    banned: Banned,
    catalog: Items,
    lessons: Lessons,
    start: int,
    stop: int,
    at_once: int,
    limits: Limits,
    scoring: Doubles,
    weights: Doubles,
    squares: Doubles,
    slots: Slots,
    slot: int,
) -> None:
    """Test the lessons from `start` to before `stop`, each before it is counted, into slots from `slot` on.

    `at_once` of them, one behind the other, are all tested before the first of them is counted.
    """
    for first in range(start, stop, at_once):
        for event in range(first, first + at_once):
            if lessons.is_tested[event]:
                history = _history(lessons, lessons.past_numbers[event, 0])
                row, weight = lessons.rows[event], lessons.weights[event]
                items = Items(
                    catalog.fingerprints, catalog.hidden, catalog.has_hidden, len(history.excluded) > 0
                )
                rank_baselines(tables, banned, items, history, row, lessons.ranks[event])
                ask(
                    tables,
                    content,
                    scratch,
                    banned,
                    items,
                    history,
                    lessons.times_ms[event],
                    limits,
                    row,
                    weight,
                    scoring,
                    weights,
                    squares,
                    slots,
                    slot,
                )
                slots.weights[slot] = weight
                slots.tickets[slot] = lessons.tickets[event]
                slots.users[slot] = lessons.whose[event]
                slot += 1
        for event in range(first, first + at_once):
            history = _history(lessons, lessons.past_numbers[event, 1])
            past = history.rows, history.actions, history.times_ms
            row, time_ms = lessons.rows[event], lessons.times_ms[event]
            action, is_late = lessons.actions[event], lessons.is_late[event]
            count_event(tables, *past, row, action, time_ms, is_late)
            if has_content(scratch):
                is_removed = catalog.hidden[row]  # or was never listed, and is on no shelf
                count_content(content, tables, history, row, action, time_ms, is_late, is_removed)
