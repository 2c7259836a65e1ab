"""The baselines that are tested beside the model: popularity, recent popularity, the user's own repeats.

They are tested on the counters' own lists, which count every event 1, whatever its action. Each list is known
down to its first 1,000 items, so that the cost of an event does not grow with the catalogue: a target below
them has no rank, and every mrr is a lower bound (by less than 0.001). Equal scores are ordered by recent
popularity at half-life 1,500; what is equal even then counts against the target.
"""

import numpy as np

from models.arrays import Rows, Times
from models.catalog import Items
from models.compiled import compiled, inlined
from models.counts.layout import DEPTHS, EVENTS, LAST, LEADERS, Tables
from models.counts.popularity import find, popularity
from models.exclusion import Banned, ban, is_banned
from models.history import History, comes_again

_TIE_BREAK = 3  # the half-life that orders what is equal otherwise
_FOR_EVER = 5
DEPTH = DEPTHS[_FOR_EVER]
_COLUMNS = (5, 2, 3, 4)  # which of HALF_LIVES each of BASELINES but the last is about


@compiled
def rank_baselines(
    tables: Tables, banned: Banned, items: Items, history: History, target: int, ranks: Times
) -> None:
    """Write the target's rank by each of BASELINES, among all items but the excluded, before it is counted.

    int64[BASELINES]; 0 if it is too deep, or unheard of.
    """
    ranks[:] = 0
    if items.has_exclusions:
        ban(banned, history.excluded)
    if tables.facts[target, EVENTS] == 0 or _is_banned(banned, items, target):
        return
    for number in range(len(_COLUMNS)):
        ranks[number] = _popularity_rank(tables, banned, items, target, _COLUMNS[number])
    ranks[len(_COLUMNS)] = _repeat_rank(tables, banned, items, history.rows, target, ranks[2])


@inlined
def _is_banned(banned: Banned, items: Items, row: int) -> bool:
    return bool(items.has_exclusions and is_banned(banned, items.fingerprints[row]))


@inlined
def _recent(tables: Tables, row: int) -> np.float32:
    return popularity(tables, row, _TIE_BREAK, tables.facts[row, LAST])


@compiled
def _popularity_rank(tables: Tables, banned: Banned, items: Items, target: int, half_life: int) -> int:
    """Return 1 + the allowed leaders at least as popular as the target, which must lead: else 0."""
    size = tables.clock[LEADERS + half_life]
    rows, values = tables.leaders[half_life], tables.leader_values[half_life]
    at = find(rows, size, target)
    if at < 0:
        return 0
    value, recent, end = values[at], _recent(tables, target), at + 1
    while end < size and values[end] == value:
        end += 1
    if not items.has_exclusions and half_life != _FOR_EVER:
        return int(end)
    rank = 1
    for place in range(end):
        if place == at or (
            half_life == _FOR_EVER and values[place] == value and _recent(tables, rows[place]) < recent
        ):
            continue
        rank += not _is_banned(banned, items, rows[place])
    return rank


@compiled
def _repeat_rank(
    tables: Tables, banned: Banned, items: Items, rows: Rows, target: int, recent_rank: int
) -> int:
    """Rank by the sum over the user's events of 1 / age, age 1 being the last; then by `recent_rank`.

    All own items come first, then the others as they rank by recent popularity, so that of a target which is
    no own item, those own ones are added that are not before it anyway.
    """
    length, recent = len(rows), _recent(tables, target)
    score = _own_score(rows, target)
    above = 0
    for place in range(length):
        row = rows[place]
        if row < 0 or row == target or comes_again(rows, place) or _is_banned(banned, items, row):
            continue
        is_as_recent = _recent(tables, row) >= recent
        if score > 0:
            other = _own_score(rows, row)
            above += int(other > score or (other == score and is_as_recent))
        else:
            above += int(not is_as_recent)
    if score > 0:
        return 1 + above
    return recent_rank + above if recent_rank > 0 else 0


@compiled
def _own_score(rows: Rows, row: int) -> float:
    score, length = 0.0, len(rows)
    for place in range(length - 1, -1, -1):
        if rows[place] == row:
            score += 1.0 / (length - place)
    return score
