"""Candidates on account of what they are: of the likeliest values, and of texts like those of the history."""

import numpy as np

from models.arrays import NONE, Floats, Rows
from models.candidates import STATE_SIZE, Scratch, admit
from models.catalog import Items
from models.compiled import compiled, inlined
from models.content.layout import SHELF, ContentTables, scratch_of
from models.content.shelving import firsts
from models.content.values import SCALE
from models.exclusion import Banned
from models.history import History

LOOK_BACK = 10
"""Events of a history whose texts are looked at."""
_ALIKE_TO, _ALIKE = 5, 8  # events whose texts bring candidates, and texts that each of them brings
_COLD_OF_A_VALUE, _COLD_OF_NO_KIND, _COLD_OF_A_TEXT, _WARM_OF_A_TEXT = 16, 16, 1, 2


@compiled
def gather_content(
    content: ContentTables,
    scratch: Scratch,
    banned: Banned,
    items: Items,
    history: History,
    values: int,
    most: int,
) -> None:
    """Gather candidates of so many values of one kind, of fewer of each of several; and of texts alike.

    Of the cold items that have no value the newest are gathered: nothing else would ever lead to them.
    """
    if values == 0:
        return
    values = max(2, 2 * values // (content.used[0] + 1))
    for kind in range(content.used[0]):
        _gather_warm(content, kind, scratch, banned, items, values, most)
        _gather_cold(content, kind, scratch, banned, items, values, most)
    for position in range(min(len(history.rows), _ALIKE_TO)):
        row = history.rows[len(history.rows) - 1 - position]
        text = content.texts.values[0, row] if row >= 0 else NONE
        if text != NONE:
            _gather_alike(content, text, scratch, banned, items, most)
    first, following = content.kindless.first[0, 0], content.kindless.following[0]
    _admit_cold(first, following, _COLD_OF_NO_KIND, scratch, banned, items, most)


@compiled
def _gather_warm(
    content: ContentTables, kind: int, scratch: Scratch, banned: Banned, items: Items, values: int, most: int
) -> None:
    """Gather the leaders of the likeliest values."""
    shelves, theirs = content.shelves, scratch_of(content, kind)
    size = theirs.state[STATE_SIZE]
    for place in range(size):
        theirs.spare[place] = theirs.scores[place]
    for _ in range(min(values, size)):
        value = theirs.rows[_take_best(theirs.spare, size)]
        _admit_leaders(shelves.leaders[kind, value], SHELF, scratch, banned, items, most)


@compiled
def _gather_cold(
    content: ContentTables, kind: int, scratch: Scratch, banned: Banned, items: Items, values: int, most: int
) -> None:
    """Gather cold items of the values of which any single one is likeliest to come next."""
    shelves, theirs = content.shelves, scratch_of(content, kind)
    size, able = theirs.state[STATE_SIZE], 0
    for place in range(size):
        value = theirs.rows[place]
        cold = shelves.cold[kind, value]
        theirs.spare[place] = -np.inf
        if cold > 0:
            part = firsts(shelves, kind, value) / np.float32(cold)
            theirs.spare[place] = theirs.scores[place] + SCALE * np.log(part)
            able += 1
    for _ in range(min(values, able)):
        value = theirs.rows[_take_best(theirs.spare, size)]
        first, following = shelves.first[kind, value], shelves.following[kind]
        _admit_cold(first, following, _COLD_OF_A_VALUE, scratch, banned, items, most)


@compiled
def _gather_alike(
    content: ContentTables, text: int, scratch: Scratch, banned: Banned, items: Items, most: int
) -> None:
    """Gather items of a text and of the nearest to it."""
    texts = content.texts
    for at in range(-1, _ALIKE):
        other = content.near[text, at] if at >= 0 else text
        if other == NONE:
            break
        _admit_leaders(texts.leaders[0, other], _WARM_OF_A_TEXT, scratch, banned, items, most)
        first, following = texts.first[0, other], texts.following[0]
        _admit_cold(first, following, _COLD_OF_A_TEXT, scratch, banned, items, most)


@compiled
def _admit_leaders(
    leaders: Rows, count: int, scratch: Scratch, banned: Banned, items: Items, most: int
) -> None:
    for place in range(count):
        if leaders[place] == NONE:
            break
        admit(scratch, banned, items, leaders[place], most)


@compiled
def _admit_cold(
    first: int, following: Rows, count: int, scratch: Scratch, banned: Banned, items: Items, most: int
) -> None:
    row = first
    for _ in range(count):
        if row == NONE:
            break
        admit(scratch, banned, items, row, most)
        row = following[row]


@inlined
def _take_best(scores: Floats, size: int) -> int:
    """Return the place of the largest of float32[:size], which is then no longer there."""
    best = 0
    for place in range(size):
        if scores[place] > scores[best]:
            best = place
    scores[best] = -np.inf
    return best
