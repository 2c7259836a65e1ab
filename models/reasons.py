"""Why an item is in a list: what its score would lose without each cause.

The causes are one item of the user's history, what is rising, what is popular, the user's own habit, what
they did with the item beyond a click, and what it shares with an item of the history by the catalogue. Each
is taken out of the item's features, and the second stage scores what is left; the causes whose absence costs
most are the reasons. So a reason is as true as the score: without its cause the item falls.
"""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from models.actions import CART, CLICK, FAVORITE, PURCHASE
from models.arrays import Floats, Rows
from models.candidates import shares
from models.catalog import Catalog, RowArray
from models.columns import FEATURES
from models.compiled import compiled
from models.counts.layout import (
    BACKWARD,
    COUNT,
    EVENTS,
    FORWARD,
    HALF_LIVES,
    LAST,
    LEADERS,
    LOOK_BACK,
    NEXT,
    NOW,
    OFFSET,
    PAIR_LASTING,
    SIZE,
    TOGETHER,
    Tables,
    gap_bucket,
)
from models.counts.popularity import find, popularity
from models.features import OWN
from models.graph.relations import Relations
from models.graph.telling import Kinds, Paths, without_kinds
from models.history import History, comes_again

RISING = "rising"
POPULAR = "popular"
COMES_BACK = "you come back to it"
RECENT = "you had it recently"
DONE = {CART: "you put it in your cart", FAVORITE: "one of your favorites", PURCHASE: "you bought it before"}
REASONS = 2

_NAMES = [feature.name for feature in FEATURES]
_NEIGHBOURS = slice(0, _NAMES.index("popularity 30"))
_SHORT = slice(_NAMES.index("popularity 30"), _NAMES.index("popularity 1500"))
_LONG = slice(_NAMES.index("popularity 1500"), _NAMES.index("popularity at this length") + 1)
_LATELY = [_NAMES.index("own recency"), _NAMES.index("own elapsed")]
_CARTED = _NAMES.index("own carted")
_OFTEN = [number for number in range(OWN, _CARTED) if number not in _LATELY]
_BLANKS = (_SHORT, _LONG, _OFTEN, _LATELY)
_AFTER_LAST = _NAMES.index("transition after such an action")
_SUMS = _NAMES.index("popularity 30")
_FORWARD_SHARE = _SUMS  # the column behind the sums: how much of the pair is forward
_SMALLEST_GAIN = 0.01
_RISING_BY = 1.5
_RISING_HALF_LIFE, _LN2 = 2, float(np.log(2.0))
_POPULAR_AT = 100  # places
_DAY_MS = 86_400_000
_RHYTHMS = ((1, "daily"), (7, "weekly"), (30, "monthly"))
_RHYTHM_TOLERANCE = 0.25
_TIMES = 3

FeatureArray = NDArray[np.float32]
Scores = Callable[[FeatureArray, FeatureArray], FeatureArray]
"""The second stage: float32[n] scores of float32[n, F] features in a float32[Q] context."""


class Known(NamedTuple):
    """What reasons are found in."""

    tables: Tables
    catalog: Catalog
    relations: Relations
    kinds: Kinds  # of what items say; none without a catalogue


class Reason(NamedTuple):
    """One cause in words, what the score would lose without it, and the user's item that it names, or -1."""

    gain: float
    words: str
    about: int = -1


