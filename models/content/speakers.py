"""Which texts are those of listed items, and which are those of any: others are near to nobody."""

import numpy as np

from models.arrays import NONE, Rows

_FIRST = 64


class Speakers:
    """The text of every item that is listed, and how many listed items, and how many items, a text has."""

    def __init__(self) -> None:
        self._texts: Rows = np.full(_FIRST, NONE, np.int32)  # [rows]
        self._listed: Rows = np.zeros(_FIRST, np.int32)  # [texts]
        self._held: Rows = np.zeros(_FIRST, np.int32)  # [texts]

    def list_item(self, row: int, text: int) -> None:
        """Let a row be a listed item with a text; -1: with none, or not listed."""
        self._texts = _with_room(self._texts, row + 1, NONE)
        self._listed = _with_room(self._listed, text + 1, 0)
        _move(self._listed, int(self._texts[row]), text)
        self._texts[row] = text

    def hold(self, before: int, text: int) -> None:
        """Let an item, listed or not, have another text than before; -1: none."""
        self._held = _with_room(self._held, text + 1, 0)
        _move(self._held, before, text)

    def has_listed(self, text: int) -> bool:
        """Return whether a listed item has a text."""
        return text < len(self._listed) and bool(self._listed[text])

    def is_held(self, text: int) -> bool:
        """Return whether any item has a text."""
        return text < len(self._held) and bool(self._held[text])


def _move(counts: Rows, before: int, after: int) -> None:
    if before != NONE:
        counts[before] -= 1
    if after != NONE:
        counts[after] += 1


def _with_room(array: Rows, size: int, filling: int) -> Rows:
    if size <= len(array):
        return array
    more = max(size, 2 * len(array)) - len(array)
    return np.concatenate([array, np.full(more, filling, np.int32)])
