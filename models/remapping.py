"""What was learned over some columns, put into a model with others: by the columns' names.

So a model goes on where another left off when a catalogue turns up, or when a version knows more of an item.
What a column that is new would have said is not known: it begins with its initial weight.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from models.columns import Feature
from models.mixer.layout import Layout

Arrays = dict[str, NDArray[Any]]
_OF_COLUMNS = ("parameters", "mean", "square")
_BY_COLUMN = ("waiting_features", "memory_features")


def places_of(ours: Sequence[Feature], theirs: Sequence[Feature]) -> list[int]:
    """Return the place of each of our columns among theirs, -1 where they have none of its name."""
    places = {feature.name: place for place, feature in enumerate(theirs)}
    return [places.get(feature.name, -1) for feature in ours]


def remap_ranker(theirs: Mapping[str, NDArray[Any]], ours: Arrays, columns: Sequence[int]) -> Arrays:
    """Return a ranker's snapshot over our columns: `ours`, a fresh one's, where theirs says nothing.

    `columns` are, of our columns, the place among theirs, -1: they had none.
    """
    to, of = _places(columns)
    arrays = {**theirs}
    for name in ("weights", "squares"):
        arrays[name] = ours[name].copy()
        arrays[name][to] = theirs[name][of]
    return arrays


def remap_learner(
    theirs: Mapping[str, NDArray[Any]], ours: Arrays, columns: Sequence[int], was: Layout, now: Layout
) -> Arrays:
    """Return a learner's snapshot over our columns; `was` and `now` are the layouts of its mixer."""
    to, of = _places(columns)
    roots = np.arange(now.roots)
    to = np.concatenate([to, now.features + roots])  # the roots' logarithms stand behind the features
    of = np.concatenate([of, was.features + roots])
    arrays = {**theirs}
    for name in _OF_COLUMNS:
        flat = ours[name].copy()
        mine, other = now.views(flat), was.views(theirs[name])
        mine.linear[to], mine.first[to] = other.linear[of], other.first[of]
        mine.bias[:], mine.context[:], mine.output[:] = other.bias, other.context, other.output
        arrays[name] = flat
    to, of = _places(columns)
    for name in _BY_COLUMN:
        wider = np.zeros((*theirs[name].shape[:-1], now.features), theirs[name].dtype)
        wider[..., to] = theirs[name][..., of]  # [n, S, theirs] -> [n, S, ours]
        arrays[name] = wider
    return arrays


def _places(columns: Sequence[int]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the places among ours of the columns that both have, and their places among theirs."""
    of = np.array(columns, np.int64)
    to = np.flatnonzero(of >= 0)
    return to, of[to]
