"""Which texts are those of listed items: others are near to nobody."""

import numpy as np

from models.arrays import NONE, Rows

_FIRST = 64


class Speakers:
    """The text of every item that is listed, and how many such items a text has."""

    def __init__(self) -> None:
        self._texts: Rows = np.full(_FIRST, NONE, np.int32)  # [rows]
        self._items: Rows = np.zeros(_FIRST, np.int32)  # [texts]

    def put(self, row: int, text: int) -> None:
        """Let a row be an item with a text; -1: with none, or not listed."""
        self._texts = _with_room(self._texts, row + 1, NONE)
        self._items = _with_room(self._items, text + 1, 0)
        before = self._texts[row]
        if before != NONE:
            self._items[before] -= 1
        if text != NONE:
            self._items[text] += 1
        self._texts[row] = text

    def has_item(self, text: int) -> bool:
        """Return whether there is a listed item with a text."""
        return text < len(self._items) and bool(self._items[text])


def _with_room(array: Rows, size: int, filling: int) -> Rows:
    if size <= len(array):
        return array
    more = max(size, 2 * len(array)) - len(array)
    return np.concatenate([array, np.full(more, filling, np.int32)])
