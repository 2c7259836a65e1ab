"""The history of a user of another worker, as the examples log tells it: event by event."""

from bisect import bisect_right

import numpy as np

from models.catalog import Catalog
from models.counts import LOOK_BACK
from models.history import History
from streams.examples import ExampleHistory

_NO_ROWS = np.zeros(0, np.int32)
_NO_COUNTS = np.zeros(0, np.float64)
_NO_TIMES = np.zeros(0, np.int64)
_NOTHING = np.frombuffer(b"", np.uint32)


class Past:
    """What a user did before each of their events in one record, as far as the counters look."""

    def __init__(self, catalog: Catalog, before: ExampleHistory, history_length: int) -> None:
        self._length = min(LOOK_BACK, history_length)
        self._rows = [catalog.reserve_key(key) for key in before.item_keys]
        self._actions = bytearray(before.actions)
        self._times_ms = list(before.times_ms)

    def history(self) -> History:
        """Return what the counters look at: the repeats and what is excluded are not among it."""
        return History(
            rows=np.array(self._rows, np.int32),
            actions=np.frombuffer(bytes(self._actions), np.uint8),
            times_ms=np.array(self._times_ms, np.int64),
            repeat_rows=_NO_ROWS,
            repeat_counts=_NO_COUNTS,
            repeat_times_ms=_NO_TIMES,
            excluded=_NOTHING,
        )

    def add(self, row: int, action: int, time_ms: int) -> None:
        """Put an event in its place: behind everything that is not later."""
        place = bisect_right(self._times_ms, time_ms)
        self._rows.insert(place, row)
        self._actions.insert(place, action)
        self._times_ms.insert(place, time_ms)
        if len(self._rows) > self._length:
            del self._rows[0], self._actions[0], self._times_ms[0]
