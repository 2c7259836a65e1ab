"""What is known of every candidate and of the moment just before an event: models/columns.py, filled in."""

import numpy as np

from models.actions import CLICK, PURCHASE
from models.arrays import Floats, Rows
from models.candidates import DIFFERENCE, STATE_OWN, STATE_SIZE, Scratch, place_of
from models.columns import ROOTS, F
from models.compiled import compiled
from models.counts.layout import (
    BOUGHT,
    BY_ACTION,
    BY_GAP,
    BY_LENGTH,
    COUNT,
    FIRST,
    GAPS,
    HALF_LIVES,
    LAST,
    LASTING,
    NOW,
    POPULARITY,
    REPEATED,
    Tables,
    gap_bucket,
    length_bucket,
    scale,
)
from models.fast_math import largest, log1p_into
from models.history import History

_POPULARITY = DIFFERENCE
_AT_GAP = _POPULARITY + len(HALF_LIVES)
_AT_LENGTH = _AT_GAP + 1
AGE, IDLE, _REPEATED, _BOUGHT, _DIFFERENCE = range(ROOTS, ROOTS + 5)
OWN = ROOTS + 5
"""The first of the columns that are 0 for whatever the user never had."""
_RECENCY, _OWN_COUNT, _DECAYED, _ELAPSED, _TRANSITION, _HOUR, _LASTING = range(OWN, OWN + 7)
_OWN_ACTION = OWN + 7 - 1  # and the number of an action that is not a click: when the user last did so
_OWN_BOUGHT = _OWN_ACTION + PURCHASE
_SLOW = 4  # the half-life of popularity by gap and by length
_PRIOR, _ONE = np.float32(5.0), np.float32(1.0)
_FAR = np.float32(1.0 / 100.0)  # the recency of what is not in the sequence any more
_DECAY = np.float32(0.97)
_HOUR_MS = 3_600_000
_HOURS = 24
# How alike two hours of the day are.
_ALIKE = np.exp(4.0 * (np.cos(2 * np.pi * np.arange(_HOURS) / _HOURS) - 1.0)).astype(np.float32)
_SESSION_MS, _SESSION_MOST = 600_000, 29
_PACE = 10
_RARE_LOOK_BACK = 20


@compiled
def describe(tables: Tables, scratch: Scratch, history: History, now_ms: int) -> None:
    """Write the features [F, C] of the candidates gathered."""
    size = scratch.state[STATE_SIZE]
    _describe_items(tables, scratch, history, now_ms)
    features = scratch.features
    log1p_into(features[AGE], size, np.float32(0.1))
    log1p_into(features[IDLE], size, np.float32(0.1))
    for column in range(ROOTS):
        take_roots(features[column], size)
    if scratch.state[STATE_OWN] > 0:
        _describe_own(scratch, history, now_ms)
        _describe_actions(tables, scratch, history)


@compiled
def _describe_items(tables: Tables, scratch: Scratch, history: History, now_ms: int) -> None:
    """Write what the counts say of every candidate, before roots and logarithms are taken."""
    values, facts, features, sums = tables.values, tables.facts, scratch.features, scratch.sums
    length = len(history.rows)
    gap = gap_bucket(now_ms - history.times_ms[length - 1]) if length else GAPS
    by_length = BY_LENGTH + length_bucket(length)
    now = tables.clock[NOW]
    unit = np.float32(_ONE / np.float32(tables.units[LASTING]))
    usual = np.float32(tables.clock[BY_ACTION + PURCHASE] / max(now, 1))
    for place in range(scratch.state[STATE_SIZE]):
        row = scratch.rows[place]
        last, count = facts[row, LAST], values[row, COUNT]
        root = _ONE / np.sqrt(count + _PRIOR)
        for column in range(DIFFERENCE):
            features[column, place] = sums[place, column]
        for column in (0, 1, 4, 5, 9):
            features[column, place] *= root
        recent = values[row, LASTING] * scale(tables, LASTING, last) * unit
        features[7, place] /= np.sqrt(recent + _PRIOR)
        for half_life in range(len(HALF_LIVES)):
            value = values[row, POPULARITY + half_life]
            features[_POPULARITY + half_life, place] = value * scale(tables, half_life, last)
        slow = scale(tables, _SLOW, last)
        features[_AT_GAP, place] = values[row, BY_GAP + gap] * slow
        features[_AT_LENGTH, place] = values[row, by_length] * slow
        features[AGE, place] = np.float32(now - facts[row, FIRST])
        features[IDLE, place] = np.float32(now - last)
        features[_REPEATED, place] = values[row, REPEATED] / (count + np.float32(3.0))
        if usual > 0:
            bought = (values[row, BOUGHT] + _PRIOR * usual) / (count + _PRIOR)
            features[_BOUGHT, place] = (bought - usual) / (bought + usual)
        else:
            features[_BOUGHT, place] = np.float32(0.0)
        difference = sums[place, DIFFERENCE]
        features[_DIFFERENCE, place] = np.copysign(np.sqrt(np.abs(difference)), difference)


@compiled
def take_roots(column: Floats, size: int) -> None:
    """Replace float32[:size] by the roots of the values as shares of the largest."""
    most = largest(column, size) if size > 0 else np.float32(0.0)
    if most > 0:
        inverse = _ONE / most
        for place in range(size):
            column[place] = np.sqrt(column[place] * inverse)


