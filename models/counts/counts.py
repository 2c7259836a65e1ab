"""The public face of the counters: owns their arrays, lets them grow, copies them."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from models.actions import CLICK
from models.catalog import Catalog
from models.counts.counting import count_event
from models.counts.layout import EVENTS, NOW, POOL_USED, Tables, empty_tables
from models.history import History

_FIRST_ROWS = 1024
SLOTS = 1 << 24
"""Slots of neighbours, of 44 bytes: 704 MiB when all are used, which the system hands out as they are."""


class Counts:
    """Popularity, neighbours and habits of items, by row; what they are is in the modules beside this one.

    Memory: 192 bytes an item that was ever named, and `slots` neighbours. When these are used up, the
    neighbours of items that did not occur for long are forgotten.
    """

    def __init__(self, catalog: Catalog, slots: int = SLOTS) -> None:
        self._catalog = catalog
        self.tables = empty_tables(_FIRST_ROWS, slots)

    @property
    def events(self) -> int:
        """How many events were counted."""
        return int(self.tables.clock[NOW])

    def count(
        self, history: History, row: int, time_ms: int, is_late: bool = False, action: int = CLICK
    ) -> None:
        """Count an event of an item, given its user's history of before it.

        A late event, older than its user's newest, counts for what is popular only.
        """
        self.reserve()
        past = history.rows, history.actions, history.times_ms
        count_event(self.tables, *past, row, action, time_ms, is_late)

    def correct(self, row: int, more: int) -> None:
        """Say that an item had so many events more, or less: only how often it occurred is corrected."""
        self.reserve()
        self.tables.facts[row, EVENTS] += more

    def has_occurred(self, row: int) -> bool:
        """Whether an item had any event."""
        return row < len(self.tables.facts) and bool(self.tables.facts[row, EVENTS] > 0)

    def occurrences(self) -> NDArray[np.int64]:
        """Return int64[items], how many events each item had."""
        self.reserve()
        return self.tables.facts[: len(self._catalog), EVENTS].copy()

    def reserve(self) -> None:
        """Make room for every item of the catalogue; by doubling, so that an event's cost stays constant."""
        rows, size = len(self._catalog), len(self.tables.facts)
        if rows <= size:
            return
        while size < rows:
            size *= 2
        values, facts = (_longer(array, size) for array in (self.tables.values, self.tables.facts))
        self.tables = self.tables._replace(values=values, facts=facts)

    def snapshot(self) -> dict[str, NDArray[Any]]:
        """Return a copy of everything that is known."""
        self.reserve()
        rows = len(self._catalog)
        used = int(self.tables.clock[POOL_USED])
        ends = {"values": rows, "facts": rows, "neighbours": used, "pairs": used}
        return {name: array[: ends.get(name)].copy() for name, array in self.tables._asdict().items()}

    def restore(self, arrays: Mapping[str, NDArray[Any]]) -> None:
        """Become what the snapshot was of. Raises ValueError for one of another shape."""
        fresh = empty_tables(1, 1)
        for name, array in fresh._asdict().items():
            theirs = arrays[name]
            fits = theirs.shape[1:] == array.shape[1:] and theirs.dtype == array.dtype
            if not fits or (name not in _GROWING and len(theirs) != len(array)):
                raise ValueError(f"{name} of shape {theirs.shape}, expected {array.shape}")
        rows, slots = max(_FIRST_ROWS, len(arrays["facts"])), len(self.tables.neighbours)
        if slots < len(arrays["neighbours"]):
            raise ValueError(f"{len(arrays['neighbours'])} neighbours, room for {slots}")
        sizes = {"values": rows, "facts": rows, "neighbours": slots, "pairs": slots}
        self.tables = Tables(**{name: _longer(arrays[name], sizes.get(name, 0)) for name in fresh._fields})


_GROWING = ("values", "facts", "neighbours", "pairs")


def _longer(array: NDArray[Any], size: int) -> NDArray[Any]:
    """Return a copy with zeros behind it, up to `size`; no page of them is touched before it is used."""
    longer = np.zeros((max(size, len(array)), *array.shape[1:]), array.dtype)
    longer[: len(array)] = array
    return longer