def explain(
    known: Known,
    history: History,
    now_ms: int,
    rows: RowArray,
    features: FeatureArray,
    kept: FeatureArray,
    context: FeatureArray,
    scores: Scores,
) -> list[list[str]]:
    """Return the reasons, strongest first, of int32[n] rows with features [n, F], of `kept` [m, F]."""
    count, kinds = len(rows), len(known.kinds)
    parts = np.zeros((count, LOOK_BACK, _SUMS + 1), np.float32)
    leads = np.zeros((count, 2), np.bool_)
    _find_causes(known.tables, history, now_ms, rows, parts, leads)
    causes = _strongest(parts)  # [n], positions
    deeds = _deeds(history, rows)  # [n], actions
    variants = np.concatenate(
        [_variants(features, parts, causes, deeds), without_kinds(features, kept, kinds)]
    )  # [3 + blanks + kinds, n, F]
    values = scores(variants.reshape(-1, features.shape[1]), context).reshape(len(variants), count)
    gains = (values[0] - values[1:]).T.tolist()  # [2 + blanks + kinds, n] -> [n, 2 + blanks + kinds]
    paths, reasons = Paths(known.relations, known.catalog, history, rows, known.kinds), []
    for number, row in enumerate(rows.tolist()):
        by_cause, *by_count = gains[number][: len(gains[number]) - kinds]
        words = (
            RISING if leads[number, 0] else None,
            POPULAR if leads[number, 1] else None,
            _habit(history, row),
            RECENT if row in history.rows else None,
            DONE.get(int(deeds[number])),
        )
        told = [Reason(gain, word) for gain, word in zip(by_count, words, strict=True) if word is not None]
        if cause := _cause(known.catalog, history, parts[number], int(causes[number])):
            told.append(Reason(by_cause, *cause))
        if path := paths.strongest(number, gains[number][-kinds:] if kinds else []):
            told.append(Reason(path[0], *path[1]))
        reasons.append(_strongest_of(told))
    return reasons


def _strongest_of(told: list[Reason]) -> list[str]:
    """Return the words of the strongest: of those that name the same item of the user's only one."""
    chosen: list[Reason] = []
    for reason in sorted(told, reverse=True):
        is_new = reason.about < 0 or all(reason.about != other.about for other in chosen)
        if reason.gain > _SMALLEST_GAIN and is_new:
            chosen.append(reason)
    return [reason.words for reason in chosen[:REASONS]]


def _variants(
    features: FeatureArray, parts: FeatureArray, causes: NDArray[np.int64], deeds: NDArray[np.int64]
) -> FeatureArray:
    """Return float32[3 + blanks, n, F]: features [n, F] as they are, and without each of their causes."""
    variants = np.repeat(features[None], 3 + len(_BLANKS), axis=0)
    variants[1, :, _NEIGHBOURS] *= np.sqrt(_left_without(parts, causes))
    variants[1, causes == 0, _AFTER_LAST] = 0.0  # of the last item alone
    for number, columns in enumerate(_BLANKS, 2):
        variants[number][:, columns] = 0.0
    done = np.flatnonzero(deeds != CLICK)
    variants[-1, done, _CARTED - CART + deeds[done]] = 0.0
    return variants


def _strongest(parts: FeatureArray) -> NDArray[np.int64]:
    """Return int[n]: the position in the history that gives most, of float32[n, H, S + 1]."""
    sums = parts[:, :, :_SUMS]
    totals = np.maximum(sums.sum(axis=1, keepdims=True), np.float32(1e-12))  # [n, 1, S]
    strongest: NDArray[np.int64] = (sums / totals).sum(axis=2).argmax(axis=1)  # [n, H] -> [n]
    return strongest


def _left_without(parts: FeatureArray, causes: NDArray[np.int64]) -> FeatureArray:
    """Return float32[n, S]: which share of every sum is left without its cause."""
    sums = parts[:, :, :_SUMS]
    totals = np.maximum(sums.sum(axis=1), np.float32(1e-12))  # [n, H, S] -> [n, S]
    without: FeatureArray = 1 - sums[np.arange(len(causes)), causes] / totals
    return np.clip(without, 0, 1)


def _cause(catalog: Catalog, history: History, parts: FeatureArray, position: int) -> tuple[str, int] | None:
    """Say which item of the history leads here: "after" it if this mostly came later, else "like" it."""
    if not parts[position, :_SUMS].any():
        return None
    row = int(history.rows[len(history.rows) - 1 - position])
    item_id = catalog.item_id(row)
    if item_id is None:
        return None
    return f"{'after' if parts[position, _FORWARD_SHARE] > 0.5 else 'like'} {item_id}", row


