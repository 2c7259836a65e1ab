"""What is listed, removed or just occurred, on the shelves: who leads, who is cold, how many are firsts."""

import numpy as np

from models.arrays import NONE, Rows, Times
from models.compiled import compiled, inlined
from models.content.layout import COLD, SHELF, UNLISTED, WARM, Shelves
from models.counts.layout import EVENTS, LAST, Tables
from models.counts.popularity import popularity

_HALF_LIFE = 4  # of popularity on a shelf: 6,000 events
_PRIOR_WEIGHT = 3.0
_DECAY = 2.0 ** (-1 / 6000)


@compiled
def shelve(shelves: Shelves, kind: int, row: int, value: int) -> None:
    """Put an item of a known state on the shelf of a value; it is on none of this kind."""
    shelves.values[kind, row] = value
    if value == NONE:
        return
    if shelves.states[row] == WARM:
        shelves.warm[kind, value] += 1
    elif shelves.states[row] == COLD:
        _link(shelves, kind, row, value)


@compiled
def put(shelves: Shelves, kind: int, row: int, value: int) -> None:
    """Move an item to the shelf of a value, or to none, where it is not there."""
    if shelves.values[kind, row] != value:
        take_off(shelves, kind, row)
        shelve(shelves, kind, row, value)


@compiled
def put_all(shelves: Shelves, kind: int, rows: Times, values: Rows) -> None:
    """Move int64[n] items to the shelves of int32[n] values, in this order."""
    for number in range(len(rows)):
        put(shelves, kind, rows[number], values[number])


@compiled
def take_off(shelves: Shelves, kind: int, row: int) -> None:
    """Take an item off the shelf that it is on, if it is on one."""
    value = shelves.values[kind, row]
    shelves.values[kind, row] = NONE
    if value == NONE:
        return
    if shelves.states[row] == WARM:
        shelves.warm[kind, value] -= 1
        _drop_leader(shelves, kind, row, value)
    elif shelves.states[row] == COLD:
        _unlink(shelves, kind, row, value)


@compiled
def list_item(shelves: Shelves, row: int) -> None:
    """Let an item that never occurred be found among the cold ones of its values."""
    if shelves.states[row] != UNLISTED:
        return
    shelves.states[row] = COLD
    for kind in range(shelves.values.shape[0]):
        if shelves.values[kind, row] != NONE:
            _link(shelves, kind, row, shelves.values[kind, row])


@compiled
def unlist(shelves: Shelves, row: int) -> None:
    """Let an item not be found any more; the values of its past events stay what they are."""
    for kind in range(shelves.values.shape[0]):
        value = shelves.values[kind, row]
        if value != NONE and shelves.states[row] == COLD:
            _unlink(shelves, kind, row, value)
        elif value != NONE:
            _drop_leader(shelves, kind, row, value)
    if shelves.states[row] == COLD:
        shelves.states[row] = UNLISTED


@compiled
def note_occurred(shelves: Shelves, row: int) -> None:
    """Let an item that occurred stand among those that did, on every shelf that it is on."""
    if shelves.states[row] == WARM:
        return
    for kind in range(shelves.values.shape[0]):
        value = shelves.values[kind, row]
        if value != NONE:
            if shelves.states[row] == COLD:
                _unlink(shelves, kind, row, value)
            shelves.warm[kind, value] += 1
    shelves.states[row] = WARM


@compiled
def note_all_that_occurred(shelves: Shelves, tables: Tables) -> None:
    """Let every item that the counters know of stand among those that occurred."""
    for row in range(len(tables.facts)):
        if tables.facts[row, EVENTS] > 0:
            note_occurred(shelves, row)


@compiled
def count_on_shelves(shelves: Shelves, used: int, tables: Tables, row: int, is_removed: bool) -> None:
    """Take in that an item, counted just now, occurred; one that was removed leads no more."""
    note_occurred(shelves, row)
    is_first = tables.facts[row, EVENTS] == 1
    for kind in range(used):
        value = shelves.values[kind, row]
        if value != NONE:
            takes, usual = shelves.takes[kind, value], shelves.usual[kind]
            takes[0] = takes[0] * np.float32(_DECAY) + np.float32(is_first)
            takes[1] = takes[1] * np.float32(_DECAY) + np.float32(1.0)
            usual[0] = usual[0] * _DECAY + is_first
            usual[1] = usual[1] * _DECAY + 1.0
            if not is_removed:
                _rise(tables, shelves.leaders[kind, value], row)


@inlined
def firsts(shelves: Shelves, kind: int, value: int) -> np.float32:
    """Return the share of a value's events that are the first of their item, drawn to the usual one."""
    takes, usual = shelves.takes[kind, value], shelves.usual[kind]
    share = (usual[0] + 1.0) / (usual[1] + 4.0)
    return np.float32((takes[0] + _PRIOR_WEIGHT * share) / (takes[1] + _PRIOR_WEIGHT))


@compiled
def _rise(tables: Tables, leaders: Rows, row: int) -> None:
    """Put an item that was just counted into its place among the leaders, int32[SHELF]."""
    mine = popularity(tables, row, _HALF_LIFE, tables.facts[row, LAST])
    place = SHELF - 1
    for at in range(SHELF):
        if leaders[at] == row or leaders[at] == NONE:
            place = at
            break
    if leaders[place] != row and leaders[place] != NONE:
        other = leaders[place]
        if popularity(tables, other, _HALF_LIFE, tables.facts[other, LAST]) > mine:
            return
    while place > 0:
        other = leaders[place - 1]
        if popularity(tables, other, _HALF_LIFE, tables.facts[other, LAST]) >= mine:
            break
        leaders[place] = other
        place -= 1
    leaders[place] = row


@compiled
def _drop_leader(shelves: Shelves, kind: int, row: int, value: int) -> None:
    leaders, kept = shelves.leaders[kind, value], 0
    for place in range(SHELF):
        leader = leaders[place]
        leaders[place] = NONE
        if leader != row and leader != NONE:
            leaders[kept] = leader
            kept += 1


@compiled
def _link(shelves: Shelves, kind: int, row: int, value: int) -> None:
    head = shelves.first[kind, value]
    shelves.following[kind, row] = head
    shelves.preceding[kind, row] = NONE
    if head != NONE:
        shelves.preceding[kind, head] = row
    shelves.first[kind, value] = row
    shelves.cold[kind, value] += 1


@compiled
def _unlink(shelves: Shelves, kind: int, row: int, value: int) -> None:
    before, behind = shelves.preceding[kind, row], shelves.following[kind, row]
    if before == NONE:
        shelves.first[kind, value] = behind
    else:
        shelves.following[kind, before] = behind
    if behind != NONE:
        shelves.preceding[kind, behind] = before
    shelves.cold[kind, value] -= 1
