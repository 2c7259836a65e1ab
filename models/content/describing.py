"""What the catalogue adds to what is known of a candidate: models/columns.py, filled in.

An item's chance by a kind is P(value) P(item | value); its share of the value is that of its popularity, or,
if it never occurred, that of the value's firsts, divided among the cold items.
"""

import numpy as np

from models.arrays import NONE, Floats
from models.candidates import STATE_SIZE, Scratch, place_of
from models.catalog import Items
from models.columns import CO_OCCURRENCE, KINDS, NEAR, OF_A_KIND, RECENT, F
from models.compiled import compiled, inlined
from models.content.gathering import LOOK_BACK
from models.content.layout import TEXT_SUMS, WARM, ContentTables, scratch_of, tables_of
from models.content.shelving import firsts
from models.content.values import LEAST, SCALE
from models.counts.layout import LAST, POPULARITY, Tables, scale
from models.features import AGE, IDLE, take_roots
from models.history import History

_SLOW = 4  # the half-life of 6,000 events, at which shares are taken
_STEEP = (0.85 ** np.arange(LOOK_BACK)).astype(np.float32)
_PRIOR_COUNT = np.float32(0.02)
_LOWEST = np.float32(-1.0)
# Items of which the same is known would tie; a hash tells them apart, by less than one part in a thousand.
_JITTER = np.float32(1e-4 / 2**32)
_A_KIND = len(OF_A_KIND)
_COLD = F + _A_KIND * KINDS
_TEXT = _COLD + 1
_LIKE, _GOES_WITH, _POPULAR = range(3)  # the sums of a text
_SPEAKS = np.float32(0.5)  # the root of a share of the largest among the candidates
_ONE = np.float32(1.0)


@compiled
def describe_content(
    content: ContentTables, tables: Tables, items: Items, scratch: Scratch, history: History
) -> None:
    """Write the columns that the catalogue adds, of all candidates."""
    size, features, states = scratch.state[STATE_SIZE], scratch.features, content.shelves.states
    for column in range(F, len(features)):
        features[column, :size] = np.float32(0.0)
    for kind in range(content.used[0]):
        _describe_kind(content, kind, tables, items, scratch)
    for place in range(size):
        if states[scratch.rows[place]] != WARM:
            features[_COLD, place] = _ONE
            features[AGE, place] = features[IDLE, place] = np.float32(0.0)
    _add_up_texts(content, scratch, history)
    _describe_texts(content, scratch)


@compiled
def _describe_kind(content: ContentTables, kind: int, tables: Tables, items: Items, scratch: Scratch) -> None:
    shelves, theirs, features = content.shelves, scratch_of(content, kind), scratch.features
    chance = F + _A_KIND * kind
    for place in range(scratch.state[STATE_SIZE]):
        row = scratch.rows[place]
        value = shelves.values[kind, row]
        if value == NONE:
            continue
        at = place_of(theirs, value)
        likely = theirs.scores[at] if at >= 0 else np.float32(0.0)
        features[chance, place] = likely
        if shelves.states[row] == WARM:
            part = _warm_share(content, kind, tables, row, value)
            features[chance + 1, place] = max(likely + SCALE * np.log(part + LEAST), _LOWEST)
        else:
            part = firsts(shelves, kind, value) / np.float32(max(shelves.cold[kind, value], 1))
            told = max(likely + SCALE * np.log(part + LEAST), _LOWEST)
            features[chance + 2, place] = told + _JITTER * np.float32(items.fingerprints[row])


@inlined
def _warm_share(content: ContentTables, kind: int, tables: Tables, row: int, value: int) -> np.float32:
    """Return P(item | value) of an item that occurred, by the popularity of both, float32."""
    theirs = tables_of(content, kind)
    last, their_last = tables.facts[row, LAST], theirs.facts[value, LAST]
    mine = tables.values[row, POPULARITY + _SLOW] * scale(tables, _SLOW, last)
    mine *= np.float32(_ONE / np.float32(tables.units[_SLOW]))
    every = theirs.values[value, POPULARITY + _SLOW] * scale(theirs, _SLOW, their_last)
    every *= np.float32(_ONE / np.float32(theirs.units[_SLOW]))
    prior = _PRIOR_COUNT * np.float32(max(content.shelves.warm[kind, value], 1))
    again = _ONE - firsts(content.shelves, kind, value)
    share: np.float32 = again * (mine + _PRIOR_COUNT) / (max(every, mine) + prior)
    return share


@compiled
def _add_up_texts(content: ContentTables, scratch: Scratch, history: History) -> None:
    """Add up for every text how near it is to the history, and to what goes with that, or is popular.

    Only what goes with it most, or is most popular, speaks for others.
    """
    texts, features = content.texts.values[0], scratch.features
    content.queries[-1] += 1
    for position in range(min(len(history.rows), LOOK_BACK)):
        row = history.rows[len(history.rows) - 1 - position]
        if row >= 0 and texts[row] != NONE:
            _sums_of(content, texts[row])[_LIKE] += _STEEP[position]
            _spread(content, texts[row], _LIKE, _STEEP[position])
    for place in range(scratch.state[STATE_SIZE]):
        text = texts[scratch.rows[place]]
        if text == NONE:
            continue
        if features[CO_OCCURRENCE, place] > _SPEAKS:
            _spread(content, text, _GOES_WITH, features[CO_OCCURRENCE, place])
        if features[RECENT, place] > _SPEAKS:
            _spread(content, text, _POPULAR, features[RECENT, place])


@compiled
def _spread(content: ContentTables, text: int, what: int, value: np.float32) -> None:
    """Add a value to the sums of the texts nearest to one, as near as they are."""
    near, nearness = content.near[text], content.nearness[text]
    for at in range(NEAR):
        if near[at] == NONE:
            break
        _sums_of(content, near[at])[what] += value * nearness[at]


@compiled
def _describe_texts(content: ContentTables, scratch: Scratch) -> None:
    """Write the sums of every candidate's text."""
    texts, size, features = content.texts.values[0], scratch.state[STATE_SIZE], scratch.features
    for place in range(size):
        text = texts[scratch.rows[place]]
        if text != NONE and content.queries[text] == content.queries[-1]:
            for what in range(TEXT_SUMS):
                features[_TEXT + what, place] = content.sums[text, what]
    for what in range(TEXT_SUMS):
        take_roots(features[_TEXT + what], size)


@inlined
def _sums_of(content: ContentTables, text: int) -> Floats:
    """Return the sums of a text in this query, float32[TEXT_SUMS], a view."""
    if content.queries[text] != content.queries[-1]:
        content.queries[text] = content.queries[-1]
        content.sums[text, :] = np.float32(0.0)
    sums: Floats = content.sums[text]
    return sums