def _habit(history: History, row: int) -> str | None:
    """Say that the user comes back to an item, and how regularly, if they had it at least twice."""
    times_ms = history.times_ms[history.rows == row]
    if len(times_ms) < 2:
        again = history.repeat_counts[history.repeat_rows == row]
        return COMES_BACK if len(again) and again[0] > 1 else None
    if len(times_ms) >= _TIMES:
        days = np.diff(times_ms) / _DAY_MS
        for rhythm, word in _RHYTHMS:
            if (np.abs(days - rhythm) <= _RHYTHM_TOLERANCE * rhythm).all():
                return f"{COMES_BACK} {word}"
    return COMES_BACK


def _deeds(history: History, rows: RowArray) -> NDArray[np.int64]:
    """Return int64[n], what the user last did with each item other than to click on it; else CLICK."""
    deeds = np.full(len(rows), CLICK, np.int64)
    for row, action in zip(history.rows, history.actions, strict=True):
        if action != CLICK:
            deeds[rows == row] = action
    return deeds


@compiled
def _find_causes(
    tables: Tables, history: History, now_ms: int, rows: Rows, parts: Floats, leads: NDArray[np.bool_]
) -> None:
    """Write what each item of the history gives to every row, and whether the row rises or is popular."""
    length = len(history.rows)
    for number in range(len(rows)):
        row = rows[number]
        leads[number, 0] = _is_rising(tables, row)
        leads[number, 1] = _is_popular(tables, row)
        for position in range(min(length, LOOK_BACK)):
            other = history.rows[length - 1 - position]
            if other < 0:
                continue
            offset, size = tables.facts[other, OFFSET], tables.facts[other, SIZE]
            at = find(tables.neighbours[offset : offset + size], size, row)
            if at >= 0:
                _take_part(tables, history, now_ms, position, offset + at, parts[number, position])


@compiled
def _take_part(tables: Tables, history: History, now_ms: int, position: int, slot: int, part: Floats) -> None:
    """Write what a pair gives to each of the sums, as models/candidates.py adds them up."""
    place, pair = len(history.rows) - 1 - position, tables.pairs[slot]
    if comes_again(history.rows, place):
        return
    by = shares(tables, history, place, position, now_ms)
    forward = pair[FORWARD] + pair[FORWARD + 1] + pair[FORWARD + 2] + pair[FORWARD + 3]
    both = forward + pair[BACKWARD]
    gap = gap_bucket(max(now_ms - history.times_ms[place], 0))
    part[0], part[1], part[2], part[3] = by[0] * both, by[1] * both, by[2] * forward, by[3] * forward
    part[4], part[5], part[6] = by[1] * pair[TOGETHER], by[4] * pair[TOGETHER], by[5] * pair[NEXT]
    part[7], part[8], part[9] = by[6] * pair[PAIR_LASTING], by[7] * pair[FORWARD + gap], by[8] * both
    part[10] = forward / both if both > 0 else 0.0


@compiled
def _is_rising(tables: Tables, row: int) -> bool:
    """Return whether an item has half as much again of what is recent as of the whole."""
    now = tables.clock[NOW]
    if now == 0 or tables.facts[row, EVENTS] == 0:
        return False
    half_life = HALF_LIVES[_RISING_HALF_LIFE]
    mass = half_life / _LN2 * (1.0 - 2.0 ** (-now / half_life)) * tables.units[_RISING_HALF_LIFE]
    recent = popularity(tables, row, _RISING_HALF_LIFE, tables.facts[row, LAST]) / mass
    return bool(recent > _RISING_BY * tables.values[row, COUNT] / now)


@compiled
def _is_popular(tables: Tables, row: int) -> bool:
    """Return whether an item is among the first at one of the long half-lives."""
    for half_life in range(_RISING_HALF_LIFE + 1, len(HALF_LIVES)):
        size = min(tables.clock[LEADERS + half_life], _POPULAR_AT)
        if find(tables.leaders[half_life], size, row) >= 0:
            return True
    return False
