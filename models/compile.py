"""Compiles what is compiled, once: `python -m models.compile`, in about a minute; later starts load it."""

import numpy as np

from models.catalog import Catalog
from models.columns import KEPT
from models.counts import Counts
from models.history import History
from models.learner import EVENTS_PER_STEP, FIRST_REPLAY, Learner
from models.lessons import Lesson, Past, in_columns
from models.ranking import Ranker
from models.text import NeighbourSearch

_ITEMS = 40
_EVENTS = 300


def main() -> None:
    """Run a small stream through every compiled function, with the types that a worker uses."""
    _compile_mixer()
    catalog = Catalog()
    rows = [catalog.admit(f"item {number}") for number in range(_ITEMS)]
    counts = Counts(catalog, slots=1 << 14)
    ranker, learner = Ranker(catalog, counts), Learner(device="cpu")
    for event in range(_EVENTS):
        row, time_ms = rows[event * event % _ITEMS], event * 60_000
        past = _past(catalog, rows, event, time_ms)
        flags = (True, False, 1.0, 0)  # tested, not late, its weight, nobody's
        lesson = Lesson(row, event % 4, time_ms, past, past, _ITEMS, *flags)
        ranker.teach(in_columns([lesson], catalog, event), 0, 1, 1, learner.waiting, learner.next_slot)
        learner.advance(1)
    counts.count(_history(rows, 0, 0), rows[0], _EVENTS * 60_000)
    query = ranker.query(_history(rows, _EVENTS, _EVENTS * 60_000), _EVENTS * 60_000)
    ranker.top(query, 10, learner.scores)
    NeighbourSearch(2).add(np.arange(2, dtype=np.int32), np.eye(2, dtype=np.float32))


def _compile_mixer() -> None:
    """Have every compiled function of the mixer compiled, or loaded, for the types that a worker uses."""
    learner = Learner(device="cpu")
    learner.waiting.sizes[:] = KEPT
    learner.waiting.targets[:] = 0
    while learner.steps * EVENTS_PER_STEP <= FIRST_REPLAY:
        learner.advance(1)
    learner.scores(learner.waiting.features[0], learner.waiting.contexts[0])


def _past(catalog: Catalog, rows: list[int], event: int, time_ms: int) -> Past:
    """Return the same history as it is kept."""
    history = _history(rows, event, time_ms)
    keys = catalog.keys[history.rows]
    return Past(
        item_keys=keys,
        actions=history.actions,
        times_ms=history.times_ms,
        repeat_keys=keys,
        repeat_counts=history.repeat_counts,
        repeat_times_ms=history.repeat_times_ms,
        excluded=history.excluded,
    )


def _history(rows: list[int], event: int, time_ms: int) -> History:
    """Return a history of the three items before; the user has been excluded from one of them."""
    past = [rows[(event - back) % len(rows)] for back in (3, 2, 1)]
    times_ms = np.array([time_ms - back * 1000 for back in (3, 2, 1)], np.int64)
    return History(
        rows=np.array(past, np.int32),
        actions=np.frombuffer(bytes(3), np.uint8),
        times_ms=times_ms,
        repeat_rows=np.array(past, np.int32),
        repeat_counts=np.ones(3),
        repeat_times_ms=times_ms,
        excluded=np.frombuffer(past[0].to_bytes(4, "little"), np.uint32),
    )


if __name__ == "__main__":
    main()