@compiled
def _describe_own(scratch: Scratch, history: History, now_ms: int) -> None:
    """Write what each of the user's own items was to them; the others have zeros."""
    features, rows = scratch.features, history.rows
    for column in range(OWN, F):
        features[column, : scratch.state[STATE_SIZE]] = np.float32(0.0)
    length = len(rows)
    hour = now_ms // _HOUR_MS
    weight = _ONE
    for position in range(length):
        place = length - 1 - position
        weight *= _DECAY
        to = place_of(scratch, rows[place]) if rows[place] >= 0 else -1
        if to < 0:
            continue
        time_ms = history.times_ms[place]
        if features[_RECENCY, to] == 0:
            features[_RECENCY, to] = _ONE / np.float32(1 + position)
            features[_ELAPSED, to] = _since(now_ms - time_ms)
        features[_OWN_COUNT, to] += _ONE
        features[_DECAYED, to] += weight
        if place > 0 and rows[place - 1] == rows[length - 1]:
            features[_TRANSITION, to] += _ONE
        features[_HOUR, to] += _ALIKE[(hour - time_ms // _HOUR_MS) % _HOURS]
    for place in range(len(history.repeat_rows)):
        row = history.repeat_rows[place]
        to = place_of(scratch, row) if row >= 0 else -1
        if to < 0:
            continue
        if features[_RECENCY, to] == 0:
            features[_RECENCY, to] = _FAR
            features[_ELAPSED, to] = _since(now_ms - history.repeat_times_ms[place])
        features[_LASTING, to] = np.float32(np.sqrt(history.repeat_counts[place]) / 3.0)
    for place in range(scratch.state[STATE_OWN]):
        features[_OWN_COUNT, place] = np.log(_ONE + features[_OWN_COUNT, place]) / np.float32(3.0)
        features[_DECAYED, place] = np.sqrt(features[_DECAYED, place]) / np.float32(3.0)
        features[_TRANSITION, place] = np.log(_ONE + features[_TRANSITION, place]) / np.float32(2.0)
        features[_HOUR, place] = np.log(_ONE + features[_HOUR, place]) / np.float32(2.0)


@compiled
def _describe_actions(tables: Tables, scratch: Scratch, history: History) -> None:
    """Write when the user last carted, favored or bought each of their own items; the others have zeros."""
    features, length = scratch.features, len(history.rows)
    weight = _ONE
    for position in range(length):
        place = length - 1 - position
        weight *= _DECAY
        action, row = history.actions[place], history.rows[place]
        if action == CLICK or row < 0:
            continue
        to = place_of(scratch, row)
        # What was put into a cart before it was bought is not in it any more.
        if to >= 0 and features[_OWN_BOUGHT, to] == 0 and features[_OWN_ACTION + action, to] == 0:
            features[_OWN_ACTION + action, to] = weight * _rarity(tables, action)


@compiled
def _rarity(tables: Tables, action: int) -> np.float32:
    """Return the share of other actions among all events, float32: what everybody does says nothing."""
    return np.float32(1.0 - tables.clock[BY_ACTION + action] / max(tables.clock[NOW], 1))


@compiled
def _since(elapsed_ms: int) -> np.float32:
    """Return how recent something is, from 1 down: 1 - log(1 + seconds) / 20, float32."""
    return np.float32(1.0 - np.log(1.0 + max(elapsed_ms, 0) / 1000.0) / 20.0)


@compiled
def describe_moment(tables: Tables, history: History, now_ms: int, out: Floats) -> None:
    """Write the context, float32[Q]."""
    rows, times_ms = history.rows, history.times_ms
    length = len(rows)
    out[:] = np.float32(0.0)
    out[2] = np.log(max(tables.clock[NOW], 1)) / 10.0
    if length == 0:
        out[1] = 2.0
        out[5] = 1.0
        return
    gap_ms = max(now_ms - times_ms[length - 1], 0)
    out[0] = np.log(1.0 + length) / 5.0
    out[1] = np.log(1.0 + gap_ms / 1000.0) / 10.0
    out[3] = _repeat_share(rows)
    out[4] = length > 1 and rows[length - 1] == rows[length - 2]
    out[6 + gap_bucket(gap_ms)] = 1.0
    session = 0
    while session < min(length, _SESSION_MOST) and now_ms - times_ms[length - 1 - session] <= _SESSION_MS:
        session += 1
    out[10] = np.log(1.0 + session) / 3.0
    out[11] = np.log(1.0 + max(now_ms - times_ms[max(0, length - _PACE)], 0) / 1000.0) / 15.0
    rare, earnest, looked = 0, 0, min(length, _RARE_LOOK_BACK)
    for place in range(length - looked, length):
        rare += rows[place] < 0 or tables.values[rows[place], COUNT] <= 1
        earnest += history.actions[place] != CLICK
    out[12] = rare / looked
    if history.actions[length - 1] != CLICK:
        out[12 + history.actions[length - 1]] = 1.0
    out[16] = earnest / looked


@compiled
def _repeat_share(rows: Rows) -> float:
    """Return the share of the events whose item had come before."""
    repeats = 0
    for place in range(1, len(rows)):
        for earlier in range(place):
            if rows[earlier] == rows[place]:
                repeats += 1
                break
    return repeats / len(rows)
