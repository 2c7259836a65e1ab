"""A path through the catalogue as a reason: what an item shares with one that the user had, in words."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from models.actions import CART, CLICK, FAVORITE, PURCHASE
from models.arrays import NONE, Floats
from models.catalog import Catalog, RowArray
from models.columns import FEATURES, OF_A_KIND
from models.graph.layout import RELATIONS
from models.graph.paths import LOOK_BACK, find_paths
from models.graph.relations import Relations
from models.history import History

_DID = {
    CLICK: "which you clicked",
    CART: "which you put in your cart",
    FAVORITE: "one of your favorites",
    PURCHASE: "which you bought",
}
_FIRST, _EACH = len(FEATURES), len(OF_A_KIND)
_PREPOSITIONS = (" by", " for", " from", " in", " of", " with")
_BACKWARDS = "~"  # before a relation whose tail the item is
_PARTS = {"categories": "category"}  # all of them together, as a kind has them: each is a relation
Kinds = Sequence[tuple[str, ...]]


class Path(NamedTuple):
    """A reason: its words, and the row of the user's item that it names."""

    words: str
    about: int


def without_kinds(features: Floats, kept: Floats, kinds: int) -> Floats:
    """Return float32[kinds, n, F]: features [n, F] without what each kind of value does for an item.

    That is with a chance of its value that is no better than the mean of the candidates float32[m, F] that
    were kept. All of a kind's columns are 1 + log(chance) / 14, and 0 where there is none.
    """
    own = _FIRST + _EACH * np.arange(kinds)
    there = kept[:, own] != 0  # [m, kinds]
    usual = kept[:, own].sum(0) / np.maximum(there.sum(0), 1)  # [m, kinds] -> [kinds]
    excess = np.maximum(features[:, own] - usual, 0).T[:, :, None]  # [n, kinds] -> [kinds, n, 1]
    variants = np.repeat(features[None], kinds, axis=0)  # [n, F] -> [kinds, n, F]
    for kind, first in enumerate(own.tolist()):
        theirs = variants[kind, :, first : first + _EACH]
        theirs -= np.where(theirs != 0, excess[kind], 0)
    return variants


class Paths:
    """What joins some rows with the newest of a user's events: of each kind, who has its value, too."""

    def __init__(
        self, relations: Relations, catalog: Catalog, history: History, rows: RowArray, kinds: Kinds
    ) -> None:
        self._relations, self._catalog, self._history, self._rows = relations, catalog, history, rows
        self._past = np.ascontiguousarray(history.rows[: -LOOK_BACK - 1 : -1])  # newest first
        self._names = [[_PARTS.get(name, name) for name in kind] for kind in kinds]
        wanted = np.zeros((len(kinds), RELATIONS), np.bool_)
        for number, names in enumerate(self._names):
            every = relations.wanted(names)
            if every.sum() == len(set(names)):  # no title, and no relation that is not told apart
                wanted[number] = every
        self._found = np.full((len(rows), len(kinds), 2), NONE, np.int32)
        if wanted.any() and len(self._past):
            find_paths(relations.graph, self._past, rows, wanted, self._found)

    def strongest(self, number: int, gains: Sequence[float]) -> tuple[float, Path] | None:
        """Return the path to a row, by its number, and what it is worth; None: nothing joins it.

        A path is worth what the kind is: `gains`.
        """
        for gain, kind in sorted(zip(gains, range(len(gains)), strict=True), reverse=True):
            position, entity = self._found[number, kind].tolist()
            # What others say of an item is no value of its own.
            if position >= 0 and self._relations.graph.subjects[entity] != self._rows[number]:
                path = self._told(int(self._past[position]), self._names[kind], entity)
                return None if path is None else (gain, path)
        return None

    def _told(self, about: int, names: Sequence[str], entity: int) -> Path | None:
        """Put a path into words; None if one of its items has no id."""
        item_id, subject = self._catalog.item_id(about), int(self._relations.graph.subjects[entity])
        if item_id is None:
            return None
        theirs = f"{item_id}, {_DID[_deed(self._history, about)]}"
        relation = " and ".join(map(_in_words, names))
        if subject == NONE or len(names) > 1:
            is_verb = relation.endswith(_PREPOSITIONS)
            same = f"{relation} the same as" if is_verb else f"same {relation} as"
            return Path(f"{same} {theirs}", about)
        if subject == about:
            return Path(f"{'goes with' if names[0].startswith(_BACKWARDS) else relation} {theirs}", about)
        shared = self._catalog.item_id(subject)
        return None if shared is None else Path(f"{relation} {shared}, like {theirs}", about)


def _deed(history: History, row: int) -> int:
    """Return what the user last did with an item other than to click on it; else CLICK."""
    theirs: NDArray[np.uint8] = history.actions[history.rows == row]
    deeds = theirs[theirs != CLICK]
    return int(deeds[-1]) if len(deeds) else CLICK


def _in_words(relation: str) -> str:
    """Return a relation's name as a person would write it: "film.film.directed_by" is "directed by"."""
    name = relation.removeprefix(_BACKWARDS).rpartition(".")[2]
    return name.replace("_", " ").replace("-", " ").strip() or relation
